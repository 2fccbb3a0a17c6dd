package import TensorCore
package import WuerstchenNN

/// The semantic compressor's golden parameters, which are made from their names by the rule in the
/// manifest instead of being stored.
package struct RuleParameters: ParameterSource {
    package let origin = "the manifest's rule for the semantic compressor"
    package let names: Set<String>?
    private let shapes: [String: [Int]]
    private let seed: UInt32

    /// The parameters of a manifest, but for the names in `excluded`.
    package init(_ manifest: JSON, excluding excluded: Set<String> = []) throws {
        guard let rule = manifest["semantic_compressor_weights"], let seed = rule["seed"]?.int,
            let keys = rule["keys_and_shapes"]?.object
        else { throw FixtureProblem("the manifest has no semantic_compressor_weights") }
        self.seed = UInt32(truncatingIfNeeded: seed)
        shapes = keys.mapValues { ($0.array ?? []).compactMap(\.int) }
            .filter { !excluded.contains($0.key) }
        names = Set(shapes.keys)
    }

    package func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let (name, shape) = (request.name, request.shape)
        guard let stored = shapes[name] else { return .missing }
        return stored == shape.array ? .found(values(name, shape)) : .misshapen("\(stored)")
    }

    package func values(_ name: String, _ shape: Shape) -> Tensor {
        var hash: UInt32 = 0x811c_9dc5
        for byte in name.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        let start = hash ^ seed
        let (offset, factor) = map(name, shape)
        return Tensor(shape) { target in
            for index in target.indices {
                var h = UInt32(truncatingIfNeeded: index) &* 0x9e37_79b9 &+ start
                h ^= h >> 16
                h = h &* 0x85eb_ca6b
                h ^= h >> 13
                h = h &* 0xc2b2_ae35
                h ^= h >> 16
                let u = Float(h >> 8) * 0x1p-23 - 1
                target[index] = offset == 0 ? factor * u : offset + factor * u
            }
        }
    }

    /// What u in −1..<1 is multiplied with and what is added.
    private func map(_ name: String, _ shape: Shape) -> (offset: Float, factor: Float) {
        if name.hasSuffix(".bias") || name.hasSuffix(".running_mean") { return (0, 0.1) }
        if name.hasSuffix(".running_var") { return (1, 0.5) }
        if shape.rank < 2 { return (1, 0.2) }
        let inputs = shape.count(of: 1..<shape.rank)
        return (0, Float((3 * gain(name, shape) / Double(inputs)).squareRoot()))
    }

    private func gain(_ name: String, _ shape: Shape) -> Double {
        let parts = name.split(separator: ".").map(String.init)
        if name.contains(".fc1.") || name.contains(".fc2.") { return 0.5 }
        if shape[1] == 1 && shape[2] == 3 { return 2 }
        if parts[0] == "backbone", parts.count > 5 {
            let isFirst = parts[2] == "0"
            if ["2", "3"].contains(parts[1]), parts[4] == "1" { return isFirst ? 1 : 0.1 }
            if ["4", "5", "6"].contains(parts[1]), parts[4] == "3" { return isFirst ? 4 : 0.3 }
        }
        if name.hasPrefix("backbone.1.") { return 0.3 }
        if name.hasPrefix("backbone.7.") { return 3 }
        if name.hasPrefix("mapper.") { return 1 }
        return 2
    }
}
