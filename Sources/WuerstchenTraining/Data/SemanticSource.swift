public import TensorCore
public import Wuerstchen

/// Semantic latents with captions.
public struct SemanticBatch: Sendable {
    /// `[batch, rows, columns, channels]`, as Stage C makes them.
    public var latents: Tensor
    /// A caption for each.
    public var captions: [String]

    /// A batch of the given latents.
    public init(latents: Tensor, captions: [String]) {
        self.latents = latents
        self.captions = captions
    }
}

/// Semantic latents with captions, such as a compressor makes of images.
public protocol SemanticSource: Sendable {
    /// A batch, the same for the same number and count.
    ///
    /// - Throws: What reading images throws.
    func semantics(_ number: Int, count: Int) throws -> SemanticBatch

    /// Channels of the latents, where they are known without making any.
    var latentChannels: Int? { get }
}

extension SemanticSource {
    /// By default they are not known.
    public var latentChannels: Int? { nil }
}

/// The semantic latents of captioned images of any kind, compressed as they come.
public struct CompressedImages: SemanticSource {
    /// The images.
    public var images: any ImageSource
    /// What makes latents of them.
    public var compressor: SemanticCompressor

    /// Latents of images under a compressor.
    public init(_ images: any ImageSource, compressor: SemanticCompressor) {
        self.images = images
        self.compressor = compressor
    }

    /// The compressor's.
    public var latentChannels: Int? { SemanticCompressor.latentChannels }

    /// The latents and captions of a batch of images.
    public func semantics(_ number: Int, count: Int) throws -> SemanticBatch {
        let batch = try images.batch(number, count: count)
        return SemanticBatch(
            latents: try compressor.encode(batch.pixels).values, captions: batch.captions)
    }
}
