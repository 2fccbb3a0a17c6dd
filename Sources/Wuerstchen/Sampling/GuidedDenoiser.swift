package import TensorCore

/// A network as a function of noisy latents, with its conditioning and under guidance.
package struct GuidedDenoiser: Sendable {
    /// Predicts the noise (or velocity) in latents at a time, given for each. Under guidance the
    /// latents come twice, first to be seen with the prompts, then with the negative prompts.
    package typealias Network = @Sendable (_ latents: Tensor, _ times: [Float]) throws -> Tensor

    private let stage: String
    private let guidance: Guidance
    private let network: Network
    private let unguided: Network?

    /// - Parameters:
    ///   - stage: The stage, for messages.
    ///   - guidance: The guidance.
    ///   - unguided: The network that is given the latents once, to be seen with the prompts, at
    ///     times without guidance; without it `network` does what is then thrown away.
    ///   - network: The network.
    package init(
        _ stage: String, guidance: Guidance, unguided: Network? = nil,
        _ network: @escaping Network
    ) {
        self.stage = stage
        self.guidance = guidance
        self.unguided = unguided
        self.network = network
    }

    /// The prediction, moved away from the unconditional one by classifier-free guidance:
    /// `unconditional + weight · (conditional − unconditional)`.
    package func callAsFunction(_ latent: Tensor, _ times: [Float]) throws -> Tensor {
        guard let weight = guidance.weight else { return try network(latent, times) }
        let isGuided = times.contains { guidance.interval.contains($0) }
        if !isGuided, let unguided { return try unguided(latent, times) }
        let batch = latent.shape[0]
        let both = try network(Tensor.concatenating([latent, latent]), times + times)
        let prompted = both[0..<batch]
        guard isGuided else { return prompted }
        let guided = Tensor.combine(weight, prompted, 1 - weight, both[batch..<2 * batch])
        guard guidance.rescale > 0 else { return guided }
        let share = guidance.rescale
        return guided.scaled(
            bySample: (0..<batch).map { sample in
                let deviation = guided[sample..<sample + 1].standardDeviation
                guard deviation > 0 else { return 1 }
                return share * prompted[sample..<sample + 1].standardDeviation / deviation
                    + 1 - share
            })
    }

    /// Refuses a prediction that is not a number; `place` says where that is.
    package func require(_ predicted: Tensor, _ place: @autoclosure () -> String) throws {
        guard predicted.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "\(stage) predicted values that are not numbers in \(place()); its weights are damaged or "
                    + "the guidance is too strong")
        }
    }
}

extension Tensor {
    /// The standard deviation of all elements.
    fileprivate var standardDeviation: Float {
        let mean = mean().elements[0]
        return max(0, meanSquare().elements[0] - mean * mean).squareRoot()
    }
}
