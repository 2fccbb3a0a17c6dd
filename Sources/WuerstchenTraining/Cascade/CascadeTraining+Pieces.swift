internal import Foundation
internal import TensorCore
internal import Wuerstchen
internal import WuerstchenNN

extension CascadeTraining {
    /// Trains a piece with some settings.
    typealias Work = (TrainingOptions, inout TrainingProgress) throws -> Void

    /// Makes what a piece learns from, which takes a while for latents that are not there yet.
    ///
    /// - Returns: What trains the piece, or goes on with it.
    /// - Throws: `CancellationError` when the task is cancelled, and what reading images and pieces
    ///   throws.
    func prepare(
        _ piece: CascadePiece, _ record: CascadeRecord, _ progress: inout TrainingProgress
    ) throws -> Work {
        switch piece {
        case .stageA:
            var objective = stageAObjective
            objective.images = mixed(crops, kept?.crops)
            return work(piece, objective, record, start: try pieces.beginning(of: piece, "stage_a"))
        case .decoder:
            let teacher = try pieces.stageA(record.architecture.stageA, from: .stageA)
            return work(
                piece, decoderObjective(of: teacher), record,
                start: try pieces.start(from: Piece.stageA, "stage_a"))
        case .compressor:
            var objective = try compressorObjective()
            objective.images = mixed(images, kept?.images)
            return work(
                piece, objective, record,
                start: try pieces.beginning(of: piece, "compressor", "preview"))
        case .text: return work(piece, captionObjective, record)
        case .preview:
            var objective = PreviewObjective(
                images: mixed(images, kept?.images), compressor: try pieces.compressor())
            objective.validationImages = images.validation
            return work(
                piece, objective, record,
                start: try pieces.start(from: Piece.compressor, "preview"))
        case .stageB:
            let compressor = try pieces.compressor()
            let stageA = try pieces.stageA(record.architecture.stageA)
            var encoded: any EncodedImageSource = try self.encoded(
                images, "", compressor, stageA, &progress)
            if let kept {
                encoded = MixedEncodedImages(
                    images: encoded,
                    kept: try self.encoded(kept.images, "-kept", compressor, stageA, &progress),
                    share: kept.share)
            }
            var objective = stageBObjective(
                images: encoded, stageA: stageA, compressor: compressor)
            objective.validationImages = images.validation
            return work(
                piece, objective, record, start: try pieces.beginning(of: piece, "text", "stage_b"))
        case .stageC:
            let compressor = try pieces.compressor()
            var semantics: any SemanticSource = try compressed(images, "", compressor, &progress)
            if let kept {
                semantics = MixedSemantics(
                    semantics: semantics,
                    kept: try compressed(kept.images, "-kept", compressor, &progress),
                    share: kept.share)
            }
            var objective = stageCObjective(semantics)
            objective.validationSemantics = try images.validation.map {
                try compressed($0, "-held-out", compressor, &progress)
            }
            objective.preview = try preview()
            return work(
                piece, objective, record, start: try pieces.beginning(of: piece, "text", "stage_c"))
        }
    }

    /// What shows latents, as it was learnt last; nil where there is nothing.
    private func preview() throws -> PreviewDecoder? {
        if let start, ![Piece.preview, .compressor].contains(where: { pieces.isBegun($0) }) {
            return try start.preview()
        }
        return try PreviewDecoder(residual: ParameterValues(pieces.previewParameters()))
    }

    private typealias Piece = CascadePiece

    var stageAObjective: StageAObjective {
        var objective = StageAObjective(configuration: architecture.stageA, images: crops)
        if start == nil {
            objective.configuration.latentScale = StageA.Configuration().latentScale
        } else {
            // The codebook is there.
            objective.unquantizedShare = 0
        }
        objective.validationImages = crops.validation
        return objective
    }

    func decoderObjective(of teacher: StageA) -> DecoderObjective {
        var objective = DecoderObjective(
            configuration: teacher.configuration, teacher: teacher,
            images: mixed(crops, kept?.crops))
        objective.validationImages = crops.validation
        return objective
    }

    func compressorObjective() throws -> CompressorObjective {
        var objective = CompressorObjective(images: images)
        if let start { objective.architecture = try start.compressorArchitecture() }
        objective.validationImages = images.validation
        return objective
    }

