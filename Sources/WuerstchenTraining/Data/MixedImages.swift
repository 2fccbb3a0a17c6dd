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
        let (before, after) = (Int(Double(number) * share), Int(Double(number + 1) * share))
        return after > before
            ? try kept.batch(before, count: count)
            : try images.batch(number - before, count: count)
    }
}
