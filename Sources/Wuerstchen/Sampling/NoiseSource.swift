public import TensorCore

/// Where a sampler's random numbers come from.
public protocol NoiseSource: Sendable {
    /// The next standard normal numbers, `[batch, height, width, channels]`. A sampler asks once
    /// for the noise to start from and once for each step.
    mutating func next(batch: Int, height: Int, width: Int, channels: Int) -> Tensor
}

/// One of PyTorch's generators for each image: image k is the same alone as in a batch.
///
/// The numbers are those that diffusers draws on the CPU for a list of generators. Their order is
/// channel by channel.
public struct SeededNoise: NoiseSource {
    private var generators: [TorchGenerator]

    /// The number of images that there is a generator for.
    public var count: Int { generators.count }

    /// A generator for each seed, that is for each image.
    public init(seeds: [UInt64]) {
        generators = seeds.map { TorchGenerator(seed: $0) }
    }

    /// The next numbers of each image's generator.
    ///
    /// - Precondition: `batch` is the number of seeds.
    public mutating func next(batch: Int, height: Int, width: Int, channels: Int) -> Tensor {
        precondition(batch == generators.count, "\(generators.count) seeds for \(batch) images")
        let count = channels * height * width
        return Tensor.concatenating(
            generators.indices.map { image in
                Tensor(generators[image].normal(count), [1, channels, height, width])
                    .channelsLast()
            })
    }
}

/// One of PyTorch's generators for a whole batch, as diffusers uses a single one.
public struct SharedNoise: NoiseSource {
    private var generator: TorchGenerator

    /// A generator for all images together.
    public init(seed: UInt64) {
        generator = TorchGenerator(seed: seed)
    }

    /// The next numbers, image by image and channel by channel.
    public mutating func next(batch: Int, height: Int, width: Int, channels: Int) -> Tensor {
        Tensor(
            generator.normal(batch * channels * height * width), [batch, channels, height, width]
        ).channelsLast()
    }
}
