public import TensorCore

/// A stage whose network can judge latents: a discriminator looks at its inner features (Sauer et
/// al., "Fast High-Resolution Image Synthesis with Latent Adversarial Diffusion Distillation",
/// 2024).
///
/// What denoises latents at every noise level has learnt what they and their captions are like.
public protocol FeatureStage: TrainableStage {
    /// The configuration of a network that has what features need, and little more. It begins with
    /// the parameters of the same names.
    static func featureConfiguration(of configuration: Configuration) -> Configuration

    /// Channels of each tensor of features.
    static func featureChannels(of configuration: Configuration) -> [Int]

    /// What the network sees in latents.
    ///
    /// - Parameters:
    ///   - x: The noisy latents, `[batch, height, width, latentChannels]`.
    ///   - times: For each sample the time, 0 for clean to 1 for noise.
    ///   - conditioning: What the network is given beside them.
    /// - Returns: Features `[batch, height, width, channels]` from the inside of the network, each
    ///   at a resolution of its own.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` when the
    ///   latents do not fit.
    func features(_ x: Tensor, times: [Float], conditioning: Conditioning) throws -> [Tensor]
}

extension FeatureStage {
    /// By default the whole network.
    public static func featureConfiguration(of configuration: Configuration) -> Configuration {
        configuration
    }
}
