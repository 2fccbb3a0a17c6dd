internal import TensorCore

/// An image that a request starts from, in place of noise alone.
///
/// Both stages can start in the middle: the image becomes latents of theirs, noise of the strength
/// is added, and sampling begins there (Meng et al., "SDEdit", 2022). Under a mask the latents
/// around it are put back after each step, so that what is redrawn fits in.
public struct ImageEdit: Sendable, Hashable {
    /// The image. It is resized and cut to the size of the request, see ``Image/fitted(to:)``;
    /// where that names none, the image's own counts.
    public var image: Image
    /// What is redrawn, in the size of the image; nil for everything.
    ///
    /// Pixels outside the mask come back exactly as they were, after the image was fitted.
    public var mask: ImageMask?
    /// How far Stage C redraws the content: from 0, where the stage is left out and the semantic
    /// latent is the image's, to 1, where nothing is left of that.
    public var stageCStrength: Float
    /// How far Stage B redraws the details, from 0, where they are the image's, to 1.
    public var stageBStrength: Float
    /// The width of the soft seam within the mask, in pixels.
    public var seam: Int

    /// An edit of the given values.
    public init(
        _ image: Image, stageCStrength: Float, stageBStrength: Float, mask: ImageMask? = nil,
        seam: Int = 8
    ) {
        self.image = image
        self.mask = mask
        self.stageCStrength = stageCStrength
        self.stageBStrength = stageBStrength
        self.seam = seam
    }

    /// The image redrawn to a prompt.
    ///
    /// - Parameters:
    ///   - image: The image.
    ///   - strength: How far, from just above 0 to 1, which leaves nothing of it.
    ///   - mask: What is redrawn; nil for everything.
    /// - Returns: The edit.
    public static func redraw(
        _ image: Image, strength: Float, mask: ImageMask? = nil
    ) -> ImageEdit {
        ImageEdit(image, stageCStrength: strength, stageBStrength: strength, mask: mask)
    }

    /// Another image of the same content: what the semantic compressor keeps of it, drawn by
    /// Stage B from noise.
    ///
    /// - Parameters:
    ///   - image: The image.
    ///   - strength: How far the content changes too, from 0, not at all, to 1.
    /// - Returns: The edit.
    public static func variation(of image: Image, strength: Float = 0) -> ImageEdit {
        ImageEdit(image, stageCStrength: strength, stageBStrength: 1)
    }

    /// The image through Stage A and back, which no edit can be better than.
    public static func reconstruction(of image: Image) -> ImageEdit {
        ImageEdit(image, stageCStrength: 0, stageBStrength: 0)
    }

    func validate() throws {
        for (stage, strength) in [("Stage C", stageCStrength), ("Stage B", stageBStrength)] {
            guard (0...1).contains(strength) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(stage) has a strength of \(strength); it must be from 0, which keeps the "
                        + "image, to 1, which leaves nothing of it")
            }
        }
        guard (0...1024).contains(seam) else {
            throw WuerstchenError(
                .invalidRequest, "a seam of \(seam) pixels; it must be from 0 to 1024")
        }
        if let mask, mask.size != image.size {
            throw WuerstchenError(
                .invalidRequest,
                "the mask has \(mask.size) pixels and the image \(image.size); they must be of the "
                    + "same size")
        }
        guard mask?.isEmpty != true else {
            throw WuerstchenError(
                .invalidRequest,
                "the mask selects nothing: no pixel of it is transparent or brighter than black; "
                    + "mark in it what is to be redrawn")
        }
    }

    /// The size that a request has which names none: the image's, with sides in range.
    var size: ImageSize {
        func side(_ pixels: Int) -> Int {
            min(max(pixels, ImageSize.range.lowerBound), ImageSize.range.upperBound)
        }
        return ImageSize(width: side(image.width), height: side(image.height))
    }

    func fitted(to size: ImageSize) throws -> ImageEdit {
        var result = self
        result.image = try image.fitted(to: size)
        result.mask = try mask?.fitted(to: size)
        guard result.mask?.isEmpty != true else {
            throw WuerstchenError(
                .invalidRequest,
                "the mask selects nothing of the \(size) pixels in the middle that are kept of the "
                    + "image; ask for a size of its aspect ratio, \(image.width):\(image.height)")
        }
        return result
    }

    /// The same in the middle of a larger image, as a decoder makes it that cannot make the size.
    func padded(to size: ImageSize) throws -> ImageEdit {
        var result = self
        result.image = try image.padded(to: size)
        result.mask = try mask?.padded(to: size)
        return result
    }

    /// Whether Stage B's part needs the image's latents.
    var keepsDetails: Bool { stageBStrength < 1 || mask != nil }
    /// Whether Stage C's part needs the image's semantic latent.
    var keepsContent: Bool { stageCStrength < 1 || mask != nil }
}
