internal import TensorCore

/// What an adapter that is to be trained is like: its layers, their rank and how much of them
/// counts.
public struct LoRAConfiguration: Sendable, Hashable {
    /// Rows of A, and columns of B. A layer of few inputs or outputs has half as many at most.
    public var rank: Int
    /// How much of the product counts, times the rank; the rank where it is nil, so that the
    /// product counts as it is.
    public var alpha: Float?
    /// The layers.
    public var layers: LoRALayers

    /// An adapter of the given rank; see the properties.
    public init(rank: Int = 8, alpha: Float? = nil, layers: LoRALayers = .all) {
        self.rank = rank
        self.alpha = alpha
        self.layers = layers
    }

    /// Refuses numbers that make no sense.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest`.
    public func validate() throws {
        guard (1...4096).contains(rank), alpha.map({ $0.isFinite && $0 != 0 }) ?? true else {
            throw WuerstchenError(
                .invalidRequest,
                "a LoRA of rank \(rank) and alpha \(alpha ?? Float(rank)); the rank must be from 1 to "
                    + "4096 and alpha a number other than 0")
        }
        try layers.validate()
    }

    /// The layer of a weight, with A drawn as PyTorch draws linear layers and B of zeros, so that
    /// the network begins as it is without it; nil where the weight gets none.
    ///
    /// - Parameters:
    ///   - request: The weight, as the network asks for it.
    ///   - source: Draws A.
    /// - Returns: The module's name and its layer.
    /// - Throws: What the source throws.
    public func layer(
        _ request: ParameterRequest, from source: any ParameterSource
    ) throws -> (module: String, layer: LoRA.Layer)? {
        guard LoRA.isAdaptable(request), let module = LoRA.module(of: request.name),
            layers.contains(module, request.role)
        else { return nil }
        let shape = request.shape
        // Factors of more than half the rank of the weight would be no smaller than the weight.
        let rank = max(1, min(self.rank, min(shape[0], shape[1]) / 2))
        let factor = ParameterRequest(
            module + ".lora_A.weight", [rank, shape[1]], initializer: .fanIn())
        guard case .found(let down) = try source.parameter(factor) else { return nil }
        let share = (alpha ?? Float(self.rank)) / Float(self.rank)
        return (
            module,
            LoRA.Layer(
                down: down, up: Tensor(repeating: 0, [shape[0], rank]), alpha: share * Float(rank))
        )
    }
}

/// Which layers of a network get an adapter: by what their weights are to the network, or by the
/// names of their modules.
public struct LoRALayers: Sendable, Hashable {
    /// Patterns that a name must match one of, with `*` for any text: `blocks.*.attention.*`.
    public var patterns: [String]
    /// What the weight may be to its layer.
    public var roles: Set<ParameterRole>

    /// Layers of the given patterns and roles; by default of every layer between others.
    public init(_ patterns: [String] = ["*"], roles: Set<ParameterRole> = [.weight]) {
        self.patterns = patterns
        self.roles = roles
    }

    /// All linear layers and 1×1 convolutions but those that take what the network takes and make
    /// what it returns.
    public static let all = LoRALayers()
    /// Queries, keys, values and results of attention.
    public static let attention = LoRALayers([
        "*attention.to_*", "*self_attn.*_proj",
    ])

    /// Whether a layer is meant.
    func contains(_ module: String, _ role: ParameterRole) -> Bool {
        roles.contains(role) && patterns.contains { LoRALayers.matches(module[...], $0[...]) }
    }

    func validate() throws {
        guard !patterns.isEmpty, patterns.allSatisfy({ !$0.isEmpty }) else {
            throw WuerstchenError(
                .invalidRequest,
                "no layers for a LoRA; name some by a pattern such as *attention*, or take all")
        }
    }

    /// Whether a text matches a pattern: its parts between stars are looked for from left to right.
    private static func matches(_ text: Substring, _ pattern: Substring) -> Bool {
        let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
        guard let first = parts.first, let last = parts.last, parts.count > 1 else {
            return text == pattern
        }
        guard text.hasPrefix(first) else { return false }
        var rest = text.dropFirst(first.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let place = rest.firstRange(of: part) else { return false }
            rest = rest[place.upperBound...]
        }
        return rest.hasSuffix(last)
    }
}
