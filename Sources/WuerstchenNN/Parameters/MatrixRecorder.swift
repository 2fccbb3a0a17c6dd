package import TensorCore

/// Parameters that note what a network makes of them when it is built in 8 bits, for a checkpoint
/// in which that is stored in their place. The network is not there to be run.
package final class MatrixRecorder: ParameterSource {
    /// What a network made of a parameter.
    package enum Part {
        /// A matrix, rounded.
        case rounded(QuantizedMatrix, of: Tensor)
        /// What is kept as it was computed.
        case computed(Tensor)
    }

    /// Takes what was made of a parameter: a name for it, and what it is.
    package typealias Visit = (_ name: String, _ part: Part) throws -> Void

    /// What the metadata of a file with such parts says.
    package static var metadata: [String: String] {
        [PackedMatrices.note.key: PackedMatrices.note.value]
    }

    private let source: CheckpointParameters
    private let visit: Visit
    private var computed: [(name: String, values: Tensor)] = []
    private var problem: (any Error)?
    /// The parameters that parts were made of.
    package private(set) var packed: Set<String> = []

    /// Parameters, and what is told of what becomes of them.
    package init(_ source: CheckpointParameters, visit: @escaping Visit) {
        self.source = source
        self.visit = visit
    }

    package var origin: String { source.origin }
    package var names: Set<String>? { source.names }
    package func isEmpty(_ name: String) -> Bool { source.isEmpty(name) }

    package func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        try source.parameter(request)
    }

    /// Tells of what was computed, when the network is complete.
    ///
    /// - Throws: What taking any of the parts threw.
    package func finish() throws {
        if let problem { throw problem }
        // What was made of parameters that stay is made of them again.
        for (name, values) in computed where packed.contains(PackedMatrices.parameter(of: name)) {
            try visit(name, .computed(values))
        }
    }

    func record(_ weight: WeightMatrix, _ precision: Precision) {
        guard problem == nil, let name = weight.name else { return }
        guard precision == .int8 else {
            if PackedMatrices.parameter(of: name) != name { computed.append((name, weight.base)) }
            return
        }
        packed.insert(PackedMatrices.parameter(of: name))
        do {
            try visit(name, .rounded(QuantizedMatrix(weight.base), of: weight.base))
        } catch {
            problem = error
        }
    }

    func record(_ bias: Tensor, absorbedBy weight: WeightMatrix) {
        guard let name = weight.name else { return }
        computed.append(("\(name)\(WeightMatrix.absorbed)", bias))
    }
}
