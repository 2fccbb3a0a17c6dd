import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

@main struct TextToImage: Command {
    static let configuration = CommandConfiguration(
        commandName: "text-to-image",
        abstract: "Make an image from a sentence.",
        version: versionText)

    enum Decoder: String, ExpressibleByArgument, CaseIterable {
        case stageB = "stage-b"
        case preview
    }

    @OptionGroup(title: "Prompts") var prompts: PromptArguments

    @OptionGroup var cascade: CascadeArguments

    @OptionGroup var asked: RequestArguments

    @Option(help: "Stages B and A, or the tiny preview decoder. (default: stage-b)")
    var decoder: Decoder?

    @Option(
        help: """
            Precision of the networks' large matrices: float32, bfloat16 or int8. bfloat16 halves \
            memory and time; int8 takes a quarter of the memory and a third of the time. Both change \
            the image a little. (default: float32)
            """)
    var precision: Precision?

    @Option(help: "Keep all networks in memory (resident) or one at a time (sequential).")
    var memory = MemoryPolicy.sequential

    @OptionGroup(title: "Memory") var limits: MemoryArguments

    @Option(help: "The variant of the weights to load, such as fp16.")
    var variant: String?

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    @Option(
        name: .customLong("repeat"),
        help: ArgumentHelp(
            """
            An image of this command to make again, bit for bit. Its file says how; only the weights \
            and the images that it started from are named as they were then.
            """, valueName: "file"))
    var repeated: String?

    @OptionGroup(title: "Output") var output: OutputArguments

    func validate() throws {
        guard repeated == nil else {
            let others =
                asked.given + prompts.given
                + (decoder == nil ? [] : ["--decoder"]) + (precision == nil ? [] : ["--precision"])
            guard !output.resume else {
                throw ValidationError("--repeat makes one image again, and --resume would skip it")
            }
            guard others.isEmpty else {
                throw ValidationError(
                    "--repeat takes everything from the file; leave out "
                        + others.joined(separator: ", "))
            }
            return
        }
        guard prompts.embeddings == nil || asked.negative.isEmpty else {
            throw ValidationError("--embeddings have a negative prompt already")
        }
        let isPromptOptional = asked.edit.isPromptOptional || limits.estimateMemory
        guard !prompts.isEmpty || isPromptOptional else {
            throw ValidationError("Missing expected argument '<prompt>': say what to make")
        }
    }

    static func refused(_ arguments: [String], _ error: any Error) {
        Events(arguments.contains("--json")).error(
            WuerstchenError(.invalidRequest, message(for: error)))
    }

    func run() async throws {
        var events = Events(output.json)
        do {
            try await run(&events)
        } catch {
            // How a repetition ended was said already.
            if !(error is ExitCode) { events.error(error) }
            throw error
        }
    }

    private func run(_ events: inout Events) async throws {
        if let threads {
            guard (1...1024).contains(threads) else {
                throw ValidationError("--threads is \(threads); it must be from 1 to 1024")
            }
            Threads.count = threads
        }
        if let steps = asked.steps {
            var chosen = self
            (chosen.cascade, chosen.asked.stageCSteps) = try cascade.best(for: steps)
            chosen.asked.steps = nil
            return try await chosen.run(&events)
        }
        let process = try ProcessRank()
        let repetition = try repeated.map { try Repetition($0) }
        let orders = try repetition == nil ? prompts.orders(asked) : []
        if repetition != nil || prompts.saveEmbeddings != nil, !process.isFirst { return }
        if let file = prompts.saveEmbeddings { return try saveEmbeddings(of: orders, to: file) }
        let target = try OutputFiles(
            output.output, seeds: repetition.map { [$0.record.seed] } ?? orders.flatMap(\.seeds))
        try target.check(output.replacement)
        let share = WorkShare(orders, process, skipsMade: output.resume)
        try share.check(prompts, output)
        guard repetition != nil || !share.pieces.isEmpty else { return }
        let sheetFile = try output.replacement.sheet(output.sheet)
        // The image that is made again is compared with its file, which stays as it is.
        let isOriginal =
            repetition.map { target.all.map(place(of:)).contains(place(of: $0.file)) } ?? false
        try output.requireApart(
            (isOriginal ? [] : target.all) + [sheetFile].compactMap { $0 },
            from: orders.flatMap(\.asked.edit.files) + asked.edit.files
                + [prompts.prompts, prompts.embeddings, repeated].compactMap { $0 })
        let previews = try output.previews.map { try PreviewFolder($0, output.replacement) }
        let expected = try limits.isAsked ? checkedMemory(repetition, orders) : nil
        if let expected, limits.estimateMemory { return print(ByteCount(bytes: expected.peak)) }
        let cascade = try loaded(repetition?.record)
        let watch = output.watcher()
        defer { watch?.restore() }
        let progress = Progress(isQuiet: output.quiet, keepsLine: watch != nil)
        // What is wrong with any is found before the first is worked on; the images of all but that
        // one are read again, rather than kept.
        var pieces: [(first: Int, request: () throws -> GenerationRequest)] =
            repetition.map { repetition in
                let encoded = { try prompts.encoded() }
                return [(0, { try repetition.request(cascade, asked.edit, embeddings: encoded()) })]
            }
            ?? share.pieces.map { piece in
                (piece.first, { try piece.order.request(cascade, noting: progress.noteOnce) })
            }
        var first: GenerationRequest?
        pieces = try pieces.filter { piece in
            let request = try piece.request()
            guard try !output.resume || !target.isMade(piece.first, request, cascade) else {
                return false
            }
            first = first ?? request
            return true
        }
        if let note = share.note(pieces.count) { progress.note(note) }
        describe(cascade, progress)
        var maker = ImageMaker(
            cascade: cascade, target: isOriginal ? nil : target, previews: previews,
            keepsImages: sheetFile != nil,
            progress: progress, watch: watch)
        for piece in pieces {
            let next = try first ?? piece.request()
            first = nil
            let size = next.size ?? cascade.defaultSize
            progress.note("seed \(next.seed), \(size) pixels, \(cascade.name)")
            try cascade.advice(for: next).forEach(progress.noteOnce)
            try await maker.make(next, first: piece.first, &events)
        }
        if let sheetFile {
            try maker.sheet.write(to: sheetFile)
            progress.note(sheetFile.path)
        }
        if let expected {
            let taken = ByteCount(bytes: TensorMemory.peakResident)
            progress.note("memory: \(ByteCount(bytes: expected.peak)) expected, \(taken) taken")
        }
        if let repetition, let image = maker.last {
            try repetition.compare(image, progress, isOriginal)
        }
    }

