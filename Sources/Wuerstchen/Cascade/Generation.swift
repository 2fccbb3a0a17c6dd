private import Foundation
public import TensorCore

/// What happens while a cascade makes images.
public enum GenerationEvent: Sendable {
    /// A stage took a step.
    case step(GenerationStep)
    /// Some images are done, those of the request from number `first` on. A request of many large
    /// images is worked off in batches, so that there may be more to come.
    case images([Image], first: Int)
}

/// A step of a stage.
public struct GenerationStep: Sendable {
    /// What takes steps: Stage C, or whatever decodes its latents, under a name of its own.
    public struct Stage: Sendable, Hashable, CustomStringConvertible {
        /// Text to semantic latent.
        public static let stageC = Stage("Stage C")
        /// Semantic latent to image latent.
        public static let stageB = Stage("Stage B")

        /// The name, such as `Stage B`.
        public let description: String

        /// A stage of that name.
        public init(_ name: String) {
            description = name
        }
    }

    /// The stage.
    public let stage: Stage
    /// The step's number within the whole request, from 0.
    public let index: Int
    /// The number of steps of the whole request.
    public let total: Int
    /// The step's number within its stage, from 0.
    public let stageIndex: Int
    /// The number of steps of its stage.
    public let stageCount: Int
    /// What the stage now takes the clean latents to be, `[batch, rows, columns, channels]`.
    public let predictedClean: Tensor
    /// What of the prompts was not read or is not known.
    public let promptFindings: PromptFindings
    /// For Stage C, the same as a latent that any ``LatentDecoder`` can show.
    public let semanticLatent: SemanticLatent?
}

/// The work on one request, taken step by step on whatever thread asks for the next.
struct GenerationRun: Sendable {
    private enum State: Sendable {
        case beginning
        case sampling(any Sampler)
        case sampled(SemanticLatent, any NoiseSource)
        case decoding(any LatentDecoding)
        case finished
    }

    private let cascade: Cascade
    private let request: GenerationRequest
    /// The image that the request starts from, in the request's size.
    private let original: ImageEdit?
    private let stageC: SamplingOptions
    private let size: ImageSize
    private let grid: SemanticGrid
    private let total: Int
    /// How many images are made together. Their number changes no image; it is as large as keeps
    /// the memory of a big request at that of one image of the published size.
    private let batchSize: Int
    private var text: TextEmbedding<StageC>?
    /// The semantic latent of the image that the request starts from.
    private var semantic: SemanticLatent?
    /// Of whatever read the prompt first.
    private var findings: PromptFindings?
    private var index = 0
    /// Images that are done.
    private var done = 0
    private var state = State.beginning

    init(_ cascade: Cascade, _ request: GenerationRequest) throws {
        try request.validate()
        self.cascade = cascade
        size = cascade.size(of: request)
        grid = try cascade.grid(for: size)
        original = try request.edit?.fitted(to: size)
        var request = request
        request.edit = try original?.padded(to: cascade.fullSize(grid))
        self.request = request
        if let embeddings = request.embeddings { try cascade.validate(embeddings, request) }
        stageC = try request.stageC ?? cascade.stageC.description().defaultSampling
        try cascade.stageC.validate(stageC)
        var stepsOfStageC = stageC.timesteps.count
        if let edit = request.edit {
            if GenerationRun.skipsStageC(edit, cascade.decoder) {
                stepsOfStageC = 0
            } else {
                stepsOfStageC =
                    try cascade.stageC.stepCount(stageC, from: edit.stageCStrength)
            }
            guard
                cascade.compressor != nil || !edit.keepsContent
                    || GenerationRun.skipsContent(edit, cascade.decoder)
            else { throw cascade.missingCompressor }
        }
        batchSize = min(
            request.count, max(1, 1024 * 1024 / (size.width * size.height)))
        let batches = (request.count + batchSize - 1) / batchSize
        total = batches * (stepsOfStageC + (try cascade.decoder.stepCount(for: request)))
    }

    /// Whether an image goes through its decoder's latents alone.
    private static func skipsContent(_ edit: ImageEdit, _ decoder: any LatentDecoder) -> Bool {
        decoder.readsImages && edit.stageBStrength == 0
    }

    /// Whether Stage C has nothing to do.
    static func skipsStageC(_ edit: ImageEdit, _ decoder: any LatentDecoder) -> Bool {
        edit.stageCStrength == 0 || skipsContent(edit, decoder)
    }

    mutating func next() throws -> GenerationEvent? {
        while true {
            try Task.checkCancellation()
            switch state {
            case .beginning:
                state = try begin()
            case .sampling(var sampler):
                state = .finished
                if let step = try sampler.next() {
                    state = .sampling(sampler)
                    let clean = SemanticLatent(
                        values: step.predictedClean, space: cascade.latentSpace)
                    return .step(count(.stageC, step, clean))
                }
                let latent = SemanticLatent(values: sampler.latent, space: cascade.latentSpace)
                state = .sampled(latent, sampler.noise)
            case .sampled(let latent, let noise):
                // Nothing holds Stage C any more, so that the decoder can have its memory.
                TensorMemory.trim()
                let decoding = try cascade.decoder.decoding(
                    of: latent, for: request, noise: self.noise(request.stageBSeed) ?? noise)
                findings = findings ?? decoding.promptFindings
                state = .decoding(decoding)
            case .decoding(var decoding):
                state = .finished
                if let step = try decoding.next() {
                    state = .decoding(decoding)
                    return .step(count(decoding.stage, step, nil))
                }
                let made = try decoding.finish()
                guard made.count == batch.count else {
                    throw WuerstchenError(
                        .invalidRequest,
                        "the decoder made \(made.count) images of \(batch.count) latents")
                }
                let images = try made.map { try fit($0) }
                let first = done
                done += images.count
                TensorMemory.trim()
                if done < request.count { state = .beginning }
                return .images(images, first: first)
            case .finished:
                return nil
            }
        }
    }

