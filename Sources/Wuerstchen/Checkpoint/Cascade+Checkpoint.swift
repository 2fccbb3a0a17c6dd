public import Foundation
public import TensorCore

extension Cascade {
    /// A cascade from a checkpoint: a folder with `wuerstchen-prior/` and `wuerstchen/` in it, each
    /// as diffusers saves it; or in another of the layouts that
    /// <doc:BringingAPublishedCheckpoint> lists.
    ///
    /// A preview decoder beside the two (`preview.safetensors` or `previewer.safetensors`) is used
    /// where there is one, and so is a semantic compressor (`compressor.safetensors` or
    /// `effnet_encoder.safetensors`).
    ///
    /// Whether everything is there and fits together is found out first, from configurations and
    /// the headers of weights; nothing is left for a stage to find when others have run.
    ///
    /// - Parameters:
    ///   - directory: The folder.
    ///   - variant: Which of several variants of the weights to take, such as `fp16`; by default
    ///     the plain one, or the only one there is. A part that lacks it takes its plain weights if
    ///     another part of its pipeline has it, as in diffusers; ``notes`` names such parts.
    ///   - precision: The numbers that the large matrices are stored in and multiplied with; the
    ///     preview decoder has its own, ``PreviewDecoder/standardPrecision``.
    ///   - memory: Whether all networks stay in memory.
    ///   - replacements: Folders of stages to take in place of the checkpoint's.
    ///   - loras: Files of adapters, which add up. Those that were trained beside other weights are
    ///     named in ``notes``.
    /// - Throws: ``WuerstchenError`` that names the files, the parameters or the settings at fault,
    ///   all of them.
    public init(
        contentsOf directory: URL, variant: String? = nil, precision: Precision = .float32,
        memory: MemoryPolicy = .resident, replacing replacements: StageFolders = StageFolders(),
        loras: [LoRAFile] = []
    ) throws {
        // Rather once than for each network.
        _ = try BLAS.load()
        let layout = CheckpointLayout.published
        let places = try CheckpointPlaces(directory)
        var misfits = Misfits()
        func folder(
            _ pipeline: CheckpointPlaces.Pipeline, _ replacements: [String: URL]
        ) throws -> CheckpointFolder? {
            try misfits.collect {
                try CheckpointFolder(
                    pipeline, variant: variant, precision: precision, replacing: replacements)
            }
        }
        let priorFolder = try folder(places.prior, replacements.inPrior)
        let decoderFolder = try folder(places.decoder, replacements.inMain)
        var prior = try priorFolder.flatMap { try PriorContents($0, noting: &misfits) }
        var main = try decoderFolder.flatMap { try DecoderContents($0, noting: &misfits) }
        let preview = try misfits.collect {
            try places.previewFile.map { try PreviewDecoder(contentsOf: $0) } ?? PreviewDecoder()
        }
        if let prior, let main {
            try misfits.collect {
                try main.stageB.requireFit(semanticChannels: prior.stageC.latentChannels)
            }
        }
        if let prior, let preview {
            try misfits.collect { try preview.requireFit(prior.stageC) }
        }
        let compressor = try misfits.collect { try places.compressor() } ?? nil
        if let compressor {
            try misfits.collect {
                _ = try SemanticCompressor(parameters: compressor.withoutValues)
                try prior?.stageC.requireFit(semanticChannels: SemanticCompressor.latentChannels)
            }
        }
        let size = try prior.flatMap { prior in
            try misfits.collect { try Cascade.defaultSize(prior) }
        }
        var loraNotes: [String] = []
        if prior != nil, main != nil {
            for lora in loras {
                try misfits.collect { loraNotes += try lora.attach(to: &prior, &main) }
            }
        }
        TensorMemory.trim()
        try misfits.report()
        guard let prior, let main, let preview, let size else {
            preconditionFailure("something is missing that was not noted")
        }
        let space = SemanticLatentSpace(
            pixelsPerPosition: prior.space.pixelsPerPosition, scale: prior.space.scale,
            offset: prior.space.offset, latentsPerPosition: main.latentsPerPosition)
        let open = memory == .resident ? prior.folder : prior.folder.reopening
        self.init(
            name: Cascade.name(places.name, replacements, loras),
            textEncoder: try memory.part { try open.textEncoder(prior.text) },
            stageC: try memory.part(
                StageBlueprint(
                    configuration: prior.stageC, latentSpace: space, schedule: prior.schedule)
            ) {
                try open.stageC(prior.stageC, space: space)
            },
            decoder: try Cascade.decoder(main, space, memory), previewDecoder: preview,
            latentSpace: space, defaultSize: size)
        if let compressor {
            let open = memory == .resident ? compressor : nil
            var part = try memory.part {
                guard let parameters = try open ?? places.compressor() else {
                    throw MissingFile.error(
                        directory.appendingPathComponent(CheckpointLayout.published.compressor))
                }
                return try SemanticCompressor(parameters: parameters, latentSpace: space)
            }
            part.weights = PartWeights(nil) { hash in
                try places.compressor()?.add(to: &hash)
            }
            self.compressor = part
        }
        textEncoder.weights = prior.folder.weights(of: layout.priorTextEncoder)
        stageC.weights = prior.folder.weights(of: layout.stageC)
        let notes = prior.folder.notes
        self.notes = notes + main.folder.notes.filter { !notes.contains($0) } + loraNotes
    }

