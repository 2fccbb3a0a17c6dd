public import ArgumentParser
public import Foundation
public import Wuerstchen
public import WuerstchenTraining

/// The folder that a command takes images and captions from.
public struct ImageArguments: ParsableArguments, Sendable {
    /// The folder; nil for drawn scenes.
    @Option(
        name: [.customLong("images"), .customLong("pictures")],
        help: """
            A folder of PNG, JPEG or WebP images, each with its caption in a .txt or .caption file of \
            the same name, or all in metadata.jsonl. (default: drawn scenes; cascade and lora need a \
            folder)
            """)
    public var images: String?

    /// Whether the folders in it are looked into.
    @Flag(help: "Look into the folders in the folder of images too.")
    public var subfolders = false

    /// Whether names of folders say how often their images count.
    @Flag(
        help: """
            Look into the folders too, and count the images in one called 10_windmill ten times; \
            "windmill" is the caption of those that have none.
            """)
    public var repeats = false

    /// Whether captions are lists of tags.
    @Flag(help: "Captions are tags with commas between them: their order is another each time.")
    public var shuffleTags = false

    /// How many tags stay where they are.
    @Option(help: "How many tags at the beginning --shuffle-tags leaves where they are.")
    public var keepTags = 0

    /// Nothing named.
    public init() {}

    /// Refuses what is said about a folder where there is none.
    public func validate() throws {
        for (isGiven, option) in [
            (subfolders, "--subfolders"), (repeats, "--repeats"), (shuffleTags, "--shuffle-tags"),
        ] where isGiven && images == nil {
            throw ValidationError("\(option) is for --images")
        }
        guard keepTags == 0 || shuffleTags && keepTags > 0 else {
            throw ValidationError("--keep-tags is a number of tags that --shuffle-tags leaves")
        }
    }

    /// Whether the folders in it are looked into, for whatever reason.
    public var looksDeeper: Bool { subfolders || repeats }

    /// How captions are read as tags; nil where they are not.
    public var tags: CaptionTags? { shuffleTags ? CaptionTags(kept: keepTags) : nil }

    /// The folder's place; nil for drawn scenes.
    public var url: URL? { images.map { URL(fileURLWithPath: $0) } }

    /// The folder with its images; nil for drawn scenes. What is wrong with files goes to standard
    /// error.
    public func folder(_ options: ImageFolderOptions) throws -> ImageFolder? {
        var options = options
        options.includesSubfolders = looksDeeper
        options.countsRepeats = repeats
        options.tags = tags
        return try url.map { try ImageFolder($0, options: options, report: StatusLine().note) }
    }

    /// The captions of the folder, whether there are images or not; nil for drawn scenes.
    public func captions() throws -> CaptionFolder? {
        guard !repeats, !shuffleTags else {
            throw ValidationError(
                "--repeats and --shuffle-tags are for images; captions alone are taken as they are")
        }
        return try url.map {
            try CaptionFolder($0, includesSubfolders: looksDeeper, report: StatusLine().note)
        }
    }
}

/// The folder that a part is trained on.
public struct TrainingFolderArguments: ParsableArguments, Sendable {
    /// The folder.
    @OptionGroup public var source: ImageArguments

    /// The share of its images that is not learnt from; nil for the usual one.
    @Option(
        help: """
            The share of a folder's images that is held out to measure the loss on, 0 to 0.5; 0 for \
            none. (default: 0.05)
            """)
    public var heldOut: Double?

    /// Nothing named.
    public init() {}

    /// Refuses shares that leave too little, or are of nothing.
    public func validate() throws {
        guard (0...0.5).contains(heldOut ?? 0) else {
            throw ValidationError("--held-out must be from 0 to 0.5")
        }
        guard heldOut == nil || images != nil else {
            throw ValidationError("--held-out is for --images")
        }
    }

    /// The folder that was named; nil for drawn scenes.
    public var images: String? { source.images }

    /// The folder with its share held out; nil for drawn scenes.
    public func folder(_ options: ImageFolderOptions) throws -> ImageFolder? {
        var options = options
        options.heldOutShare = heldOut ?? 0.05
        return try source.folder(options)
    }

    /// The images of the folder; nil for drawn scenes.
    public func trainingImages(_ options: ImageFolderOptions) throws -> TrainingImages? {
        try folder(options).map { TrainingImages($0) }
    }
}

/// What a part is trained on.
public struct TrainingImages: Sendable {
    /// Images to learn from.
    public let images: any ImageSource
    /// Images that are not learnt from, where there are any.
    public let heldOut: (any ImageSource)?
    private let folder: ImageFolder?

    /// Images that are made up.
    public init(_ images: any ImageSource, heldOut: (any ImageSource)?) {
        (self.images, self.heldOut, folder) = (images, heldOut, nil)
    }

    /// The images of a folder.
    public init(_ folder: ImageFolder) {
        (images, heldOut, self.folder) = (folder, folder.validation, folder)
    }

    /// The captions of the images that are learnt from; nil where they are made up.
    public var captions: [String]? { folder?.allCaptions }

    /// Says what the folder holds, if it is one.
    ///
    /// - Parameters:
    ///   - tokenizer: What reads the captions; nil where nothing does.
    ///   - isTextOptional: Whether the command has `--no-captions`.
    /// - Throws: `WuerstchenError` when captions are read and there are none.
    public func describe(
        captionsFor tokenizer: CLIPTokenizer? = nil, isTextOptional: Bool = false
    ) throws {
        guard let summary = folder?.summary(tokenizer: tokenizer) else { return }
        StatusLine().note("\(summary)")
        if tokenizer != nil { try summary.requireCaptions(isTextOptional: isTextOptional) }
    }
}
