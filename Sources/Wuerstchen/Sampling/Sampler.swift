public import TensorCore

/// Turns noise into latents step by step, on demand.
///
/// Samplers are values: a copy goes on from where the original is, independently of it.
public protocol Sampler: Sendable {
    /// The latents that the next step starts from; after the last one, the result.
    var latent: Tensor { get }
    /// The source of random numbers, for whatever goes on after the last step.
    var noise: any NoiseSource { get }
    /// The number of steps.
    var count: Int { get }

    /// Takes the next step.
    ///
    /// - Returns: The step, or nil when all have been taken.
    /// - Throws: `CancellationError` between blocks of the network when the task is cancelled, or
    ///   ``WuerstchenError`` with code `notFinite` that names the stage.
    mutating func next() throws -> SamplingStep?
}

/// What a step of a sampler leads to.
public struct SamplingStep: Sendable {
    /// The step's number, from 0.
    public let index: Int
    /// The number of steps.
    public let count: Int
    /// The latents after the step, `[batch, height, width, channels]`.
    public let latent: Tensor
    /// What the network now takes the clean latents to be: what a preview should show.
    public let predictedClean: Tensor
    /// The noise that was predicted, after guidance.
    public let predictedNoise: Tensor

    /// A step, as a sampler of your own gives it.
    public init(
        index: Int, count: Int, latent: Tensor, predictedClean: Tensor, predictedNoise: Tensor
    ) {
        self.index = index
        self.count = count
        self.latent = latent
        self.predictedClean = predictedClean
        self.predictedNoise = predictedNoise
    }
}