    func stageBObjective(
        images: any ImageSource, stageA: StageA, compressor: SemanticCompressor
    ) -> StageBObjective {
        var objective = architecture.stageBObjective(
            tokenizer: start?.decoderText.tokenizer ?? tokenizer, images: images, stageA: stageA,
            compressor: compressor)
        if let start { objective.noise.blueprint = start.stageB }
        return objective
    }

    func stageCObjective(_ semantics: any SemanticSource) -> StageCObjective {
        var objective = architecture.stageCObjective(tokenizer: tokenizer, semantics: semantics)
        if let start { objective.noise.blueprint = start.stageC }
        return objective
    }

    var captionObjective: CaptionObjective {
        var objective = CaptionObjective(
            configuration: architecture.text, tokenizer: tokenizer, captions: images.allCaptions)
        objective.validationCaptions = images.validation?.allCaptions ?? []
        return objective
    }

    /// Stage A with the unit of its latents.
    func measuredStageA() throws -> StageA {
        try pieces.stageA(
            architecture.stageA, measuredOn: images.batch(1_000_000, count: 16).pixels)
    }

    private func mixed(_ images: ImageFolder, _ kept: ImageFolder?) -> any ImageSource {
        guard let kept, let share = self.kept?.share else { return images }
        return MixedImages(images, keeping: kept, share: share)
    }

    private func encoded(
        _ images: ImageFolder, _ suffix: String, _ compressor: SemanticCompressor,
        _ stageA: StageA, _ progress: inout TrainingProgress
    ) throws -> EncodedFolder {
        let semantics = try compressed(images, suffix, compressor, &progress)
        var shown = progress
        defer { progress = shown }
        return try EncodedFolder(
            semantics, stageA: stageA,
            file: folder.appendingPathComponent("latents-stage-a\(suffix).safetensors")
        ) { shown.note(latents: $0, "Stage A") }
    }

    private func compressed(
        _ images: ImageFolder, _ suffix: String, _ compressor: SemanticCompressor,
        _ progress: inout TrainingProgress
    ) throws -> CompressedFolder {
        var shown = progress
        defer { progress = shown }
        return try CompressedFolder(
            images, compressor: compressor,
            file: folder.appendingPathComponent("latents\(suffix).safetensors")
        ) { shown.note(latents: $0, "compressor") }
    }

    private func work<Objective: TrainingObjective>(
        _ piece: CascadePiece, _ objective: Objective, _ record: CascadeRecord,
        start: [String: Tensor] = [:]
    ) -> Work {
        { options, progress in
            let fit = try MemoryFit(objective, options, limit: memoryLimit)
            progress.note(fit.description)
            var run = try TrainingRun(fit.objective, options, in: pieces.folder(of: piece))
            run.lookInterval = lookInterval
            if piece == record.schedule.pieces.last {
                run.whenSaved = { _ in try Self.export(folder, to: checkpoint) }
            }
            try run.goOn(start: start, progress: &progress)
        }
    }
}

/// The images that are kept in mind.
struct KeptFolders: Sendable {
    let share: Double
    let images: ImageFolder
    /// Cut out for Stage A.
    let crops: ImageFolder
}

extension CascadeTraining {
    /// The images that are kept in mind, drawn if they are not there; nil for none.
    func keptFolders(_ progress: inout TrainingProgress) throws -> KeptFolders? {
        guard let keep, let start, keep.share > 0 else { return nil }
        var shown = progress
        defer { progress = shown }
        if keep.drawnCount > 0 { shown.note("drawing \(keep.drawnCount) images to keep in mind") }
        let url = try keep.images(by: start.checkpoint, in: folder) {
            if $0 % 64 == 0 { shown.note("\($0) images") }
        }
        var choice = images.options
        choice.heldOutShare = 0
        let whole = try ImageFolder(url, options: choice)
        choice = crops.options
        choice.heldOutShare = 0
        return KeptFolders(
            share: keep.share, images: whole, crops: try ImageFolder(url, options: choice))
    }
}

extension TrainingProgress {
    /// Says now and then how many latents are made.
    fileprivate mutating func note(latents count: Int, _ network: String) {
        if count % 4096 == 0 { note("\(count) latents of the \(network)") }
    }
}

extension ImageFolder {
    /// The captions of the images, bucket by bucket; empty ones where there are none.
    public var allCaptions: [String] {
        let images = buckets.flatMap(\.images)
        return concurrentMap(images.count) { caption(of: images[$0]) }
    }
}
