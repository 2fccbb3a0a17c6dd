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
        case .stageA: return work(piece, stageAObjective)
        case .compressor: return work(piece, compressorObjective)
        case .text: return work(piece, captionObjective)
        case .preview:
            var objective = PreviewObjective(images: images, compressor: try pieces.compressor())
            objective.validationImages = images.validation
            return work(
                piece, objective, start: try pieces.start(from: Piece.compressor, "preview"))
        case .stageB:
            let compressor = try pieces.compressor()
            let stageA = try pieces.stageA(record.architecture.stageA)
            let semantics = try kept(images, "latents", compressor, &progress)
            var shown = progress
            let encoded = try EncodedFolder(
                semantics, stageA: stageA,
                file: folder.appendingPathComponent("latents-stage-a.safetensors")
            ) { shown.note(latents: $0, "Stage A") }
            progress = shown
            var objective = architecture.stageBObjective(
                tokenizer: tokenizer, images: encoded, stageA: stageA, compressor: compressor)
            objective.validationImages = images.validation
            return work(piece, objective, start: try pieces.start(from: Piece.text, "text"))
        case .stageC:
            let compressor = try pieces.compressor()
            var objective = architecture.stageCObjective(
                tokenizer: tokenizer,
                semantics: try kept(images, "latents", compressor, &progress))
            objective.validationSemantics = try images.validation.map {
                try kept($0, "latents-held-out", compressor, &progress)
            }
            objective.preview = try PreviewDecoder(
                residual: ParameterValues(pieces.average(of: Piece.preview, "preview")))
            return work(piece, objective, start: try pieces.start(from: Piece.text, "text"))
        }
    }

    private typealias Piece = CascadePiece

    var stageAObjective: StageAObjective {
        var objective = StageAObjective(configuration: architecture.stageA, images: crops)
        objective.configuration.latentScale = StageA.Configuration().latentScale
        objective.validationImages = crops.validation
        return objective
    }

    var compressorObjective: CompressorObjective {
        var objective = CompressorObjective(images: images)
        objective.validationImages = images.validation
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

    private func kept(
        _ images: ImageFolder, _ name: String, _ compressor: SemanticCompressor,
        _ progress: inout TrainingProgress
    ) throws -> CompressedFolder {
        var shown = progress
        defer { progress = shown }
        return try CompressedFolder(
            images, compressor: compressor,
            file: folder.appendingPathComponent("\(name).safetensors")
        ) { shown.note(latents: $0, "compressor") }
    }

    private func work<Objective: TrainingObjective>(
        _ piece: CascadePiece, _ objective: Objective, start: [String: Tensor] = [:]
    ) -> Work {
        { options, progress in
            var run = try TrainingRun(objective, options, in: pieces.folder(of: piece))
            run.lookInterval = lookInterval
            if piece == CascadePiece.allCases.last {
                run.whenSaved = { _ in try Self.export(folder, to: checkpoint) }
            }
            try run.goOn(start: start, progress: &progress)
        }
    }
}

extension TrainingProgress {
    /// Says now and then how many latents are made.
    fileprivate mutating func note(latents count: Int, _ network: String) {
        if count % 4096 == 0 { note("\(count) latents of the \(network)") }
    }
}

extension ImageFolder {
    /// The captions of the images, bucket by bucket.
    var allCaptions: [String] {
        let images = buckets.flatMap(\.images)
        return concurrentMap(images.count) { caption(of: images[$0]) }
    }
}
