/// New images and images that are to be kept in mind, in turns: fine-tuning on the new ones alone
/// forgets what was learnt before.
public struct MixedImages: ImageSource {
    /// The new images.
    public var images: any ImageSource
    /// Images of what was learnt before.
    public var kept: any ImageSource
    /// The share of batches of images that are kept in mind, from 0 up to 1.
    public var share: Double

    /// A mixture in which a share of the batches is of images that are to be kept in mind.
    ///
    /// - Precondition: The share is at least 0 and below 1.
    public init(_ images: any ImageSource, keeping kept: any ImageSource, share: Double) {
        precondition((0..<1).contains(share), "a share of \(share)")
        (self.images, self.kept, self.share) = (images, kept, share)
    }

    /// A batch of one kind. Each kind's batches come in their own order, with none left out.
    public func batch(_ number: Int, count: Int) throws -> ImageBatch {
        try Turn(of: number, share: share)
            .take({ try images.batch($0, count: count) }, { try kept.batch($0, count: count) })
    }
}

/// The same of semantic latents.
struct MixedSemantics: SemanticSource {
    let semantics: any SemanticSource
    let kept: any SemanticSource
    let share: Double

    var latentChannels: Int? { semantics.latentChannels }

    func semantics(_ number: Int, count: Int) throws -> SemanticBatch {
        try Turn(of: number, share: share).take(
            { try semantics.semantics($0, count: count) },
            { try kept.semantics($0, count: count) })
    }
}

/// The same of images with all that Stage B learns from.
struct MixedEncodedImages: EncodedImageSource {
    let images: any EncodedImageSource
    let kept: any EncodedImageSource
    let share: Double

    func batch(_ number: Int, count: Int) throws -> ImageBatch {
        try MixedImages(images, keeping: kept, share: share).batch(number, count: count)
    }

    func encoded(_ number: Int, count: Int) throws -> EncodedBatch {
        try Turn(of: number, share: share).take(
            { try images.encoded($0, count: count) }, { try kept.encoded($0, count: count) })
    }
}

/// Of which kind a batch is, and which of that kind.
private struct Turn {
    private let isKept: Bool
    private let number: Int

    init(of number: Int, share: Double) {
        let (before, after) = (Int(Double(number) * share), Int(Double(number + 1) * share))
        isKept = after > before
        self.number = isKept ? before : number - before
    }

    func take<Batch>(_ new: (Int) throws -> Batch, _ kept: (Int) throws -> Batch) rethrows -> Batch
    {
        try isKept ? kept(number) : new(number)
    }
}
