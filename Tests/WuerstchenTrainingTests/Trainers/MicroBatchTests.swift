import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenScenes
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite("Micro-batches") struct MicroBatchTests {
    private func trainer(
        _ microBatches: Int, file: URL? = nil, resumes: Bool = false
    ) throws -> Trainer<PreviewObjective> {
        var options = TrainingOptions(steps: 3, batchSize: 4, peakRate: 1e-3)
        options.precision = .float32
        options.microBatches = microBatches
        options.checkpointInterval = 0
        let compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 4))
        return try Trainer(
            PreviewObjective(
                images: SceneImages(seed: 2, crop: 64), compressor: compressor),
            options, file: file, resumes: resumes)
    }

    @Test("their averaged gradient is that of the whole batch", arguments: [2, 4])
    func gradients(_ count: Int) throws {
        var (whole, parts) = (try trainer(1), try trainer(count))
        let (first, second) = (try whole.next(), try parts.next())
        let (one, other) = (try #require(first), try #require(second))
        #expect(abs(one.loss - other.loss) < 1e-4 * abs(one.loss))
        for (name, memory) in whole.state.optimizer.memories {
            let mean = try #require(memory.tensors["first"])
            let found = try #require(parts.state.optimizer.memories[name]?.tensors["first"])
            let size = mean.meanSquare().elements[0]
            let error = (mean - found).meanSquare().elements[0]
            #expect(error <= 1e-6 * size, "\(name)")
        }
    }

    @Test("a run with them goes on to the same bits, and not with another number of them")
    func resuming() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var whole = try trainer(2)
        while try whole.next() != nil {}
        var first = try trainer(2, file: file)
        _ = try first.next()
        #expect(throws: WuerstchenError.self) { try trainer(1, file: file, resumes: true) }
        var second = try trainer(2, file: file, resumes: true)
        while try second.next() != nil {}
        for (name, value) in whole.state.parameters.values {
            #expect(value.elements == second.state.parameters.values[name]?.elements, "\(name)")
        }
        #expect(throws: WuerstchenError.self) { try trainer(3) }
    }
}
