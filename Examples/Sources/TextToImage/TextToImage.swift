import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen

@main struct TextToImage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "text-to-image",
        abstract: "Make an image from a sentence.",
        version: versionText)

    enum Decoder: String, ExpressibleByArgument, CaseIterable {
        case stageB = "stage-b"
        case preview
    }

    @Argument(help: "What the image should show.")
    var prompt: String

    @OptionGroup var cascade: CascadeArguments

    @Option(help: "What guidance should lead away from.")
    var negative = ""

    @Option(help: "Width in pixels, 128 to 4096. (default: what the checkpoint was trained at)")
    var width: Int?

    @Option(help: "Height in pixels, 128 to 4096. (default: what the checkpoint was trained at)")
    var height: Int?

    @Option(help: "The seed of the first image. (default: a random one, which is printed)")
    var seed: UInt64?

    @Option(help: "How many images; their seeds count up.")
    var count = 1

    @Option(help: "Steps of Stage C. (default: what it was made for, 60 as published)")
    var stageCSteps: Int?

    @Option(
        help: """
            Guidance of Stage C; 1 or less for none, which halves its time. (default: what it was made \
            for, 4 as published)
            """)
    var stageCGuidance: Float?

    @Option(help: "Steps of Stage B. (default: what it was made for, 12 as published)")
    var stageBSteps: Int?

    @Option(help: "Guidance of Stage B; 1 or less for none. (default: none)")
    var stageBGuidance: Float?

    @Option(help: "Stages B and A, or the tiny preview decoder in their place.")
    var decoder = Decoder.stageB

    @Option(
        help: """
            The numbers that the networks' large matrices are made of: bfloat16 halves memory and \
            time, int8 quarters memory and thirds time, at some cost in likeness.
            """)
    var precision = Precision.float32

    @Option(help: "Keep all networks in memory (resident) or one at a time (sequential).")
    var memory = MemoryPolicy.sequential

    @Option(help: "Which variant of the weights to take where there are several, such as fp16.")
    var variant: String?

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    @Option(help: "A folder for a small preview of each of Stage C's steps.")
    var previews: String?

    @Option(help: "The PNG file to write; with --count, numbers are added to the name.")
    var output = "image.png"

    @Flag(help: "Print nothing but errors.")
    var quiet = false

    func run() async throws {
        if let threads {
            guard (1...1024).contains(threads) else {
                throw ValidationError("--threads is \(threads); it must be from 1 to 1024")
            }
            Threads.count = threads
        }
        let target = OutputFiles(output, count: count)
        try target.checkWritable()
        let previewFolder = try previews.map { try PreviewFolder($0) }
        var cascade = try cascade.cascade(
            variant: variant, precision: precision, memory: memory)
        if decoder == .preview { cascade.decoder = cascade.previewDecoder }

        let request = try request(cascade)
        let record = try cascade.completed(request)
        let progress = Progress(isQuiet: quiet)
        if !precision.isAccelerated {
            progress.note(
                "this processor does not multiply \(precision.rawValue) numbers: weights are widened "
                    + "to float32 as they are used, which saves memory but no time")
        }
        for note in cascade.notes { progress.note(note) }
        progress.note(
            "seed \(request.seed), \(request.size ?? cascade.defaultSize) pixels, \(cascade.name)")
        for try await event in cascade.generation(of: request) {
            switch event {
            case .step(let step):
                if step.index == 0, step.isPromptTruncated {
                    progress.note(
                        "the prompt is longer than the text encoder reads; its end is lost")
                }
                progress.show(step)
                if let previewFolder, let latent = step.semanticLatent {
                    try previewFolder.write(
                        cascade.previewDecoder.decode(latent), step: step.index)
                }
            case .images(let images, let first):
                progress.finish()
                for (index, image) in zip(first..., images) {
                    try image.write(
                        to: target[index],
                        text: record.metadata(image: index, checkpoint: cascade.name))
                    progress.note(target[index].path)
                }
            }
        }
    }

    private func request(_ cascade: Cascade) throws -> GenerationRequest {
        let standard = cascade.defaultSize
        let request = GenerationRequest(
            prompt, negativePrompt: negative,
            size: ImageSize(width: width ?? standard.width, height: height ?? standard.height),
            seed: seed ?? UInt64(UInt32.random(in: 0...UInt32.max)), count: count,
            stageC: try cascade.stageCSampling(
                steps: stageCSteps, guidance: stageCGuidance),
            stageB: try cascade.stageBSampling(
                steps: stageBSteps, guidance: stageBGuidance))
        try request.validate()
        return request
    }
}

/// The libraries and kernels in use.
private var versionText: String {
    let precisions = Precision.allCases.filter(\.isAccelerated).map(\.rawValue)
    let kernels =
        "kernels: \(KernelLevel.active.rawValue) (\(precisions.joined(separator: ", "))), "
        + "threads: \(Threads.count)"
    do {
        let blas = try BLAS.load()
        return "\(kernels)\nOpenBLAS: core \(blas.coreName) (\(blas.configuration))"
    } catch {
        return "\(kernels)\n\(error)"
    }
}