    /// The memory that the images will take, which is refused if it is more than there may be. Of
    /// several requests the one with the most pixels at a time counts.
    private func checkedMemory(
        _ repetition: Repetition?, _ orders: [Order]
    ) throws -> MemoryEstimate {
        let precision = repetition?.record.precision ?? precision ?? .float32
        return try limits.check(MemorySetting(precision: precision, policy: memory)) { setting in
            try MemoryEstimate {
                let cascade = try loaded(repetition?.record, setting)
                let requests =
                    try repetition.map {
                        [try $0.request(cascade, asked.edit, embeddings: prompts.encoded())]
                    } ?? orders.map { try $0.request(cascade) }
                func pixels(_ request: GenerationRequest) -> Int {
                    // Small images are made together, up to a megapixel.
                    let size = request.size ?? cascade.defaultSize
                    let one = size.width * size.height
                    return min(one * request.count, max(one, 1 << 20))
                }
                guard var request = requests.max(by: { pixels($0) < pixels($1) }) else { return }
                if setting.size == nil {
                    (setting.size, setting.count) = (request.size, request.count)
                }
                (request.size, request.count) = (setting.size, setting.count)
                _ = try cascade.peakMemory(for: request)
            }
        }
    }

    private func saveEmbeddings(of orders: [Order], to path: String) throws {
        guard orders.count == 1 else {
            throw ValidationError("--save-embeddings takes one prompt, not \(orders.count)")
        }
        let file = URL(fileURLWithPath: path)
        try requireWritable(file.deletingLastPathComponent())
        try requirePlace(for: file)
        try output.replacement.check([file]) { (try? PromptEmbeddings(contentsOf: $0)) != nil }
        try loaded(nil).embeddings(
            of: orders[0].prompt, negativePrompt: orders[0].asked.negative,
            syntax: orders[0].syntax
        ).write(to: file)
        Progress(isQuiet: output.quiet).note(file.path)
    }

    /// The cascade that was named, or that made an image; or the same in another precision.
    private func loaded(
        _ record: GenerationRecord?, _ setting: MemorySetting? = nil
    ) throws -> Cascade {
        var cascade = try cascade.cascade(
            variant: variant,
            precision: setting?.precision ?? record?.precision ?? precision ?? .float32,
            memory: setting?.policy ?? memory,
            stageCSteps: record?.stageC.timesteps.count ?? asked.stageCSteps,
            stageBSteps: record?.stageB?.timesteps.count ?? asked.stageBSteps)
        if record?.decoder == .preview || decoder == .preview {
            cascade.decoder = cascade.previewDecoder
        }
        return cascade
    }

    private func describe(_ cascade: Cascade, _ progress: Progress) {
        let precision = precision ?? .float32
        if !precision.isAccelerated {
            progress.note(
                "this processor multiplies \(precision.rawValue) numbers no faster than float32: "
                    + "weights are widened as they are used, which saves memory but no time")
        }
        for note in cascade.notes { progress.note(note) }
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
