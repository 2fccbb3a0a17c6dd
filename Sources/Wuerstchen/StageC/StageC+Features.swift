public import TensorCore

extension StageC: FeatureStage {
    /// The first three quarters of the blocks.
    ///
    /// The stack has no encoder, so that features are taken on the way. More of it sees more, and
    /// costs as much as the stage itself (Lin et al., "Diffusion Adversarial Post-Training for
    /// One-Step Video Generation", 2025, take all).
    public static func featureConfiguration(of configuration: Configuration) -> Configuration {
        var result = configuration
        result.depth = (3 * configuration.depth + 3) / 4
        return result
    }

    /// The network's width for each place where features are taken.
    public static func featureChannels(of configuration: Configuration) -> [Int] {
        taps(of: configuration).map { _ in configuration.channels }
    }

    /// The features after two thirds of the blocks and after all, and of a deep stack after five
    /// sixths too: earlier ones see statistics, later ones meaning.
    public func features(
        _ x: Tensor, times: [Float], conditioning: Conditioning
    ) throws -> [Tensor] {
        try features(
            x, times: times, text: conditioning.text, after: StageC.taps(of: configuration))
    }

    private static func taps(of configuration: Configuration) -> [Int] {
        let depth = configuration.depth
        let parts = (depth >= 12 ? [4, 5, 6] : [4, 6]).map { (depth * $0 + 5) / 6 }
        return Set(parts).sorted()
    }
}
