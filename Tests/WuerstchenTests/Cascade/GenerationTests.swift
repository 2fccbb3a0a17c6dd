import Foundation
import TensorCore
import Testing
import Wuerstchen

@Suite("Watching a generation") struct GenerationTests {
    @Test("the steps of both stages in order, then the images, then nothing")
    func events() async throws {
        let cascade = try TinyCascade.load()
        let request = try TinyCascade.request(
            size: ImageSize(width: 150, height: 128), count: 2, stageCSteps: 3, stageBSteps: 2)
        var iterator = cascade.generation(of: request).makeAsyncIterator()
        for index in 0..<5 {
            guard case .step(let step) = try await iterator.next() else {
                Issue.record("event \(index) is no step")
                return
            }
            let isStageC = index < 3
            #expect(step.index == index && step.total == 5)
            #expect(step.stageIndex == (isStageC ? index : index - 3))
            #expect(step.stageCount == (isStageC ? 3 : 2))
            #expect(!step.promptFindings.isPromptTruncated)
            #expect(step.stage == (isStageC ? .stageC : .stageB))
            #expect(step.predictedClean.shape == (isStageC ? [2, 12, 15, 10] : [2, 32, 40, 4]))
            #expect(step.predictedClean.isFinite)
            #expect((step.semanticLatent != nil) == isStageC)
            #expect(step.semanticLatent.map(\.space) == (isStageC ? cascade.latentSpace : nil))
        }
        guard case .images(let images, first: 0) = try await iterator.next() else {
            Issue.record("the sixth event is not the end")
            return
        }
        #expect(images.map(\.size) == [request.size, request.size])
        #expect(try images == cascade.makeImages(for: request))
        for _ in 0..<3 { #expect(try await iterator.next() == nil) }
    }

    @Test("iterating again starts the request anew")
    func restart() async throws {
        let generation = try TinyCascade.load().generation(of: TinyCascade.request())
        var images: [[Image]] = []
        for _ in 0..<2 {
            var steps = 0
            for try await event in generation {
                switch event {
                case .step: steps += 1
                case .images(let made, _): images.append(made)
                }
            }
            #expect(steps == 4)
        }
        #expect(images.count == 2 && images.first == images.last)
    }

    @Test("big requests are made in batches, which changes no image")
    func batches() async throws {
        var cascade = try TinyCascade.load()
        cascade.decoder = PreviewDecoder()
        let size = ImageSize(width: 300, height: 1000)
        cascade.latentSpace.pixelsPerPosition = 100
        let request = try TinyCascade.request(size: size, count: 5)
        var indices: [Int] = []
        var stageIndices: [Int] = []
        var images: [Image] = []
        for try await event in cascade.generation(of: request) {
            switch event {
            case .step(let step):
                indices.append(step.index)
                stageIndices.append(step.stageIndex)
                #expect(step.stageCount == 2)
                #expect(step.total % 2 == 0 && step.index < step.total)
            case .images(let made, let first):
                // As soon as they are done, before the next batch begins.
                #expect(first == images.count && indices.count == (first / 3 + 1) * 2)
                images += made
            }
        }
        #expect(indices == Array(indices.indices))
        #expect(stageIndices == indices.map { $0 % 2 })
        #expect(images.count == 5)
        for (index, image) in images.enumerated() {
            let alone = try TinyCascade.request(size: size, seed: 7 + UInt64(index))
            #expect(try cascade.makeImages(for: alone) == [image])
        }
    }

    @Test("embeddings of a prompt that was too long say so themselves")
    func truncatedEmbeddings() async throws {
        let cascade = try TinyCascade.load()
        for prompt in ["house", String(repeating: "red house ", count: 40)] {
            var request = try TinyCascade.request(prompt)
            request.embeddings = try cascade.embeddings(of: prompt)
            for try await event in cascade.generation(of: request) {
                guard case .step(let step) = event else { continue }
                #expect(step.promptFindings.isPromptTruncated == (prompt != "house"))
            }
        }
    }

    @Test("steps tell of a prompt that was too long")
    func truncation() async throws {
        let cascade = try TinyCascade.load()
        let long = String(repeating: "red house ", count: 40)
        for (prompt, negative) in [("house", ""), (long, ""), ("house", long), (long, long)] {
            let request = try TinyCascade.request(prompt, negativePrompt: negative)
            for try await event in cascade.generation(of: request) {
                if case .step(let step) = event {
                    #expect(step.promptFindings.isPromptTruncated == (prompt == long))
                    #expect(step.promptFindings.unreadPrompt.isEmpty == (prompt != long))
                    #expect(step.promptFindings.unreadNegativePrompt.isEmpty == (negative != long))
                    #expect(step.promptFindings.isNegativePromptTruncated == (negative == long))
                }
            }
        }
    }

    @Test("breaking out of the loop stops the work")
    func breaking() async throws {
        let counter = Counter()
        var cascade = try TinyCascade.load()
        cascade.decoder = CountingDecoder(counter: counter)
        for try await event in try cascade.generation(of: TinyCascade.request(stageCSteps: 3)) {
            if case .step(let step) = event, step.index == 1 { break }
        }
        // Work is done only when it is asked for: the decoder was never reached.
        try await Task.sleep(for: .milliseconds(50))
        #expect(counter.value == 0)
    }

    @Test("a request that is wrong fails before any step")
    func wrongRequest() async throws {
        let generation = try TinyCascade.load().generation(of: TinyCascade.request(count: 0))
        await #expect(throws: WuerstchenError.self) {
            for try await _ in generation { Issue.record("there was an event") }
        }
    }

    @Test("the prediction ends in the latent itself")
    func convergence() throws {
        let cascade = try TinyCascade.load()
        let text = try cascade.textEncoder().encode("a house")
        var sampler = try cascade.stageC().sampler(
            text, grid: SemanticGrid(rows: 5, columns: 4), noise: SeededNoise(seeds: [3]),
            options: SamplingOptions(timesteps: Timesteps(count: 6), guidance: 2))
        var distances: [Float] = []
        while let step = try sampler.next() {
            #expect(step.index == distances.count && step.count == 6)
            let difference = step.latent - step.predictedClean
            distances.append(difference.elements.map(abs).max() ?? .infinity)
        }
        // At time 0 the schedule still has a ten-thousandth of noise, which the last step leaves.
        let scale = sampler.latent.elements.map(abs).max() ?? 0
        #expect(distances.count == 6)
        #expect(try #require(distances.last) <= 0.02 * scale)
        #expect(try #require(distances.first) > 0.1 * scale)
        #expect(try sampler.next() == nil)
    }
}

/// Counts from any thread.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0

    var value: Int { lock.withLock { count } }

    func add() { lock.withLock { count += 1 } }
}

/// A decoder that counts how often it is begun, and makes one grey image.
struct CountingDecoder: LatentDecoder {
    let counter: Counter

    func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? { 11 * side }

    func stepCount(for request: GenerationRequest) -> Int { 0 }

    func decoding(
        of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
    ) throws -> any LatentDecoding {
        counter.add()
        return Grey(grid: latent.grid)
    }

    struct Grey: LatentDecoding {
        let grid: SemanticGrid

        mutating func next() throws -> SamplingStep? { nil }

        mutating func finish() throws -> [Image] {
            let (width, height) = (11 * grid.columns, 11 * grid.rows)
            return [
                try Image(
                    width: width, height: height,
                    pixels: Array(repeating: 128, count: 3 * width * height))
            ]
        }
    }
}
