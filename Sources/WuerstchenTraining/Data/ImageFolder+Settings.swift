extension ImageFolder: CustomTrainingSettings {
    /// How batches are made, and of what: the number of images, and their fingerprint. Where the
    /// folder lies does not matter.
    public var trainingSettings: TrainingSettings {
        var settings = TrainingSettings(of: options)
        settings.add(imageCount, at: "images")
        settings["namesSizesAndCaptions"] = .text(fingerprint)
        return settings
    }
}
