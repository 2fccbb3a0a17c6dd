public import TensorCore

/// The velocity field of a stage under some conditioning: what moves noise to data along
/// `dy/dτ = v(y, τ)`.
///
/// For a network that predicts noise this is an exact view of it, its probability-flow ODE in other
/// variables (see ``FlowMap``); networks that were trained as flows predict the velocity
/// themselves.
public struct FlowField: Sendable {
    /// What a network sees in the flow's latents; any two of these follow from the third and the
    /// latents.
    public struct Prediction: Sendable {
        /// `v = u − ε`
        public let velocity: Tensor
        /// The clean latent u, normalised.
        public let clean: Tensor
        /// The noise ε.
        public let noise: Tensor
    }

    /// The flow's variables.
    public let map: FlowMap
    private let denoiser: GuidedDenoiser
    private let kind: PredictionKind

    /// The field of a network.
    ///
    /// - Parameters:
    ///   - name: The network's name, for messages.
    ///   - map: The flow's variables.
    ///   - guidance: The weight of classifier-free guidance; up to 1 there is none.
    ///   - kind: What the network predicts.
    ///   - network: The prediction for diffusion's noisy latents, `[batch, height, width,
    ///     channels]`, in their shape, and the time of each. Under guidance the latents come
    ///     twice, first to be seen with what to lead to, then with what to lead away from.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` for a weight that is no number of
    ///   ordinary size.
    public init(
        _ name: String, map: FlowMap, guidance: Float = 1, predicting kind: PredictionKind,
        network: @escaping @Sendable (_ latents: Tensor, _ times: [Float]) throws -> Tensor
    ) throws {
        self.init(
            GuidedDenoiser(name, guidance: try Guidance(weight: guidance), network), map: map,
            predicting: kind)
    }

    init(_ denoiser: GuidedDenoiser, map: FlowMap, predicting kind: PredictionKind) {
        self.map = map
        self.denoiser = denoiser
        self.kind = kind
    }

    /// What the network sees at one time.
    ///
    /// - Parameters:
    ///   - y: The flow's latents, `[batch, height, width, channels]`.
    ///   - flowTime: τ, 0 for noise to 1 for data.
    /// - Returns: Velocity, clean latents and noise.
    /// - Throws: `CancellationError` when the task is cancelled, ``WuerstchenError`` with code
    ///   `invalidRequest` for times that are not in 0…1, and what the network throws.
    public func callAsFunction(_ y: Tensor, at flowTime: Double) throws -> Prediction {
        try callAsFunction(y, at: [Double](repeating: flowTime, count: y.shape[0]))
    }

    /// What the network sees at a time of its own for each sample.
    public func callAsFunction(_ y: Tensor, at flowTimes: [Double]) throws -> Prediction {
        guard flowTimes.count == y.shape[0], flowTimes.allSatisfy({ (0...1).contains($0) }) else {
            throw WuerstchenError(
                .invalidRequest,
                "a flow's times are \(flowTimes.prefix(8)) for \(y.shape[0]) samples; there must be one "
                    + "for each, from 0 to 1")
        }
        let points = flowTimes.map { map.point(flowTime: $0) }
        let x = y.scaled(
            bySample: points.map { Float($0.scale) },
            shift: points.map { Float($0.signal * map.mean) })
        let predicted = try denoiser(x, points.map(\.time))
        if kind != .noise {
            let velocity =
                kind == .velocity ? predicted : FlowMap.velocity(to: predicted, y, at: flowTimes)
            return Prediction(
                velocity: velocity,
                clean: kind == .clean
                    ? predicted
                    : y + predicted.scaled(bySample: flowTimes.map { Float(1 - $0) }),
                noise: y - velocity.scaled(bySample: flowTimes.map { Float($0) }))
        }
        // u = (y − (1 − τ) ε) / τ, where τ is no smaller than what a clamped schedule reaches.
        let clean =
            y.scaled(bySample: points.map { Float(1 / $0.flowTime) })
            - predicted.scaled(bySample: points.map { Float((1 - $0.flowTime) / $0.flowTime) })
        return Prediction(velocity: clean - predicted, clean: clean, noise: predicted)
    }

    /// The same at one time for all, refusing what is not a number; `place` says where that is.
    func checked(
        _ y: Tensor, at flowTime: Double, _ place: @autoclosure () -> String
    ) throws -> Prediction {
        let seen = try self(y, at: flowTime)
        try denoiser.require(seen.velocity, place())
        return seen
    }

    /// The flow's latents that unit noise stands for: the noise itself, but for the trace of data
    /// that a clamped schedule leaves at time 1.
    public func start(_ noise: Tensor) -> Tensor {
        map.flowState(noise, at: map.point(time: 1))
    }
}

extension Tensor {
    /// The elements of each sample times its factor, plus its shift.
    package func scaled(bySample factors: [Float], shift: [Float] = []) -> Tensor {
        let channels = shape.channels
        let scaled = scaledChannels(
            bySample: Tensor(
                factors.flatMap { [Float](repeating: $0, count: channels) },
                [factors.count, channels]))
        guard shift.contains(where: { $0 != 0 }) else { return scaled }
        let width = count / max(1, shape[0])
        return scaled
            + Tensor(shift.flatMap { [Float](repeating: $0, count: width) }, shape)
    }
}
