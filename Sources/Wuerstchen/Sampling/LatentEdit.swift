public import TensorCore

/// Clean latents that a stage starts from and keeps to, rather than make everything from noise
/// (Meng et al., "SDEdit", 2022).
public struct LatentEdit: Sendable {
    /// The clean latents, `[1, height, width, channels]` or one for each image, as the stage makes
    /// them.
    public var latents: Tensor
    /// How much noise they get: the time that sampling begins at, from just above 0, which changes
    /// next to nothing, to 1, which leaves nothing of them.
    public var strength: Float
    /// What is made anew, `[1, height, width, 1]`: 1 where it is, 0 where the latents stay; in
    /// between, the time from which on it is, so that it is a strength of each position (Levin and
    /// Fried, "Differential Diffusion", 2023). Nil for everything.
    public var mask: Tensor?

    /// Latents to start from.
    public init(_ latents: Tensor, strength: Float, mask: Tensor? = nil) {
        self.latents = latents
        self.strength = strength
        self.mask = mask
    }

    /// Refuses a strength that sampling cannot begin at.
    static func validate(strength: Float) throws {
        guard strength > 0, strength <= 1 else {
            throw WuerstchenError(
                .invalidRequest,
                "a strength of \(strength); it must be more than 0, which changes nothing, and at "
                    + "most 1, which leaves nothing of the image")
        }
    }

    /// How a stage samples from a strength on: at the times below it.
    package static func options(
        _ options: SamplingOptions, from strength: Float, _ stage: StageDescription
    ) throws -> SamplingOptions {
        try validate(strength: strength)
        guard strength < options.timesteps.times[0] else { return options }
        if let steps = stage.flow?.steps {
            throw WuerstchenError(
                .invalidRequest,
                "this \(stage.name) was distilled to \(FlowConfiguration.words(steps: steps)) from "
                    + "pure noise and cannot start at a strength of \(strength); use the stage that "
                    + "it was distilled from, or a strength of 1")
        }
        var result = options
        result.timesteps = try Timesteps(
            [strength] + options.timesteps.times.filter { $0 < strength })
        return result
    }

    /// The latents for every image of a shape.
    func latents(for shape: Shape, _ stage: String) throws -> Tensor {
        guard latents.shape.rank == 4, latents.shape[0] == 1 || latents.shape[0] == shape[0],
            (1..<4).allSatisfy({ latents.shape[$0] == shape[$0] })
        else {
            throw WuerstchenError(
                .invalidRequest,
                "\(stage) was given latents \(latents.shape) to start from where \(shape) are "
                    + "needed")
        }
        guard latents.shape[0] < shape[0] else { return latents }
        return Tensor.concatenating([Tensor](repeating: latents, count: shape[0]))
    }

    /// The mask for every element of a shape.
    func mask(for shape: Shape, _ stage: String) throws -> Tensor? {
        guard let mask else { return nil }
        guard mask.shape == [1, shape[1], shape[2], 1] else {
            throw WuerstchenError(
                .invalidRequest,
                "\(stage) was given a mask \(mask.shape) where [1, \(shape[1]), \(shape[2]), 1] is "
                    + "needed")
        }
        let row = mask.elements.flatMap { [Float](repeating: $0, count: shape[3]) }
        return Tensor((0..<shape[0]).flatMap { _ in row }, shape)
    }
}

/// Keeps latents outside a mask to those of an image, with the noise of the time.
struct KeptLatents: Sendable {
    /// The clean latents, in the variables of the sampler.
    let clean: Tensor
    /// The noise that sampling started from.
    let noise: Tensor
    /// The time from which on latents are made anew; 0 for never.
    let mask: Tensor

    /// Latents with what is not made anew yet at a time replaced by `signal · clean + deviation ·
    /// noise`.
    func replacing(
        _ latents: Tensor, at time: Float, signal: Float, deviation: Float
    ) -> Tensor {
        let kept = Tensor.combine(signal, clean, deviation, noise)
        let isFree = Tensor(mask.elements.map { $0 > 0 && $0 >= time ? 1 : 0 }, mask.shape)
        return kept + isFree * (latents - kept)
    }
}
