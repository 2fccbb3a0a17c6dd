import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

@main enum Main {
    static func main() async {
        await TextToImage.main(Prompts.separated(Array(CommandLine.arguments.dropFirst())))
    }
}

struct TextToImage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "text-to-image",
        abstract: "Make an image from a sentence.",
        version: versionText)

    enum Decoder: String, ExpressibleByArgument, CaseIterable {
        case stageB = "stage-b"
        case preview
    }

    @Argument(
        help: "What the image should show, or - for standard input with a prompt on each line.")
    var prompt: String?

    @OptionGroup var cascade: CascadeArguments

    @OptionGroup(title: "Starting from an image") var edit: EditArguments

    @OptionGroup(title: "Sampling") var sampling: SamplingArguments

    @Option(parsing: .unconditional, help: "The negative prompt: what guidance leads away from.")
    var negative = ""

    @Option(help: "Width in pixels, 128 to 4096. (default: what the checkpoint was trained at)")
    var width: Int?

    @Option(help: "Height in pixels, 128 to 4096. (default: what the checkpoint was trained at)")
    var height: Int?

    @Option(
        parsing: .unconditional,
        help: "The seed of the first image; -1 for a random one, which is printed. (default: -1)")
    var seed: Seed?

    @Option(
        help: ArgumentHelp(
            "The seed of Stage B, to keep what an image shows and change its details.",
            discussion: "Without it Stage B goes on with Stage C's random numbers, as published."))
    var stageBSeed: UInt64?

    @Option(help: "How many images of each prompt; their seeds count up.")
    var count = 1

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

    @Option(help: "Guidance scale of Stage B; 1 or less turns guidance off. (default: off)")
    var stageBGuidance: Float?

    @Option(help: "Stages B and A, or the tiny preview decoder in their place.")
    var decoder = Decoder.stageB

    @Option(
        help: """
            Precision of the networks' large matrices. bfloat16 halves memory and time; int8 takes a \
            quarter of the memory and a third of the time. Both change the image a little.
            """)
    var precision = Precision.float32

    @Option(help: "Keep all networks in memory (resident) or one at a time (sequential).")
    var memory = MemoryPolicy.sequential

    @Option(help: "The variant of the weights to load, such as fp16.")
    var variant: String?

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    @Option(help: "A folder for a small preview of each of Stage C's steps.")
    var previews: String?

    @Option(
        parsing: .unconditional,
        help: """
            The PNG file to write, or - for standard output; {seed} and {number} in the name stand \
            for those of the image, and without them numbers are added to the name of several.
            """)
    var output = "image.png"

    @Option(
        help: ArgumentHelp(
            "A page (.html) of all images with prompts and seeds, or a PNG of the images alone.",
            valueName: "file"))
    var sheet: String?

    @OptionGroup var replacement: ReplacementArguments

    @Flag(help: "Print nothing but errors.")
    var quiet = false

    func validate() throws {
        guard prompt != nil || edit.isPromptOptional else {
            throw ValidationError("Missing expected argument '<prompt>': say what to make")
        }
    }

    func run() async throws {
        if let threads {
            guard (1...1024).contains(threads) else {
                throw ValidationError("--threads is \(threads); it must be from 1 to 1024")
            }
            Threads.count = threads
        }
        guard (1...1024).contains(count) else {
            throw ValidationError("--count is \(count); it must be from 1 to 1024")
        }
        let prompts = try Prompts.read(prompt ?? "")
        let seed = (seed ?? .drawn).value
        let target = try OutputFiles(
            output, prompts: prompts.count,
            seeds: (0..<count).map { seed &+ UInt64($0) })
        try target.check(replacement)
        let sheetFile = try sheet.map { try checkedSheet($0) }
        let previewFolder = try previews.map { try PreviewFolder($0, replacement) }
        var cascade = try cascade.cascade(
            variant: variant, precision: precision, memory: memory, stageCSteps: stageCSteps,
            stageBSteps: stageBSteps)
        if decoder == .preview { cascade.decoder = cascade.previewDecoder }

        let request = try request(cascade, seed: seed)
        let progress = Progress(isQuiet: quiet)
        if !precision.isAccelerated {
            progress.note(
                "this processor multiplies \(precision.rawValue) numbers no faster than float32: "
                    + "weights are widened as they are used, which saves memory but no time")
        }
        for note in cascade.notes { progress.note(note) }
        let size = request.size ?? cascade.defaultSize
        progress.note("seed \(request.seed), \(size) pixels, \(cascade.name)")
        if let advice = cascade.advice(on: size) { progress.note(advice) }
        var sheet = ContactSheet(title: "text-to-image")
        var steps = 0
        for (number, prompt) in prompts.enumerated() {
            var request = request
            request.prompt = prompt
            let record = try cascade.completed(request)
            var made: [Image] = []
            for try await event in cascade.generation(of: request) {
                switch event {
                case .step(let step):
                    if step.index == 0 { progress.note(findingsOf: step) }
                    progress.show(step)
                    if let previewFolder, let latent = step.semanticLatent {
                        try previewFolder.write(
                            cascade.previewDecoder.decode(latent), step: steps + step.index)
                    }
                    if step.index == step.total - 1 { steps += step.total }
                case .images(let images, let first):
                    progress.finish()
                    if sheetFile != nil { made += images }
                    for (index, image) in zip(first..., images) {
                        let place = number * count + index
                        try target.write(
                            image, place,
                            text: record.metadata(image: index, checkpoint: cascade.name))
                        if let file = target[place] { progress.note(file.path) }
                    }
                }
            }
            sheet.addRow(
                prompt, made, captions: made.indices.map { "seed \(request.seed &+ UInt64($0))" })
        }
        if let sheetFile {
            try sheet.write(to: sheetFile)
            progress.note(sheetFile.path)
        }
    }

    /// Finds out before the work whether the sheet can be kept.
    private func checkedSheet(_ path: String) throws -> URL {
        let file = URL(fileURLWithPath: path)
        guard ["html", "png"].contains(file.pathExtension.lowercased()) else {
            throw ValidationError("--sheet \(path) must end in .html or .png")
        }
        let folder = file.deletingLastPathComponent()
        guard FileManager.default.isWritableFile(atPath: folder.path) else {
            throw ValidationError("--sheet: \(folder.path) is not there or cannot be written to")
        }
        try replacement.check([file])
        return file
    }

    /// What is asked of every prompt.
    private func request(_ cascade: Cascade, seed: UInt64) throws -> GenerationRequest {
        let (c, b) = try sampling.options(
            cascade, stageC: (stageCSteps, stageCGuidance), stageB: (stageBSteps, stageBGuidance))
        var request = GenerationRequest(
            "", negativePrompt: negative, seed: seed, count: count, stageC: c,
            stageB: b, edit: try edit.edit(), stageBSeed: stageBSeed)
        // What the checkpoint was trained at, or the size of the image that it starts from.
        var size = try cascade.completed(request).size ?? cascade.defaultSize
        if let width { size.width = width }
        if let height { size.height = height }
        request.size = size
        try request.validate()
        return request
    }
}

/// The libraries and kernels in use.
private var versionText: String {
    let multipliers = Precision.allCases.map(\.multiplier).joined(separator: ", ")
    let kernels =
        "kernels: \(KernelLevel.active.rawValue) (\(multipliers)), threads: \(Threads.count)"
    do {
        let blas = try BLAS.load()
        let advice = blas.advice.map { "\n\($0)" } ?? ""
        return "\(kernels)\nOpenBLAS: core \(blas.coreName) (\(blas.configuration))\(advice)"
    } catch {
        return "\(kernels)\n\(error)"
    }
}
