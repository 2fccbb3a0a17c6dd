internal import CWuerstchenKernels

extension PackedWeight {
    /// The transpose that gradients of results are multiplied with to become gradients of the
    /// input.
    ///
    /// A frozen weight is differentiated through like a tracked one. It keeps no copy of its
    /// elements for that: they are read back from where they are packed, each time they are needed.
    ///
    /// - Throws: ``WuerstchenError`` for 8-bit weights; see ``checkDifferentiable()``.
    func transposedForGradients() throws -> PackedWeight {
        try checkDifferentiable()
        if let tracked { return PackedWeight(transposing: tracked, precision: precision) }
        switch form {
        case .plain(let weight):
            return PackedWeight(transposing: weight, precision: precision)
        case .transposed(let weight):
            return PackedWeight(plain: weight)
        case .panels(let panels):
            return PackedWeight(
                transposed: panels.unpackedTransposed(features), precision: precision, panels.gemm)
        case .lowPrecision(let rows):
            return PackedWeight(transposing: rows.widened(), precision: precision)
        }
    }

    /// Makes sure that gradients can go through this weight: rounding to 8 bits, the activations'
    /// too, leaves none that are worth following.
    func checkDifferentiable() throws {
        if precision == .int8 {
            throw WuerstchenError(
                .invalidRequest,
                "gradients through a weight of \(outputs)×\(features) 8-bit numbers; "
                    + "load the network in float32 or bfloat16 to differentiate it")
        }
    }
}

extension Panels {
    /// The transpose of what was packed, `[features, outputs]`, rounded as it is. Not for 8 bits.
    func unpackedTransposed(_ features: Int) -> Tensor {
        var result = Tensor(repeating: 0, [features, outputs])
        guard let unpack = unsafe gemm.unpack_transposed else {
            preconditionFailure("8-bit weights are refused before they are unpacked")
        }
        let target = unsafe result.mutablePointer()
        let pieces = PackedWeight.pieces(0..<outputs, of: PackedWeight.columnUnit)
        parallel(pieces.count) { index in
            let piece = pieces[index]
            unsafe unpack(
                target + piece.lowerBound, outputs, words.base, piece.lowerBound, piece.upperBound,
                outputs, features)
        }
        return result
    }
}

extension LowPrecisionRows {
    /// The whole weight, rounded as it is, `[outputs, features]`.
    func widened() -> Tensor {
        var result = Tensor(uninitialized: [outputs, features])
        let target = unsafe result.mutablePointer()
        parallel(outputs) { unsafe widen($0..<$0 + 1, into: target + $0 * features) }
        return result
    }
}
