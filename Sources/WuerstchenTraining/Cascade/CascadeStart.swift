internal import Foundation
internal import TensorCore
internal import Wuerstchen
internal import WuerstchenNN

/// A checkpoint in the published layout that every piece of a cascade's training begins with. The
/// sizes of all networks are its own, and so are latents, noise, text encoders and tokenizers.
struct CascadeStart: Sendable {
    /// The checkpoint's folder.
    let checkpoint: URL
    /// The side of images that it was trained at.
    let side: Int
    let stageA: StageA.Configuration
    let stageB: StageBlueprint<StageB>
    let stageC: StageBlueprint<StageC>
    /// In front of Stage C.
    var priorText: StartingText
    /// In front of Stage B.
    var decoderText: StartingText
    private let compressorFile: URL
    /// What shows latents; nil where there is nothing.
    private let previewFile: URL?

    /// Reads what a checkpoint is made of, from its configurations and the headers of its weights.
    ///
    /// - Parameters:
    ///   - checkpoint: The checkpoint's folder.
    ///   - pieces: The pieces that are to be trained.
    /// - Throws: `WuerstchenError` that lists everything that cannot be trained or does not fit.
    init(_ checkpoint: URL, for pieces: Set<CascadePiece>) throws {
        let layout = CheckpointLayout.published
        self.checkpoint = checkpoint
        let cascade = try Cascade(contentsOf: checkpoint, memory: .sequential)
        side = max(cascade.defaultSize.width, cascade.defaultSize.height)
        var misfits = Misfits()
        let stageC = try misfits.collect { try Self.trainable(cascade.stageC, checkpoint) }
        let stageB = try misfits.collect {
            try Self.trainable(cascade.diffusionDecoder().stageB, checkpoint)
        }
        let folder = checkpoint.appendingPathComponent(layout.stageA.path)
        let stageA = try misfits.collect {
            let configuration = try decodeJSON(
                StageA.Configuration.self,
                from: folder.appendingPathComponent(layout.configuration))
            _ = try StageA(
                configuration: configuration,
                parameters: CheckpointParameters(directory: folder, stem: layout.stageA.stem)
                    .withoutValues)
            return configuration
        }
        let priorText = try misfits.collect {
            try StartingText(pipeline: checkpoint.appendingPathComponent(layout.prior))
        }
        let decoderText = try misfits.collect {
            try StartingText(pipeline: checkpoint.appendingPathComponent(layout.decoder))
        }
        let compressor = try misfits.collect {
            guard let file = layout.compressorFile(in: checkpoint) else {
                throw WuerstchenError(
                    .fileNotFound,
                    "\(checkpoint.path) has no semantic compressor (\(layout.compressor)), without "
                        + "which nothing can be learnt from images; put it there")
            }
            _ = try SemanticCompressor(
                parameters: CheckpointParameters(contentsOf: file).withoutValues)
            return file
        }
        let preview = layout.previewFile(in: checkpoint)
        if !pieces.isDisjoint(with: [.compressor, .preview]) {
            try misfits.collect { try Self.requireTrainable(preview, in: checkpoint) }
        }
        try misfits.report()
        guard let stageA, let stageB, let stageC, let priorText, let decoderText, let compressor
        else { throw WuerstchenError(.malformedFile, "\(checkpoint.path) cannot be read") }
        (self.stageA, self.stageB, self.stageC) = (stageA, stageB, stageC)
        (self.priorText, self.decoderText) = (priorText, decoderText)
        (compressorFile, previewFile) = (compressor, preview)
    }

    /// What a stage of the checkpoint is built from, if it learns to predict noise.
    private static func trainable<Stage: CascadeStage>(
        _ part: Part<Stage>, _ checkpoint: URL
    ) throws -> StageBlueprint<Stage> {
        let blueprint = try part.blueprint()
        try blueprint.requireNoisePrediction(in: checkpoint.path)
        return blueprint
    }

    /// Refuses a preview decoder that is not there, or of a network that is not trained.
    private static func requireTrainable(_ file: URL?, in checkpoint: URL) throws {
        let advice = "leave the compressor and the preview decoder as they are (--only)"
        guard let file else {
            throw WuerstchenError(
                .fileNotFound,
                "\(checkpoint.path) has no preview decoder, which learns with the compressor; "
                    + advice)
        }
        guard try CheckpointParameters(contentsOf: file).shape(of: "inp.0.weight") != nil else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(file.path) is a preview decoder as published, which is not trained here; "
                    + advice)
        }
    }

    /// The sizes of the networks.
    var architecture: CascadeArchitecture {
        var result = CascadeArchitecture(
            side: side, crop: side < 256 ? 64 : 128, stageA: stageA,
            stageB: stageB.configuration, stageC: stageC.configuration,
            text: priorText.configuration)
        result.decoderText = decoderText.configuration
        // As for the published sizes.
        if stageC.configuration.channels >= 1024 { result.microBatch = 1 }
        return result
    }

    /// The compressor's network.
    func compressorArchitecture() throws -> SemanticCompressor.Architecture {
        .init(of: try CheckpointParameters(contentsOf: compressorFile))
    }

    /// The preview decoder; nil where there is none.
    func preview() throws -> PreviewDecoder? {
        try previewFile.map { try PreviewDecoder(contentsOf: $0) }
    }

    /// The parameters of a network of a piece, under the names that they have in its training.
    ///
    /// - Throws: `WuerstchenError` when they cannot be read, or there are none.
    func parameters(of piece: CascadePiece, _ scope: String) throws -> [String: Tensor] {
        let layout = CheckpointLayout.published
        switch (piece, scope) {
        case (.stageC, "text"): return try priorText.parameters()
        case (.stageB, "text"): return try decoderText.parameters()
        case (.stageC, _):
            return try values(of: layout.stageC) { _ = try stageC.stage($0) }
        case (.stageB, _):
            return try values(of: layout.stageB) { _ = try stageB.stage($0) }
        case (.stageA, _), (.decoder, _):
            return try values(of: layout.stageA) {
                _ = try StageA(configuration: stageA, parameters: $0)
            }
        case (.compressor, "compressor"):
            return try CheckpointParameters(contentsOf: compressorFile).values()
        case (.compressor, _), (.preview, _):
            return try previewFile.map { try CheckpointParameters(contentsOf: $0).values() } ?? [:]
        case (.text, _): return [:]
        }
    }

    private func values(
        of network: CheckpointLayout.Network, _ build: (any ParameterSource) throws -> Void
    ) throws -> [String: Tensor] {
        let stored = try CheckpointParameters(
            directory: checkpoint.appendingPathComponent(network.path), stem: network.stem)
        var values = TrainableParameters()
        try values.add(from: stored, build)
        return values.values
    }

    /// What tells the checkpoint from others.
    func fingerprint() throws -> String {
        let layout = CheckpointLayout.published
        var hash = FNV1a()
        for network in [
            layout.stageA, layout.stageB, layout.stageC, layout.priorTextEncoder,
            layout.decoderTextEncoder,
        ] {
            let folder = checkpoint.appendingPathComponent(network.path)
            hash.add(field: try weightsFingerprint(of: folder))
        }
        hash.add(field: try weightsFingerprint(ofFile: compressorFile))
        return hash.digits
    }
}
