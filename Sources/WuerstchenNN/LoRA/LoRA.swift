public import TensorCore

/// A low-rank adapter of a network: for some of its layers two thin matrices, whose product is
/// added to the layer's weight (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
/// 2021).
///
/// Layers are told by the names of the network's modules, such as `blocks.2.attention.to_q`; no
/// network has to know of it. ``AdaptedParameters`` puts it beside a network's parameters, and
/// ``MergedParameters`` into them.
public struct LoRA: Sendable {
    /// What is added to the weight of one linear layer or 1×1 convolution:
    /// `alpha / rank · up · down`.
    public struct Layer: Sendable {
        /// A, `[rank, inputs]`.
        public var down: Tensor
        /// B, `[outputs, rank]`.
        public var up: Tensor
        /// How much of the product counts, times the rank.
        public var alpha: Float

        /// A layer of the given factors, `[rank, inputs]` and `[outputs, rank]`; alpha is the rank
        /// if it is not given, so that the product counts as it is.
        ///
        /// - Precondition: The ranks agree.
        public init(down: Tensor, up: Tensor, alpha: Float? = nil) {
            precondition(
                down.shape.rank == 2 && up.shape.rank == 2 && down.shape[0] == up.shape[1],
                "a LoRA layer of \(down.shape) and \(up.shape)")
            self.down = down
            self.up = up
            self.alpha = alpha ?? Float(down.shape[0])
        }

        /// Rows of A.
        public var rank: Int { down.shape[0] }

        /// Whether it can be added to a weight that is stored in a shape.
        public func fits(_ shape: Shape) -> Bool {
            LoRA.isMatrix(shape) && shape[0] == up.shape[0] && shape[1] == down.shape[1]
        }
    }

    /// The layers by the names of their modules.
    public var layers: [String: Layer]

    /// An adapter of the given layers.
    public init(_ layers: [String: Layer] = [:]) {
        self.layers = layers
    }

    /// The number of numbers.
    public var count: Int { layers.values.reduce(0) { $0 + $1.down.count + $1.up.count } }

    /// The ranks that there are, in ascending order.
    public var ranks: [Int] { Set(layers.values.map(\.rank)).sorted() }

    /// The module that a weight belongs to; nil for parameters that are no `….weight`.
    static func module(of parameter: String) -> String? {
        let suffix = ".weight"
        return parameter.hasSuffix(suffix) ? String(parameter.dropLast(suffix.count)) : nil
    }

    /// Whether a weight stored in this shape is a matrix: that of a linear layer or of a 1×1
    /// convolution.
    static func isMatrix(_ shape: Shape) -> Bool {
        shape.rank == 2 || (shape.rank == 4 && shape[2] == 1 && shape[3] == 1)
    }

    /// Whether a weight can have an adapter: the matrix of a linear layer or of a 1×1 convolution.
    static func isAdaptable(_ request: ParameterRequest) -> Bool {
        request.role.isWeight && request.role != .depthwiseWeight && isMatrix(request.shape)
            && module(of: request.name) != nil
    }

    /// The layers of a network that can have an adapter: the shapes of their weights, by the names
    /// of their modules.
    ///
    /// - Parameter build: Builds the network.
    /// - Returns: The shapes.
    /// - Throws: What building throws.
    public static func layers(
        of build: (any ParameterSource) throws -> Void
    ) throws -> [String: Shape] {
        var result: [String: Shape] = [:]
        for request in try ParameterRequest.all(of: build) where isAdaptable(request) {
            if let module = module(of: request.name) { result[module] = request.shape }
        }
        return result
    }

    /// What is added to the weight that a layer asks for; nil for nothing.
    ///
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` when it has another shape
    ///   than the weight.
    func update(of request: ParameterRequest, scale: UpdateScale) throws -> WeightUpdate? {
        guard let module = LoRA.module(of: request.name), let layer = layers[module] else {
            return nil
        }
        return try LoRA.update(of: request, layer, module, scale: scale)
    }

    private static func update(
        of request: ParameterRequest, _ layer: Layer, _ module: String, scale: UpdateScale
    ) throws -> WeightUpdate {
        guard layer.fits(request.shape) else {
            throw WuerstchenError(
                .incompatibleParameters,
                "the LoRA of \(module) is \(layer.up.shape) times \(layer.down.shape), and the weight "
                    + "\(request.shape)")
        }
        return WeightUpdate(
            down: layer.down, up: layer.up, factor: layer.alpha / Float(layer.rank), scale: scale)
    }
}

// MARK: Among other parameters

extension LoRA {
    /// What names of A, B and alpha end in where they are among other parameters, as in PEFT, which
    /// knows no alpha there.
    private static let (down, up, alpha) = (".lora_A.weight", ".lora_B.weight", ".alpha")

    /// Whether a parameter is A or B of an adapter: what training changes of it.
    public static func isFactor(_ name: String) -> Bool {
        name.hasSuffix(down) || name.hasSuffix(up)
    }

    /// The module whose adapter a parameter belongs to; nil for a network's own parameters.
    public static func module(ofAdapter name: String) -> String? {
        [down, up, alpha].first(where: name.hasSuffix).map { String(name.dropLast($0.count)) }
    }

    /// The adapter of one module among parameters; nil where there is none.
    public static func layer(_ module: String, in values: [String: Tensor]) -> Layer? {
        guard let down = values[module + down], let up = values[module + up],
            down.shape.rank == 2, up.shape.rank == 2, down.shape[0] == up.shape[1]
        else { return nil }
        return Layer(down: down, up: up, alpha: values[module + alpha]?.elements.first)
    }

    /// What the adapter of a weight adds to it, if there is one among some parameters.
    ///
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` when it has another shape
    ///   than the weight.
    public static func update(
        of request: ParameterRequest, in values: [String: Tensor]
    ) throws -> WeightUpdate? {
        guard let module = module(of: request.name), let layer = layer(module, in: values) else {
            return nil
        }
        return try update(of: request, layer, module, scale: UpdateScale())
    }

    /// The adapter among some parameters, such as those of a training.
    public init(in values: [String: Tensor]) {
        self.init()
        for module in Set(values.keys.compactMap(LoRA.module(ofAdapter:))) {
            layers[module] = LoRA.layer(module, in: values)
        }
    }

    /// The adapter as parameters: A, B and alpha of each layer.
    public var values: [String: Tensor] {
        var result: [String: Tensor] = [:]
        for (module, layer) in layers {
            result[module + LoRA.down] = layer.down
            result[module + LoRA.up] = layer.up
            result[module + LoRA.alpha] = Tensor([layer.alpha], [])
        }
        return result
    }
}
