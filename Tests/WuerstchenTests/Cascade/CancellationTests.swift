import Foundation
import TensorCore
import Testing
import Wuerstchen

@Suite("Cancellation") struct CancellationTests {
    /// Ends the task that it is called from.
    private static func cancelCurrentTask() {
        withUnsafeCurrentTask { $0?.cancel() }
    }

    /// Names that a trace saw, in order.
    private final class Seen: @unchecked Sendable {
        private let lock = NSLock()
        private var names: [String] = []

        var all: [String] { lock.withLock { names } }

        func add(_ name: String) { lock.withLock { names.append(name) } }
    }

    @Test("Stage C stops within one block")
    func stageC() async throws {
        let seen = Seen()
        let task = Task {
            let stage = try TinyCascade.prior().stageC(space: SemanticLatentSpace())
            let conditioning = try stage.prepare(text: Tensor(repeating: 0.1, [1, 3, 18]))
            _ = try stage.predict(
                Tensor(repeating: 0.5, [1, 4, 4, 10]), times: [0.5], conditioning: conditioning
            ) { name, _ in
                seen.add(name)
                if name == "block_1" { Self.cancelCurrentTask() }
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        // The first is a residual block with the timestep block behind it.
        #expect(seen.all.filter { $0.hasPrefix("block_") } == ["block_1"])
    }

    @Test("Stage B stops within one block")
    func stageB() async throws {
        let seen = Seen()
        let task = Task {
            let stage = try TinyCascade.main().stageB(
                space: SemanticLatentSpace(latentsPerPosition: 2.7))
            let conditioning = try stage.prepare(
                semantic: Tensor(repeating: 0.5, [1, 3, 3, 10]),
                text: Tensor(repeating: 0.1, [1, 3, 12]))
            _ = try stage.predict(
                Tensor(repeating: 0.5, [1, 8, 8, 4]), times: [0.5], conditioning: conditioning
            ) { name, _ in
                seen.add(name)
                if name == "down_level_0" { Self.cancelCurrentTask() }
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(seen.all.last == "down_level_0")
    }

    @Test("every network refuses to begin in a cancelled task")
    func everyNetwork() async throws {
        let cascade = try TinyCascade.load()
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let latent = SemanticLatent(values: Tensor(repeating: 0.5, [1, 3, 3, 10]))
        let works: [@Sendable () throws -> Void] = [
            { _ = try cascade.textEncoder().encode("a house") },
            { _ = try decoder.textEncoder().encode("a house") },
            { _ = try decoder.stageA().encode(Tensor(repeating: 0.5, [1, 8, 8, 3])) },
            {
                _ = try decoder.stageA().decode(
                    ImageLatent(values: Tensor(repeating: 0.5, [1, 2, 2, 4])))
            },
            { _ = try cascade.image(for: "a house", size: ImageSize(width: 128, height: 128)) },
            {
                let text = TextEmbedding<StageB>(prompts: Tensor(repeating: 0.5, [1, 3, 12]))
                _ = try decoder.stageB().sample(latent, text: text, seed: 0)
            },
        ]
        for (number, work) in works.enumerated() {
            let task = Task {
                Self.cancelCurrentTask()
                try work()
            }
            await #expect(throws: CancellationError.self, "work \(number)") {
                try await task.value
            }
        }
    }

    @Test("a cancelled generation throws and never gives an image")
    func generation() async throws {
        let cascade = try TinyCascade.load()
        let request = try TinyCascade.request(stageCSteps: 10_000)
        // Cancelled by itself: another task might have to wait for a thread.
        let task = Task {
            var last = 0
            do {
                for try await event in cascade.generation(of: request) {
                    guard case .step(let step) = event else { break }
                    last = step.index
                    if last == 1 { Self.cancelCurrentTask() }
                }
            } catch is CancellationError { return last }
            return Int.max
        }
        #expect(try await task.value == 1)
    }

    @Test("cancelling while the decoder is at work gives no image")
    func decoder() async throws {
        struct Cancelling: LatentDecoder, LatentDecoding {
            func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? {
                11 * side
            }
            func stepCount(for request: GenerationRequest) -> Int { 1 }
            func decoding(
                of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
            ) throws -> any LatentDecoding {
                CancellationTests.cancelCurrentTask()
                return self
            }
            mutating func next() throws -> SamplingStep? { nil }
            mutating func finish() throws -> [Image] {
                Issue.record("the decoder was asked to finish")
                return []
            }
        }
        var cascade = try TinyCascade.load()
        cascade.decoder = Cancelling()
        let request = try TinyCascade.request(stageCSteps: 1)
        let asynchronous = Task { [cascade] in try await cascade.images(for: request) }
        await #expect(throws: CancellationError.self) { try await asynchronous.value }
        let synchronous = Task { [cascade] in try cascade.makeImages(for: request) }
        await #expect(throws: CancellationError.self) { try await synchronous.value }
    }

    @Test("an iterator that has thrown has come to its end")
    func afterwards() async throws {
        let cascade = try TinyCascade.load()
        let task = Task {
            var iterator = try cascade.generation(of: TinyCascade.request()).makeAsyncIterator()
            _ = try await iterator.next()
            Self.cancelCurrentTask()
            do {
                _ = try await iterator.next()
                return false
            } catch is CancellationError {}
            return try await iterator.next() == nil
        }
        #expect(try await task.value)
    }
}
