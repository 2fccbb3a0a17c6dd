package import TensorCore
package import WuerstchenNN

extension CheckpointContents.Network {
    /// Goes through the network's matrices as it multiplies them in 8 bits, and what else it
    /// computes of their parameters.
    ///
    /// - Parameter visit: Takes each of them when it has been made, and need not keep it.
    /// - Returns: The parameters that they stand in for.
    /// - Throws: ``WuerstchenError`` with code `notFinite` for a weight that cannot be rounded, and
    ///   what building the network throws.
    @discardableResult
    package func pack(_ visit: @escaping MatrixRecorder.Visit) throws -> Set<String> {
        let recorder = MatrixRecorder(parameters) { name, part in
            if case .rounded(_, let weight) = part {
                try WeightElementType.float32.validate(weight, name)
            }
            try visit(name, part)
        }
        switch configuration {
        case let configuration as StageC.Configuration:
            _ = try StageC(configuration: configuration, parameters: recorder, precision: .int8)
        case let configuration as StageB.Configuration:
            _ = try StageB(configuration: configuration, parameters: recorder, precision: .int8)
        case let configuration as StageA.Configuration:
            _ = try StageA(configuration: configuration, parameters: recorder, precision: .int8)
        case let configuration as CLIPTextModel.Configuration:
            _ = try CLIPTextModel(
                configuration: configuration, parameters: recorder, precision: .int8)
        default: preconditionFailure("a network of no known architecture")
        }
        try recorder.finish()
        return recorder.packed
    }

    /// The network in 8 bits as it is written: its matrices, and the parameters that stay as they
    /// are stored.
    ///
    /// - Returns: What is to be written. The rounded matrices are in memory until it is let go.
    /// - Throws: As ``pack(_:)``.
    package func packedSources() throws -> [Safetensors.Source] {
        var sources: [Safetensors.Source] = []
        let packed = try pack { name, part in
            switch part {
            case .rounded(let matrix, _): sources += matrix.sources(name)
            case .computed(let values):
                sources.append(
                    WeightElementType.float32.source(name, values.shape) { values })
            }
        }
        return sources + parameters.sources(as: nil).filter { !packed.contains($0.name) }
    }
}
