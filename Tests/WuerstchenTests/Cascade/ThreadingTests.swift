import Foundation
import TensorCore
import Testing
import Wuerstchen

@Suite("Swift's own threads") struct ThreadingTests {
    /// Holds everyone who comes until the gate is opened.
    private final class Gate: @unchecked Sendable {
        private let condition = NSCondition()
        private var isOpen = false
        private var waiting = 0

        var count: Int { condition.withLock { waiting } }

        /// - Returns: Whether the gate was opened in time.
        func pass() -> Bool {
            condition.withLock {
                waiting += 1
                let limit = Date(timeIntervalSinceNow: 60)
                while !isOpen, condition.wait(until: limit) {}
                return isOpen
            }
        }

        func open() {
            condition.withLock {
                isOpen = true
                condition.broadcast()
            }
        }
    }

    private struct WaitingDecoder: LatentDecoder, LatentDecoding {
        let gate: Gate

        func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? {
            11 * side
        }
        func stepCount(for request: GenerationRequest) -> Int { 0 }
        func decoding(
            of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
        ) throws -> any LatentDecoding { self }
        mutating func next() throws -> SamplingStep? { nil }
        mutating func finish() throws -> [Image] {
            guard gate.pass() else { throw WuerstchenError(.invalidRequest, "waited in vain") }
            let pixels = [UInt8](repeating: 9, count: 3 * 132 * 132)
            return [try Image(width: 132, height: 132, pixels: pixels)]
        }
    }

    @Test("more generations than Swift has threads leave those free")
    func freedom() async throws {
        let gate = Gate()
        var cascade = try TinyCascade.load()
        cascade.decoder = WaitingDecoder(gate: gate)
        let request = try TinyCascade.request(stageCSteps: 1)
        let tasks = (0..<2 * Threads.availableProcessors + 2).map { _ in
            Task { [cascade] in try await cascade.images(for: request).count }
        }
        // All of them are in the middle of their work, and this test and another task still run.
        while gate.count < tasks.count {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(await Task { 6 * 7 }.value == 42)
        gate.open()
        for task in tasks { #expect(try await task.value == 1) }
    }
}
