import Foundation
import Synchronization
import Wuerstchen
import WuerstchenMiniature

/// Keeps images from being made until it is opened.
final class Gate: Sendable {
    private let state = Mutex((isOpen: false, arrivals: 0))

    var arrivals: Int { state.withLock { $0.arrivals } }

    func open() { state.withLock { $0.isOpen = true } }

    /// Waits on the library's own thread, as a network would compute there.
    func pass() throws {
        state.withLock { $0.arrivals += 1 }
        while !state.withLock({ $0.isOpen }) {
            try Task.checkCancellation()
            Thread.sleep(forTimeInterval: 0.002)
        }
    }
}

/// Makes grey images of any size, behind a gate.
struct GatedDecoder: LatentDecoder {
    let gate: Gate

    func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? {
        Int((Double(side) * space.pixelsPerPosition).rounded(.up))
    }

    func stepCount(for request: GenerationRequest) -> Int { 0 }

    func decoding(
        of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
    ) throws -> any LatentDecoding {
        Decoding(gate: gate, count: latent.values.shape[0])
    }

    private struct Decoding: LatentDecoding {
        let gate: Gate
        let count: Int

        mutating func next() throws -> SamplingStep? { nil }

        mutating func finish() throws -> [Image] {
            try gate.pass()
            let grey = try Image(
                width: 8, height: 8, pixels: [UInt8](repeating: 128, count: 8 * 8 * 3))
            return [Image](repeating: grey, count: count)
        }
    }
}

extension Cascade {
    /// The small cascade, loaded once for all tests.
    static let small = Result { try Cascade.miniature(.fewSteps) }

    /// Its Stage C in front of a gate.
    static func gated(by gate: Gate) throws -> Cascade {
        var cascade = try small.get()
        cascade.decoder = GatedDecoder(gate: gate)
        return cascade
    }
}
