public import TensorCore
public import Wuerstchen

/// What a stage's images are conditioned on.
public struct CouplingConditions: Sendable {
    /// A caption for each image; empty for none.
    public var captions: [String]
    /// For Stage B the semantic latents as Stage C makes them, `[batch, rows, columns, channels]`.
    public var semantics: Tensor?

    /// Conditions of the given values.
    public init(captions: [String], semantics: Tensor? = nil) {
        self.captions = captions
        self.semantics = semantics
    }
}

/// What images couplings are made for: conditions in any number, always the same for a number.
public protocol ConditionSource: Sendable {
    /// The conditions of some images.
    ///
    /// - Parameter range: Which ones, from 0.
    /// - Returns: As many conditions.
    /// - Throws: What reading images throws.
    func conditions(_ range: Range<Int>) throws -> CouplingConditions
}

/// Captions, for Stage C.
public struct CaptionConditions: ConditionSource {
    private let caption: @Sendable (Int) throws -> String

    /// Captions that a function of their number gives.
    public init(_ caption: @escaping @Sendable (_ number: Int) throws -> String) {
        self.caption = caption
    }

    /// Captions of your own, over and over.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` when there are none.
    public init(_ captions: [String]) throws {
        guard !captions.isEmpty else {
            throw WuerstchenError(
                .invalidRequest, "there is no caption to make couplings for; give at least one")
        }
        caption = { captions[$0 % captions.count] }
    }

    /// The captions of a folder, over and over.
    public init(_ folder: CaptionFolder) {
        let captions = folder.captions
        caption = { captions[$0 % captions.count] }
    }

    /// The captions of some images.
    public func conditions(_ range: Range<Int>) throws -> CouplingConditions {
        CouplingConditions(captions: try range.map(caption))
    }
}

/// Semantic latents and captions for Stage B: every other one is what the compressor makes of an
/// image, the rest are from Stage C, whose latents are what the student will see in the end.
public struct SemanticConditions: ConditionSource {
    /// The images and captions.
    public var images: any ImageSource
    /// What makes latents of images.
    public var compressor: SemanticCompressor
    /// The text encoder in front of Stage C.
    public var textEncoder: TextEncoder<StageC>
    /// What makes latents of captions.
    public var stageC: StageC
    /// Rows and columns of the latents, the same as the compressor's of the images.
    public var grid: SemanticGrid
    /// How it samples; nil for how it was made to.
    public var sampling: SamplingOptions?
    /// What their noise depends on.
    public var seed: UInt64 = 0

    /// Conditions from images and from their captions.
    public init(
        _ images: any ImageSource, compressor: SemanticCompressor,
        textEncoder: TextEncoder<StageC>, stageC: StageC, grid: SemanticGrid
    ) {
        self.images = images
        self.compressor = compressor
        self.grid = grid
        self.textEncoder = textEncoder
        self.stageC = stageC
    }

    /// Conditions from images and from what a cascade's Stage C makes of their captions.
    ///
    /// - Parameters:
    ///   - images: The images and captions.
    ///   - compressor: What makes latents of images.
    ///   - cascade: The cascade.
    ///   - size: The size of the images.
    /// - Throws: What loading throws, and `WuerstchenError` for a size that the cascade cannot
    ///   make.
    public init(
        _ images: any ImageSource, compressor: SemanticCompressor, of cascade: Cascade,
        size: ImageSize
    ) throws {
        self.init(
            images, compressor: compressor, textEncoder: try cascade.textEncoder(),
            stageC: try cascade.stageC(), grid: try cascade.grid(for: size))
    }

    /// The semantic latents and captions of some images.
    public func conditions(_ range: Range<Int>) throws -> CouplingConditions {
        let examples = try range.map { try images.batch($0, count: 1) }
        let captions = examples.flatMap(\.captions)
        var latents = [Tensor?](repeating: nil, count: range.count)
        let seen = latents.indices.filter { (range.lowerBound + $0).isMultiple(of: 2) }
        if !seen.isEmpty {
            let pixels = Tensor.concatenating(seen.map { examples[$0].pixels })
            let values = try compressor.encode(pixels).values
            guard values.shape[1] == grid.rows, values.shape[2] == grid.columns else {
                throw WuerstchenError(
                    .invalidRequest,
                    "the compressor makes \(values.shape[2])×\(values.shape[1]) positions of these "
                        + "images where \(grid.columns)×\(grid.rows) are wanted; take images of "
                        + "another size")
            }
            for (place, row) in seen.enumerated() { latents[row] = values[place..<place + 1] }
        }
        let made = latents.indices.filter { latents[$0] == nil }
        if !made.isEmpty {
            let text = try textEncoder.encode(
                made.map { captions[$0] }, negatives: made.map { _ in "" })
            var sampler = try stageC.sampler(
                text, grid: grid,
                noise: SeededNoise(seeds: made.map { seed &+ UInt64(range.lowerBound + $0) }),
                options: sampling)
            while try sampler.next() != nil {}
            for (place, row) in made.enumerated() {
                latents[row] = sampler.latent[place..<place + 1]
            }
        }
        return CouplingConditions(
            captions: captions, semantics: Tensor.concatenating(latents.compactMap { $0 }))
    }
}
