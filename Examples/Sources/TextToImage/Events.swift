import Foundation
import Wuerstchen

/// What happens, on standard output: a JSON object on each line.
struct Events {
    private struct Line: Encodable {
        var event: String
        /// Which request of several, from 1.
        var request: Int?
        var prompt: String?
        var seed: UInt64?
        var count: Int?
        var width: Int?
        var height: Int?
        var checkpoint: String?
        var stage: String?
        /// From 1, within the stage.
        var step: Int?
        var steps: Int?
        /// From 1, within all of the request.
        var done: Int?
        var total: Int?
        var path: String?
        /// Since the request began.
        var seconds: Double?
        var code: String?
        var message: String?
    }

    private let isOn: Bool
    private let clock = ContinuousClock()
    private var begin: ContinuousClock.Instant
    private var number = 0

    init(_ isOn: Bool) {
        self.isOn = isOn
        begin = clock.now
    }

    /// A request begins.
    mutating func start(_ request: GenerationRequest, _ cascade: Cascade) {
        number += 1
        begin = clock.now
        let size = request.size ?? cascade.defaultSize
        write(
            Line(
                event: "start", request: number, prompt: request.prompt, seed: request.seed,
                count: request.count, width: size.width, height: size.height,
                checkpoint: cascade.name))
    }

    func step(_ step: GenerationStep) {
        write(
            Line(
                event: "step", request: number, stage: step.stage.description,
                step: step.stageIndex + 1, steps: step.stageCount, done: step.index + 1,
                total: step.total, seconds: seconds))
    }

    func preview(_ file: URL) {
        write(Line(event: "preview", request: number, path: file.path))
    }

    func image(_ file: URL, seed: UInt64) {
        write(
            Line(
                event: "image", request: number, seed: seed, path: file.path, seconds: seconds))
    }

    func error(_ error: any Error) {
        let code = (error as? WuerstchenError).map(\.code.rawValue)
        write(
            Line(
                event: "error", request: number == 0 ? nil : number, code: code,
                message: (error as? WuerstchenError)?.message ?? "\(error)"))
    }

    private var seconds: Double {
        let time = (clock.now - begin) / .milliseconds(1)
        return time.rounded() / 1000
    }

    private func write(_ line: Line) {
        guard isOn else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let json = try? encoder.encode(line) else { return }
        // Whoever read it may be gone, which is no reason to lose the work.
        try? FileHandle.standardOutput.write(contentsOf: json + Data("\n".utf8))
    }
}