    private static func decoder(
        _ contents: DecoderContents, _ space: SemanticLatentSpace, _ memory: MemoryPolicy
    ) throws -> DiffusionDecoder {
        let text = contents.text
        let folder = memory == .resident ? contents.folder : contents.folder.reopening
        var decoder = DiffusionDecoder(
            textEncoder: try (text == nil ? .sequential : memory).part {
                // A stage that reads no text never asks.
                try text.map { try folder.textEncoder($0) } ?? folder.textEncoder()
            },
            stageB: try memory.part(
                StageBlueprint(
                    configuration: contents.stageB, latentSpace: space,
                    schedule: contents.schedule)
            ) {
                try folder.stageB(contents.stageB, space: space)
            },
            stageA: try memory.part { try folder.stageA(contents.stageA) },
            configuration: contents.stageB, latentSpace: space,
            pixelsPerPosition: contents.stageA.patchSize << (contents.stageA.levels - 1))
        let layout = CheckpointLayout.published
        if text != nil {
            decoder.textEncoder.weights = folder.weights(of: layout.decoderTextEncoder)
        }
        decoder.stageB.weights = folder.weights(of: layout.stageB)
        decoder.stageA.weights = folder.weights(of: layout.stageA)
        return decoder
    }

    /// The checkpoint's name, with those of stages that stand in for its own and of adapters.
    private static func name(
        _ name: String, _ replacements: StageFolders, _ loras: [LoRAFile]
    ) -> String {
        func last(_ url: URL, _ count: Int) -> String {
            url.standardizedFileURL.pathComponents.suffix(count).joined(separator: "/")
        }
        let others = replacements.all.map { last($0, 2) } + loras.map(\.name)
        return ([name] + others).joined(separator: " with ")
    }

    /// What the checkpoint says (`sample_size` in the prior's `model_index.json`), or what networks
    /// of the published width were trained at, and small ones are.
    private static func defaultSize(_ prior: PriorContents) throws -> ImageSize {
        let side = prior.sampleSize ?? (prior.stageC.channels >= 1024 ? 1024 : 256)
        guard ImageSize.range.contains(side) else {
            throw WuerstchenError(
                .invalidConfiguration,
                "sample_size in the prior's model_index.json is \(side); it must be from "
                    + "\(ImageSize.range.lowerBound) to \(ImageSize.range.upperBound)")
        }
        return ImageSize(width: side, height: side)
    }
}

extension MemoryPolicy {
    fileprivate func part<Value>(
        _ load: @escaping @Sendable () throws -> Value
    ) throws -> Part<Value> {
        switch self {
        case .resident: Part(try load())
        case .sequential: Part(loadingEachTime: load)
        }
    }

    fileprivate func part<Stage: TrainableStage>(
        _ blueprint: StageBlueprint<Stage>, _ load: @escaping @Sendable () throws -> Stage
    ) throws -> Part<Stage> {
        switch self {
        case .resident: Part(try load())
        case .sequential: Part(blueprint, loadingEachTime: load)
        }
    }
}
