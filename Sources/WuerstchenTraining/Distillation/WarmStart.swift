public import TensorCore

/// What a training begins with in place of initial parameters: weights that were trained before,
/// each of which must fit.
public struct WarmStart: Sendable {
    /// The weights under their names in the training.
    public let parameters: [String: Tensor]
    /// The names, in the training, of the network's parameters that begin as initial ones do.
    public let new: [String]

    /// Finds the place of each weight.
    ///
    /// - Parameters:
    ///   - weights: The weights under the network's own names.
    ///   - scope: The network's scope in the training.
    ///   - initial: The training's initial parameters.
    ///   - layers: Layers that are meant to begin anew, such as `out.1` for the last layer of a
    ///     student whose teacher predicts something else. Their weights are left out.
    ///   - origin: Where the weights are from, for messages.
    /// - Throws: `WuerstchenError` with code `incompatibleParameters` that lists every weight
    ///   that has no place or another shape.
    public init(
        _ weights: [String: Tensor], scope: String, in initial: TrainableParameters,
        renewing layers: Set<String> = [], from origin: String
    ) throws {
        var parameters: [String: Tensor] = [:]
        var (unknown, misshapen): ([String], [String]) = ([], [])
        for (name, value) in weights {
            let place = "\(scope).\(name)"
            guard !layers.contains(where: { name.hasPrefix($0 + ".") }) else { continue }
            switch initial.values[place]?.shape {
            case nil: unknown.append(name)
            case value.shape: parameters[place] = value
            case let shape?: misshapen.append("\(name) is \(value.shape), expected \(shape)")
            }
        }
        guard unknown.isEmpty, misshapen.isEmpty else {
            let lists = [("unknown", unknown), ("misshapen", misshapen)].filter { !$0.1.isEmpty }
            throw WuerstchenError(
                .incompatibleParameters,
                "\(origin) does not fit the network that is to begin with it; "
                    + lists.map {
                        "\($0.1.count) \($0.0): \($0.1.sorted().joined(separator: ", "))"
                    }.joined(separator: "; "))
        }
        self.parameters = parameters
        new = initial.values.keys.filter {
            $0.hasPrefix("\(scope).") && parameters[$0] == nil
        }.sorted()
    }
}
