import ArgumentParser
import ExampleSupport
import Wuerstchen

/// What is asked of every prompt.
struct RequestArguments: ParsableArguments {
    @Option(help: "The negative prompt: what guidance leads away from.")
    var negative = ""

    @Option(help: "Width in pixels, 128 to 4096. (default: what the checkpoint was trained at)")
    var width: Int?

    @Option(help: "Height in pixels, 128 to 4096. (default: what the checkpoint was trained at)")
    var height: Int?

    @Option(
        help: "The seed of the first image; -1 for a random one, which is printed. (default: -1)")
    var seed: Seed?

    @Option(
        help: ArgumentHelp(
            "The seed of Stage B, to keep what an image shows and change its details.",
            discussion: "Without it Stage B goes on with Stage C's random numbers, as published."))
    var stageBSeed: UInt64?

    @Option(help: "How many images of each prompt; their seeds count up.")
    var count = 1

    @Option(
        help: """
            Sampling steps of Stage C by the best stage for them: where --stage-c is a folder of \
            students, the one of so many steps or the next fewer, or the checkpoint's own for more \
            than any takes.
            """)
    var steps: Int?

    @Option(help: "Sampling steps of Stage C. (default: the model's own, 60 as published)")
    var stageCSteps: Int?

    @Option(
        help: """
            Guidance scale of Stage C; 1 or less turns guidance off, which halves the time. (default: \
            the model's own, 4 as published)
            """)
    var stageCGuidance: Float?

    @Option(help: "Sampling steps of Stage B. (default: the model's own, 12 as published)")
    var stageBSteps: Int?

    @Option(
        help: """
            Guidance scale of Stage B; 1 or less turns guidance off. (default: the model's own, off as \
            published)
            """)
    var stageBGuidance: Float?

    @OptionGroup(title: "Sampling") var sampling: SamplingArguments

    @OptionGroup(title: "Starting from an image") var edit: EditArguments

    func validate() throws {
        guard steps == nil || stageCSteps == nil else {
            throw ValidationError("--steps and --stage-c-steps exclude each other")
        }
        guard (1...10_000).contains(steps ?? 1) else {
            throw ValidationError("--steps must be from 1 to 10000")
        }
    }

    /// What was given of these, but for images, as the options are called.
    var given: [String] {
        let all: [(String, Bool)] = [
            ("--negative", !negative.isEmpty), ("--width", width != nil),
            ("--height", height != nil), ("--seed", seed != nil),
            ("--stage-b-seed", stageBSeed != nil), ("--count", count != 1),
            ("--steps", steps != nil), ("--stage-c-steps", stageCSteps != nil),
            ("--stage-c-guidance", stageCGuidance != nil),
            ("--stage-b-steps", stageBSteps != nil), ("--stage-b-guidance", stageBGuidance != nil),
            ("--sampler", sampling.sampler != nil),
            ("--guidance-interval", sampling.guidanceInterval != nil),
            ("--guidance-rescale", sampling.guidanceRescale != nil),
            ("--clean-end", sampling.cleanEnd), ("--strength", edit.strength != nil),
            ("--seam", edit.seam != nil),
        ]
        return all.filter(\.1).map(\.0)
    }

    /// The request, without its prompt.
    func request(
        _ cascade: Cascade, seed: UInt64, noting note: (String) -> Void
    ) throws -> GenerationRequest {
        let (c, b) = try sampling.options(
            cascade, stageC: (stageCSteps, stageCGuidance), stageB: (stageBSteps, stageBGuidance))
        var request = GenerationRequest(
            "", negativePrompt: negative, seed: seed, count: count, stageC: c,
            stageB: b, edit: try edit.edit(noting: note), stageBSeed: stageBSeed)
        // What the checkpoint was trained at, or the size of the image that it starts from.
        var size = try cascade.completed(request).size ?? cascade.defaultSize
        if let width { size.width = width }
        if let height { size.height = height }
        request.size = size
        try request.validate()
        return request
    }
}