    /// The images that are made next.
    private var batch: Range<Int> {
        done..<min(done + batchSize, request.count)
    }

    /// Random numbers for the images that are made next.
    private func noise(_ seed: UInt64?) -> SeededNoise? {
        seed.map { seed in SeededNoise(seeds: batch.map { seed &+ UInt64($0) }) }
    }

    private mutating func begin() throws -> State {
        let noise = SeededNoise(seeds: batch.map { request.seed &+ UInt64($0) })
        var edit: LatentEdit?
        if let image = request.edit {
            if GenerationRun.skipsContent(image, cascade.decoder) {
                // The decoder looks at nothing but their number.
                let values = Tensor(
                    repeating: 0,
                    [
                        batch.count, grid.rows, grid.columns,
                        try cascade.stageC.description().latentChannels,
                    ])
                return .sampled(SemanticLatent(values: values, space: cascade.latentSpace), noise)
            }
            if image.keepsContent {
                var latent = try semantic ?? cascade.semanticLatent(of: image, grid)
                semantic = latent
                guard image.stageCStrength > 0 else {
                    latent.values = Tensor.concatenating(
                        [Tensor](repeating: latent.values, count: batch.count))
                    return .sampled(latent, noise)
                }
                edit = LatentEdit(
                    latent.values, strength: image.stageCStrength,
                    mask: image.mask?.tensor(rows: grid.rows, columns: grid.columns))
            }
        }
        let text: TextEmbedding<StageC>
        if let encoded = self.text {
            text = encoded
        } else if let embeddings = request.embeddings {
            text = embeddings.stageC
            findings = PromptFindings(text)
        } else {
            (text, findings) = try cascade.textEncoder()
                .encode(request, isGuided: stageC.isGuided)
        }
        self.text = text
        let sampler = try cascade.stageC().sampler(
            text, grid: grid, imagesPerPrompt: batch.count, editing: edit, noise: noise,
            options: stageC)
        return .sampling(sampler)
    }

    private mutating func count(
        _ stage: GenerationStep.Stage, _ step: SamplingStep, _ semantic: SemanticLatent?
    ) -> GenerationStep {
        defer { index += 1 }
        let findings = findings ?? PromptFindings()
        return GenerationStep(
            stage: stage, index: index, total: total, stageIndex: step.index,
            stageCount: step.count, predictedClean: step.predictedClean,
            promptFindings: findings, semanticLatent: semantic)
    }

    /// The image at the size that was asked for: enlarged if the decoder made a small one, then
    /// cut out of the middle.
    private func fit(_ image: Image) throws -> Image {
        var image = image
        let space = cascade.latentSpace
        let width = cascade.decoder.imageSide(forSemanticSide: grid.columns, in: space)
        let height = cascade.decoder.imageSide(forSemanticSide: grid.rows, in: space)
        if image.width < size.width || image.height < size.height,
            let width, let height
        {
            image = try image.resized(to: ImageSize(width: width, height: height))
        }
        let cropped = image.size == size ? image : try image.cropped(to: size)
        guard let original, let mask = original.mask else { return cropped }
        return try original.image.replaced(by: cropped, in: mask, seam: original.seam)
    }
}

extension Cascade {
    /// The steps of a request as they happen, and its images as they are done.
    ///
    ///     for try await event in cascade.generation(of: request) {
    ///         switch event {
    ///         case .step(let step): show(step)
    ///         case .images(let images, let first): keep(images, from: first)
    ///         }
    ///     }
    ///
    /// The work is done on threads of its own, one step whenever the next event is asked for.
    /// Cancelling the task that asks ends it within one block of a network, with
    /// `CancellationError`.
    public func generation(of request: GenerationRequest) -> Generation {
        Generation(cascade: self, request: request)
    }
}

/// The events of one request; see ``Cascade/generation(of:)``.
public struct Generation: AsyncSequence, Sendable {
    /// A step, or finished images.
    public typealias Element = GenerationEvent
    /// What goes wrong: `CancellationError` or ``WuerstchenError``.
    public typealias Failure = any Error

    fileprivate let cascade: Cascade
    fileprivate let request: GenerationRequest

    /// Starts the request anew.
    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// The request under way.
    public struct Iterator: AsyncIteratorProtocol {
        private let work: Work

        fileprivate init(_ generation: Generation) {
            work = Work(generation)
        }

        /// Does the work up to the next event.
        ///
        /// - Returns: The event, or nil after the last.
        /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError``.
        public mutating func next() async throws -> GenerationEvent? {
            let work = work
            return try await ComputeExecutor.run { try work.next() }
        }
    }

    /// The run behind an iterator, changed in place: a copy would keep a stage in memory after its
    /// turn.
    ///
    /// `@unchecked Sendable`: the run is only touched under the lock.
    private final class Work: @unchecked Sendable {
        private let generation: Generation
        private let lock = NSLock()
        private var run: GenerationRun?
        private var isOver = false

        init(_ generation: Generation) {
            self.generation = generation
        }

        func next() throws -> GenerationEvent? {
            try lock.withLock {
                guard !isOver else { return nil }
                // Nothing follows an error.
                isOver = true
                defer { if isOver { run = nil } }
                if run == nil {
                    run = try GenerationRun(generation.cascade, generation.request)
                }
                let event = try run?.next()
                isOver = event == nil
                return event
            }
        }
    }
}
