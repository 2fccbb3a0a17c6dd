public import TensorCore

/// Images in the latent space of Stage A, as Stage B makes them.
public struct ImageLatent: Sendable {
    /// `[batch, height, width, channels]`, of about unit variance: ``StageA/encode(_:)``'s latents
    /// divided by ``StageA/Configuration/latentScale``.
    public var values: Tensor

    /// Latents `[batch, height, width, channels]` of about unit variance.
    public init(values: Tensor) {
        self.values = values
    }
}

extension Image {
    /// An image for each sample of a batch.
    ///
    /// - Parameters:
    ///   - pixels: `[batch, height, width, 3]`, 0…1; what is outside is clamped.
    ///   - maker: Where the pixels come from, for the error's message.
    /// - Returns: The images.
    /// - Throws: ``WuerstchenError`` with code `notFinite` when some of them are not finite.
    public static func images(
        _ pixels: Tensor, madeBy maker: String = "the network"
    ) throws -> [Image] {
        guard pixels.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "\(maker) gave values that are not numbers; its weights or its input are damaged")
        }
        return try (0..<pixels.shape[0]).map { sample in
            try Image(
                width: pixels.shape[2], height: pixels.shape[1],
                pixels: pixels[sample..<sample + 1].bytes)
        }
    }

    /// The image as `[1, height, width, 3]`, 0…1.
    public var tensor: Tensor {
        Tensor(bytes: pixels, [1, height, width, 3])
    }
}
