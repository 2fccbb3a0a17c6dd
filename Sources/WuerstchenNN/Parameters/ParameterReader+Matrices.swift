internal import TensorCore

extension ParameterReader {
    /// What is in the place of a matrix in a network that is not there to be run.
    private static var standIn: PackedWeight { PackedWeight(plain: Tensor([0], [1, 1])) }

    /// A parameter that becomes matrices. Where these are packed already it has a shape alone.
    func weight(_ request: ParameterRequest) throws -> Tensor {
        guard let packed, packed.parameters.contains(request.name) else {
            return try parameter(request)
        }
        try Task.checkCancellation()
        used.insert(request.name)
        return MemoryMeter.shapes { Tensor(repeating: 0, request.shape) }
    }

    /// A weight that lies in its file as it is multiplied; nil for others.
    func stored(_ request: ParameterRequest, _ precision: Precision) throws -> PackedWeight? {
        guard let source = source as? CheckpointParameters,
            let stored = try source.stored(request, precision)
        else { return nil }
        try Task.checkCancellation()
        used.insert(request.name)
        return try PackedWeight(stored, precision: precision)
    }

    /// A matrix in the form in which it is multiplied.
    ///
    /// What is wrong with a packed one is noted for ``finish(ignoring:)``.
    func matrix(_ precision: Precision, _ weight: () -> WeightMatrix) -> PackedWeight {
        if let (name, shape, packed) = part(weight) {
            do {
                return try matrix(name, shape, precision, in: packed) ?? Self.standIn
            } catch {
                note(error)
                return Self.standIn
            }
        }
        guard hasValues else { return Self.standIn }
        let weight = weight()
        if let recorder {
            recorder.record(weight, precision)
            weight.base.releasePages()
            return Self.standIn
        }
        let matrix = weight.packed(precision)
        if matrix.isCopy { weight.base.releasePages() }
        return matrix
    }

    /// A layer for inputs that lack a constant; see ``WeightMatrix/absorbing(_:into:)``.
    func absorbing(
        _ constant: Tensor, _ weight: () -> WeightMatrix, into bias: Tensor
    ) -> (weight: WeightMatrix, bias: Tensor) {
        if let (name, _, packed) = part(weight) {
            do {
                let found = try floats("\(name)\(WeightMatrix.absorbed)", bias.shape, in: packed)
                return (MemoryMeter.shapes(of: weight), found ?? bias)
            } catch {
                note(error)
            }
        }
        guard hasValues else { return (MemoryMeter.shapes(of: weight), bias) }
        let result = weight().absorbing(constant, into: bias)
        recorder?.record(result.bias, absorbedBy: result.weight)
        return result
    }

    /// The name and the shape of a matrix if it is packed already.
    private func part(
        _ weight: () -> WeightMatrix
    ) -> (name: String, shape: Shape, packed: PackedMatrices)? {
        guard let packed else { return nil }
        let weight = MemoryMeter.shapes(of: weight)
        guard let name = weight.name,
            packed.parameters.contains(PackedMatrices.parameter(of: name))
        else { return nil }
        return (name, weight.base.shape, packed)
    }

    /// Nil where the parameters have no values, or where there is no such matrix.
    private func matrix(
        _ name: String, _ shape: Shape, _ precision: Precision, in packed: PackedMatrices
    ) throws -> PackedWeight? {
        guard case .matrix(let stored) = packed[name] else {
            guard let values = try floats(name, shape, in: packed), hasValues else { return nil }
            let matrix = PackedWeight(values, precision: precision)
            if matrix.isCopy { values.releasePages() }
            return matrix
        }
        usedParts.insert(name)
        guard [stored.outputs, stored.features] == shape.array else {
            noteMisshapen("\(name) is [\(stored.outputs), \(stored.features)], expected \(shape)")
            return nil
        }
        return hasValues ? try PackedWeight(stored, precision: precision) : nil
    }

    private func floats(
        _ name: String, _ shape: Shape, in packed: PackedMatrices
    ) throws -> Tensor? {
        usedParts.insert(name)
        switch packed[name] {
        case .floats(let tensor) where tensor.entry.shape == shape.array:
            return try tensor.file.floats(of: tensor.entry, as: shape)
        case .floats(let tensor):
            noteMisshapen("\(name) is \(tensor.entry.shape), expected \(shape)")
        case .matrix(let stored):
            noteMisshapen(
                "\(name) is [\(stored.outputs), \(stored.features)] in int8, expected \(shape)")
        case nil: noteMissing("\(name) \(shape)")
        }
        return nil
    }
}
