extension StageB: FeatureStage {
    /// The width of the deepest level.
    public static func featureChannels(of configuration: Configuration) -> [Int] {
        configuration.channels.suffix(1)
    }
}
