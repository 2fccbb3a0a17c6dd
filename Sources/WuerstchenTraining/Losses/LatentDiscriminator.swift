public import TensorCore
public import WuerstchenNN

/// Tells a teacher's latents from a student's, position by position and beside the noise that they
/// came from, under least squares (Mao et al., "Least Squares Generative Adversarial Networks",
/// 2017).
///
/// A student that learns a mean error takes the middle of what it cannot tell apart; that, a
/// discriminator sees. InstaFlow has a perceptual distance in this place, which latents have none
/// of. Because it sees the noise, too, it asks for the teacher's latent of this noise rather than
/// for any (Lin et al., "SDXL-Lightning", 2024). It is thrown away after training.
public struct LatentDiscriminator: Sendable {
    private let patch: Int
    private let inputs: (latents: Convolution, noise: Convolution)
    private let layers: [Convolution]
    private let output: Convolution

    /// A discriminator whose parameters the source may make up.
    ///
    /// - Parameters:
    ///   - source: The parameters.
    ///   - channels: Channels of the latents.
    ///   - patch: Side of the squares of the latents that are folded into channels first.
    ///   - precision: The numbers that the large matrices are multiplied with.
    ///   - width: Channels of the layers.
    /// - Throws: `WuerstchenError` when parameters are missing, surplus or misshapen.
    public init(
        _ source: any ParameterSource, channels: Int, patch: Int = 1,
        precision: Precision = .float32, width: Int = 96
    ) throws {
        self.patch = patch
        let folded = channels * patch * patch
        func convolution(_ scope: Parameters, _ inputs: Int, _ outputs: Int) throws -> Convolution {
            try Convolution(scope, inputs, outputs, kernel: 3, padding: 1)
        }
        (inputs, layers, output) = try Parameters.load(from: source, precision: precision) { root in
            (
                (
                    latents: try convolution(root["latents"], folded, width),
                    noise: try convolution(root["noise"], folded, width)
                ), try (0..<3).map { try convolution(root["layers"][$0], width, width) },
                try convolution(root["output"], width, 1)
            )
        }
    }

    /// How much like the teacher's each position looks: 1 for its own latents, 0 for the student's.
    ///
    /// - Parameters:
    ///   - latents: Normalised latents, `[batch, height, width, channels]`.
    ///   - noise: The noise that they came from, of the same shape.
    /// - Returns: `[batch, height / patch, width / patch, 1]`.
    public func callAsFunction(_ latents: Tensor, _ noise: Tensor) -> Tensor {
        let first =
            (inputs.latents(latents.pixelUnshuffled(patch))
            + inputs.noise(noise.pixelUnshuffled(patch))).activated(.leakyReLU)
        return output(layers.reduce(first) { $1($0, .leakyReLU) })
    }
}
