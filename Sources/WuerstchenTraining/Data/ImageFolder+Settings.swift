extension ImageFolder: CustomTrainingSettings {
    /// How batches are made, and of what: the number of images, and their fingerprint. Where the
    /// folder lies does not matter.
    public var trainingSettings: TrainingSettings {
        var settings = TrainingSettings(of: options)
        // What states that are older do not know, where it changes nothing.
        if options.tags == nil { settings["tags"] = nil }
        if !options.countsRepeats { settings["countsRepeats"] = nil }
        settings.add(imageCount, at: "images")
        settings["namesSizesAndCaptions"] = .text(fingerprint)
        return settings
    }
}
