import ArgumentParser
import ExampleSupport
import Wuerstchen

/// How both stages sample, beside their steps.
struct SamplingArguments: ParsableArguments {
    @Option(
        help: """
            The sampler of both stages: ddpm, as published; ddim; or euler, heun (twice the work) \
            and dpmpp-2m, which stages that are flows take too. (default: the model's own)
            """)
    var sampler: SamplingMethod?

    @Option(
        help: """
            The times that guidance is restricted to, such as 0.2-0.8 of 0, clean, to 1, noise; at \
            others its second pass is left out, which saves time. (default: 0-1)
            """, transform: { try TimeInterval($0) })
    var guidanceInterval: TimeInterval?

    @Option(
        help: """
            How far guided predictions are scaled back to the contrast of unguided ones, 0 to 1; \
            0.7 tames a strong guidance. (default: 0)
            """)
    var guidanceRescale: Float?

    @Flag(
        help: """
            End ddpm and ddim at the clean prediction, without the trace of noise that the published \
            schedule leaves.
            """)
    var cleanEnd = false

    /// How the stages of a cascade sample; nil for each that nothing was said about.
    func options(
        _ cascade: Cascade, stageC: (steps: Int?, guidance: Float?),
        stageB: (steps: Int?, guidance: Float?)
    ) throws -> (stageC: SamplingOptions?, stageB: SamplingOptions?) {
        let c = try cascade.stageCSampling(
            steps: stageC.steps, guidance: stageC.guidance, method: sampler)
        let b = try cascade.stageBSampling(
            steps: stageB.steps, guidance: stageB.guidance, method: sampler)
        guard guidanceInterval != nil || guidanceRescale != nil || cleanEnd else { return (c, b) }
        let standard = try cascade.completed(GenerationRequest("", stageC: c, stageB: b))
        return (standard.stageC.map(adjusted), standard.stageB.map(adjusted))
    }

    private func adjusted(_ options: SamplingOptions) -> SamplingOptions {
        var result = options
        if let guidanceInterval { result.guidanceInterval = guidanceInterval.times }
        if let guidanceRescale { result.guidanceRescale = guidanceRescale }
        result.endsClean = cleanEnd
        return result
    }
}

/// Times from the command line, such as 0.2-0.8.
struct TimeInterval {
    let times: ClosedRange<Float>

    init(times: ClosedRange<Float>) {
        self.times = times
    }

    /// - Throws: `ValidationError` for what is no interval.
    init(_ text: String) throws {
        let ends = text.split(separator: "-").compactMap { Float($0) }
        guard ends.count == 2, text.filter({ $0 == "-" }).count == 1 else {
            throw ValidationError("two times with - between them are needed, such as 0.2-0.8")
        }
        guard ends[0] <= ends[1] else {
            throw ValidationError("the smaller time comes first: \(ends[1])-\(ends[0])")
        }
        times = ends[0]...ends[1]
    }
}
