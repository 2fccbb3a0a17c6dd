import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// The tiny random cascade of the fixtures: the published layout and every kind of block in a few
/// tens of thousand parameters, 10.7 pixels to a position of the semantic latent.
enum TinyCascade {
    static let directory = (Bundle.module.resourceURL ?? URL(fileURLWithPath: "."))
        .appendingPathComponent("Fixtures/parity/checkpoint")

    private static let loaded = Result { try Cascade(contentsOf: directory) }

    /// One cascade for all tests; it is a value that nothing changes.
    static func load() throws -> Cascade { try loaded.get() }

    static func copy() throws -> CheckpointCopy { try CheckpointCopy(of: directory) }

    static func prior() throws -> CheckpointFolder {
        try CheckpointFolder(directory.appendingPathComponent("wuerstchen-prior"))
    }

    static func main() throws -> CheckpointFolder {
        try CheckpointFolder(directory.appendingPathComponent("wuerstchen"))
    }

    /// A request of few steps for small images.
    static func request(
        _ prompt: String = "a red house", negativePrompt: String = "",
        size: ImageSize = ImageSize(width: 128, height: 128), seed: UInt64 = 7, count: Int = 1,
        stageCSteps: Int = 2, stageCGuidance: Float = 3, stageBSteps: Int = 2,
        stageBGuidance: Float = 0
    ) throws -> GenerationRequest {
        GenerationRequest(
            prompt, negativePrompt: negativePrompt, size: size, seed: seed, count: count,
            stageC: SamplingOptions(
                timesteps: try Timesteps(count: stageCSteps), guidance: stageCGuidance),
            stageB: SamplingOptions(
                timesteps: try Timesteps(count: stageBSteps), guidance: stageBGuidance))
    }
}
