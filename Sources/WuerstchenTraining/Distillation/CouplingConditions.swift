public import TensorCore
public import Wuerstchen

/// What a stage's pictures are conditioned on.
public struct CouplingConditions: Sendable {
    /// A caption for each picture; empty for none.
    public var captions: [String]
    /// For Stage B the semantic latents as Stage C makes them, `[batch, rows, columns, channels]`.
    public var semantics: Tensor?

    /// Conditions of the given values.
    public init(captions: [String], semantics: Tensor? = nil) {
        self.captions = captions
        self.semantics = semantics
    }
}

/// What pictures couplings are made for: conditions in any number, always the same for a number.
public protocol ConditionSource: Sendable {
    /// The conditions of some pictures.
    ///
    /// - Parameter range: Which ones, from 0.
    /// - Throws: What reading pictures throws.
    func conditions(_ range: Range<Int>) throws -> CouplingConditions
}

/// The captions of drawn scenes or of a folder of pictures, for Stage C.
public struct CaptionConditions: ConditionSource {
    private let caption: @Sendable (Int) throws -> String

    /// The captions of drawn scenes, which need not be drawn for it.
    public init(of scenes: ScenePictures) {
        caption = { scenes.example($0).caption }
    }

    /// Captions of your own, over and over.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` when there are none.
    public init(_ captions: [String]) throws {
        guard !captions.isEmpty else {
            throw WuerstchenError(
                .invalidRequest, "there is no caption to make couplings for; give at least one")
        }
        caption = { captions[$0 % captions.count] }
    }

    /// The captions of some pictures.
    public func conditions(_ range: Range<Int>) throws -> CouplingConditions {
        CouplingConditions(captions: try range.map(caption))
    }
}

/// Semantic latents and captions for Stage B: every other one from a true picture, by the compressor,
/// the rest from Stage C, whose latents are what the student will see in the end.
public struct SemanticConditions: ConditionSource {
    /// The pictures and captions.
    public var pictures: any PictureSource
    /// What makes latents of pictures.
    public var compressor: SemanticCompressor
    /// The text encoder in front of Stage C.
    public var textEncoder: TextEncoder<StageC>
    /// What makes latents of captions.
    public var stageC: StageC
    /// How it samples; nil for how it was made to.
    public var sampling: SamplingOptions?
    /// What their noise depends on.
    public var seed: UInt64 = 0

    /// Conditions from pictures and from their captions.
    public init(
        _ pictures: any PictureSource, compressor: SemanticCompressor,
        textEncoder: TextEncoder<StageC>, stageC: StageC
    ) {
        self.pictures = pictures
        self.compressor = compressor
        self.textEncoder = textEncoder
        self.stageC = stageC
    }

    /// The semantic latents and captions of some pictures.
    public func conditions(_ range: Range<Int>) throws -> CouplingConditions {
        let examples = try range.map { try pictures.batch($0, count: 1) }
        let captions = examples.flatMap(\.captions)
        let pixels = Tensor.concatenating(examples.map(\.pixels))
        let embedding = try compressor.embed(compressor.reduced(pixels))
        let seen = SemanticLatent(embedding: embedding, space: compressor.latentSpace).values
        let text = try textEncoder.encode(captions, negatives: captions.map { _ in "" })
        var sampler = try stageC.sampler(
            text, grid: SemanticGrid(rows: seen.shape[1], columns: seen.shape[2]),
            noise: SeededNoise(seeds: range.map { seed &+ UInt64($0) }), options: sampling)
        while try sampler.next() != nil {}
        let made = sampler.latent
        return CouplingConditions(
            captions: captions,
            semantics: Tensor.concatenating(
                range.enumerated().map { row, number in
                    (number % 2 == 0 ? seen : made)[row..<row + 1]
                }))
    }
}
