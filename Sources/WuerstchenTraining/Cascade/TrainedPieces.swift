public import Foundation
public import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// The pieces of a cascade in a folder, each in one of its own, of which later ones stand on
/// earlier ones.
public struct TrainedPieces: Sendable {
    /// The folder of the whole training.
    public let folder: URL
    /// What stands in for pieces that have not begun; nil for nothing.
    var start: CascadeStart?

    /// The pieces in a folder.
    ///
    /// - Parameters:
    ///   - folder: The folder of the whole training.
    ///   - checkpoint: The folder of a checkpoint in the published layout, whose weights they begin
    ///     with; nil for none.
    /// - Throws: `WuerstchenError` that lists what cannot be trained or does not fit.
    public init(in folder: URL, startingFrom checkpoint: URL? = nil) throws {
        self.init(in: folder, start: try checkpoint.map { try CascadeStart($0, for: []) })
    }

    init(in folder: URL, start: CascadeStart?) {
        (self.folder, self.start) = (folder, start)
    }

    /// The sizes of the checkpoint that the pieces begin with; nil where there is none.
    public var startingArchitecture: CascadeArchitecture? { start?.architecture }

    /// All about that checkpoint's Stage B but its weights.
    public var startingStageB: StageBlueprint<StageB>? { start?.stageB }

    /// All about its Stage C but its weights.
    public var startingStageC: StageBlueprint<StageC>? { start?.stageC }

    /// The folder of a piece.
    public func folder(of piece: some RawRepresentable<String>) -> URL {
        folder.appendingPathComponent(piece.rawValue)
    }

    /// The folder of the tokenizer.
    public var tokenizer: URL { folder.appendingPathComponent("tokenizer") }

    /// The folder of the tokenizer in front of Stage B: its own where the pieces began with a
    /// checkpoint.
    public var decoderTokenizer: URL {
        start == nil ? tokenizer : folder.appendingPathComponent("tokenizer-stage-b")
    }

    /// How the compressor's latents relate to images.
    public var latentSpace: SemanticLatentSpace {
        start?.stageC.latentSpace ?? CascadeArchitecture.latentSpace
    }

    /// The file that a piece's training goes on from.
    func stateFile(of piece: some RawRepresentable<String>) -> URL {
        folder(of: piece).appendingPathComponent("state.safetensors")
    }

    /// Whether there is anything of a piece.
    public func isBegun(_ piece: some RawRepresentable<String>) -> Bool {
        FileManager.default.fileExists(atPath: stateFile(of: piece).path)
    }

    /// The averaged parameters of one network of a piece, whose training need not be over.
    ///
    /// - Parameters:
    ///   - piece: The piece.
    ///   - scope: The network, such as `stage_a`.
    /// - Returns: The parameters by name.
    /// - Throws: `WuerstchenError` when the piece has not begun, or what is there is something
    ///   else.
    public func average(
        of piece: some RawRepresentable<String>, _ scope: String
    ) throws -> [String: Tensor] {
        let file = stateFile(of: piece)
        if !isBegun(piece), let start, let piece = CascadePiece(rawValue: piece.rawValue) {
            return try start.parameters(of: piece, scope)
        }
        guard isBegun(piece) else {
            throw WuerstchenError(
                .fileNotFound, "\(file.path) is not there; train \(piece.rawValue) first")
        }
        let state = try TrainingState(contentsOf: file)
        let values = TrainableParameters(state.average.values).scope(scope)
        guard !values.isEmpty else {
            throw WuerstchenError(.malformedFile, "\(file.path) has no parameters of \(scope)")
        }
        return values
    }

    /// The same under the network's scope, for another piece to begin with.
    ///
    /// - Throws: As ``average(of:_:)``.
    public func start(
        from piece: some RawRepresentable<String>, _ scope: String
    ) throws -> [String: Tensor] {
        TrainableParameters(try average(of: piece, scope), under: scope).values
    }

