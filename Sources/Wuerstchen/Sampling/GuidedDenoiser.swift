package import TensorCore

/// A network as a function of noisy latents, with its conditioning and under guidance.
package struct GuidedDenoiser: Sendable {
    /// Predicts the noise (or velocity) in latents at a time, given for each. Under guidance the
    /// latents come twice, first to be seen with the prompts, then with the negative prompts.
    package typealias Network = @Sendable (_ latents: Tensor, _ times: [Float]) throws -> Tensor

    private let stage: String
    private let guidance: Float?
    private let network: Network

    /// - Parameters:
    ///   - stage: The stage, for messages.
    ///   - guidance: The weight of guidance; nil for none.
    ///   - network: The network.
    package init(_ stage: String, guidance: Float?, _ network: @escaping Network) {
        self.stage = stage
        self.guidance = guidance
        self.network = network
    }

    /// The prediction, moved away from the unconditional one by classifier-free guidance:
    /// `unconditional + weight · (conditional − unconditional)`.
    package func callAsFunction(_ latent: Tensor, _ times: [Float]) throws -> Tensor {
        guard let guidance else { return try network(latent, times) }
        let batch = latent.shape[0]
        let both = try network(Tensor.concatenating([latent, latent]), times + times)
        return Tensor.combine(
            guidance, both[0..<batch], 1 - guidance, both[batch..<2 * batch])
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
