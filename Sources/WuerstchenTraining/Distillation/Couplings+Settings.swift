extension Couplings: CustomTrainingSettings {
    /// How the pairs were made, how many there are, and a digest of them.
    public var trainingSettings: TrainingSettings {
        var settings = TrainingSettings(of: record)
        settings.add(count, at: "pairs")
        settings["latentsAndConditions"] = .text(SettingsDigest(of: shards).description)
        return settings
    }
}