    /// What networks of a piece begin with, under their scopes: the checkpoint's parameters where
    /// there is one, otherwise for the text encoder what it has learnt from captions alone.
    ///
    /// - Parameters:
    ///   - piece: The piece.
    ///   - scopes: The networks, such as `text` and `stage_b`.
    /// - Returns: The parameters by name.
    /// - Throws: As ``average(of:_:)``.
    public func beginning(of piece: CascadePiece, _ scopes: String...) throws -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for scope in scopes {
            if let start {
                let values = try start.parameters(of: piece, scope)
                result.merge(TrainableParameters(values, under: scope).values) { $1 }
            } else if scope == "text" {
                result = try self.start(from: CascadePiece.text, "text")
            }
        }
        return result
    }

    /// Stage A's parameters, with the decoder that was learnt last.
    func stageAParameters() throws -> [String: Tensor] {
        let isDecoded = isBegun(CascadePiece.decoder)
        return try average(of: isDecoded ? CascadePiece.decoder : .stageA, "stage_a")
    }

    /// The preview decoder's parameters: those that it learnt last; none where the checkpoint that
    /// the pieces began with has no preview decoder.
    func previewParameters() throws -> [String: Tensor] {
        let learnt = [CascadePiece.preview, .compressor].first { isBegun($0) }
        return try average(of: learnt ?? .preview, "preview")
    }

    /// The compressor, in the numbers that it is trained in.
    ///
    /// - Throws: As ``average(of:_:)``.
    public func compressor() throws -> SemanticCompressor {
        try SemanticCompressor(
            parameters: ParameterValues(average(of: CascadePiece.compressor, "compressor")),
            precision: .bfloat16, latentSpace: latentSpace)
    }

    /// Stage A, whose latents' deviation over some images becomes the unit of Stage B's.
    ///
    /// - Parameters:
    ///   - configuration: Its numbers.
    ///   - piece: The piece that its decoder is from; nil for the one that learnt it last.
    ///   - pixels: Some images, `[batch, height, width, 3]`, 0…1.
    /// - Returns: Stage A.
    /// - Throws: As ``average(of:_:)``.
    public func stageA(
        _ configuration: StageA.Configuration, from piece: CascadePiece? = nil,
        measuredOn pixels: @autoclosure () throws -> Tensor
    ) throws -> StageA {
        let stage = try stageA(configuration, from: piece)
        var configuration = configuration
        configuration.latentScale = try stage.measuredLatentScale(pixels())
        return try stageA(configuration, from: piece)
    }

    /// Stage A with the unit of its latents.
    ///
    /// - Parameters:
    ///   - configuration: Its numbers.
    ///   - piece: The piece that its decoder is from; nil for the one that learnt it last.
    /// - Returns: Stage A.
    /// - Throws: As ``average(of:_:)``.
    public func stageA(
        _ configuration: StageA.Configuration, from piece: CascadePiece? = nil
    ) throws -> StageA {
        try StageA(
            configuration: configuration,
            parameters: ParameterValues(
                piece.map { try average(of: $0, "stage_a") } ?? stageAParameters()),
            precision: .bfloat16)
    }

    /// Writes what is trained as a checkpoint in the published layout, with compressor and preview
    /// decoder, in 16-bit floats.
    ///
    /// - Parameters:
    ///   - architecture: The sizes of the networks, Stage A with the unit of its latents.
    ///   - target: The checkpoint's folder.
    /// - Throws: `WuerstchenError` when a piece has not begun or files cannot be written.
    public func export(_ architecture: CascadeArchitecture, to target: URL) throws {
        typealias Piece = CascadePiece
        let export = CheckpointExport(to: target)
        try export.writePriorIndex(
            space: latentSpace, side: architecture.side,
            schedule: start?.stageC.schedule ?? NoiseSchedule())
        try export.writeDecoderIndex(
            space: start?.stageB.latentSpace ?? latentSpace,
            schedule: start?.stageB.schedule ?? NoiseSchedule())
        try export.copyTokenizer(tokenizer, to: \.prior)
        try export.copyTokenizer(decoderTokenizer, to: \.decoder)
        try export.write(stageAParameters(), architecture.stageA, to: \.stageA)
        try export.write(average(of: Piece.stageB, "stage_b"), architecture.stageB, to: \.stageB)
        try export.write(
            average(of: Piece.stageB, "text"), architecture.decoderText ?? architecture.text,
            to: \.decoderTextEncoder)
        try export.write(average(of: Piece.stageC, "stage_c"), architecture.stageC, to: \.stageC)
        try export.write(
            average(of: Piece.stageC, "text"), architecture.text, to: \.priorTextEncoder)
        try export.write(
            average(of: Piece.compressor, "compressor"),
            toFile: CheckpointLayout.published.compressor)
        let preview = try previewParameters()
        if !preview.isEmpty {
            try export.write(preview, toFile: CheckpointLayout.published.previews[0])
        }
    }
}

extension TrainingRun {
    /// Trains to the end, from where an earlier training in the folder stopped if there is one.
    ///
    /// - Parameters:
    ///   - start: Parameters to begin with in place of initial ones.
    ///   - progress: Where to report.
    /// - Throws: As ``run(resumes:start:progress:)``.
    public func goOn(
        start: [String: Tensor] = [:], progress: inout TrainingProgress
    ) throws {
        _ = try run(resumes: isBegun, start: start, progress: &progress)
    }
}
