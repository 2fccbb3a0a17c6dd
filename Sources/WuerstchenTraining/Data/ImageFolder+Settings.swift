extension ImageFolder: CustomTrainingSettings {
    /// How batches are made, and of what: the number of images, and a digest of their names, sizes
    /// and captions. Where the folder lies does not matter.
    public var trainingSettings: TrainingSettings {
        var settings = TrainingSettings(of: options)
        settings.add(imageCount, at: "images")
        let images = buckets.flatMap(\.images)
        let files = concurrentMap(images.count) { index in
            let image = images[index]
            return "\(image.name)\n\(image.size)\n\(caption(of: image))"
        }
        settings["namesSizesAndCaptions"] = .text(SettingsDigest(of: files).description)
        return settings
    }
}
