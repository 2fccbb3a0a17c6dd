public import TensorCore

/// What Stage B learns from, of captioned images.
public struct EncodedBatch: Sendable {
    /// What the compressor makes of the images, `[batch, rows, columns, 16]`.
    public var semantic: Tensor
    /// Stage A's latents of them, of about unit variance, `[batch, height, width, channels]`.
    public var latents: Tensor
    /// A caption for each.
    public var captions: [String]

    /// A batch of the given latents.
    public init(semantic: Tensor, latents: Tensor, captions: [String]) {
        self.semantic = semantic
        self.latents = latents
        self.captions = captions
    }
}

/// Images whose latents are kept, so that Stage B need not compute them at each step.
///
/// They must be those of the Stage A and the compressor of the objective.
public protocol EncodedImageSource: ImageSource {
    /// The latents of a batch, the same for the same number and count.
    ///
    /// - Throws: What reading them throws.
    func encoded(_ number: Int, count: Int) throws -> EncodedBatch
}
