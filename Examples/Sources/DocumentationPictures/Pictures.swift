import Foundation
import Wuerstchen
import WuerstchenMiniature

/// What the articles show.
struct Pictures {
    private let cascade: Cascade
    private let decoder: DiffusionDecoder
    private let prompt = "a large red house in the middle on green hills under a blue sky"
    private let seed: UInt64 = 7

    init() throws {
        cascade = try .miniature()
        guard let decoder = cascade.decoder as? DiffusionDecoder else {
            throw WuerstchenError(.invalidConfiguration, "the miniature has no Stages B and A")
        }
        self.decoder = decoder
    }

    /// The pictures by the names of their files.
    var all: [(name: String, draw: () throws -> [[Image]])] {
        [
            ("cascade", stages), ("stage-c-steps", stepsOfStageC),
            ("stage-b-steps", stepsOfStageB), ("stage-b-seeds", seedsOfStageB),
            ("strengths", strengths), ("masks", masks), ("variations", variations),
            ("few-steps", fewSteps),
        ]
    }

    // MARK: How the cascade works

    /// What goes from stage to stage: two latents, a preview of the first, and the image.
    private func stages() throws -> [[Image]] {
        let semantic = try semantics().last
        guard let semantic else { return [] }
        let latent = try details(of: semantic).last
        guard let latent else { return [] }
        return [
            [
                try colors(semantic.values), try cascade.previewDecoder.decode(semantic)[0],
                try colors(latent.values), try decoder.stageA().decode(latent)[0],
            ]
        ]
    }

    /// What Stage C takes the semantic latent to be, from the first step to the last.
    private func stepsOfStageC() throws -> [[Image]] {
        let steps = spread(try semantics(), over: 6)
        return [
            try steps.map { try colors($0.values) },
            try steps.map { try cascade.previewDecoder.decode($0)[0] },
        ]
    }

    /// What Stage B takes the image to be, from the first step to the last.
    private func stepsOfStageB() throws -> [[Image]] {
        guard let semantic = try semantics().last else { return [] }
        return [
            try spread(try details(of: semantic), over: 6).map {
                try decoder.stageA().decode($0)[0]
            }
        ]
    }

    /// Above, other seeds for both stages; below, for Stage B alone.
    private func seedsOfStageB() throws -> [[Image]] {
        let seeds = (0..<3).map { seed + $0 }
        return [
            try seeds.map { try image(GenerationRequest(prompt, seed: $0)) },
            try seeds.map { try image(GenerationRequest(prompt, seed: seed, stageBSeed: $0)) },
        ]
    }

    // MARK: Starting from an image

    /// An image, and what comes of it at growing strengths.
    private func strengths() throws -> [[Image]] {
        let start = try original()
        let drawn = try ([0.2, 0.4, 0.6, 0.8, 1] as [Float]).map { strength in
            try image(
                GenerationRequest(
                    "a large yellow house in the middle in the snow at night", seed: seed,
                    edit: .redraw(start, strength: strength)))
        }
        return [[start] + drawn]
    }

    /// An image, a mask, and what is drawn there with three prompts.
    private func masks() throws -> [[Image]] {
        let start = try original()
        let (width, height) = (start.width, start.height)
        let mask = try ImageMask(
            start.size, columns: width / 8..<width * 7 / 8, rows: height / 4..<height * 31 / 32)
        let drawn = try [
            "a large blue house in the middle on green hills under a blue sky",
            "a large green tree in the middle on green hills under a blue sky",
            "a large yellow balloon in the middle over green hills under a blue sky",
        ].map { prompt in
            try image(
                GenerationRequest(
                    prompt, seed: seed, edit: .redraw(start, strength: 1, mask: mask)))
        }
        return [[start, mask.image] + drawn]
    }

    /// An image, and others of the same content.
    private func variations() throws -> [[Image]] {
        let start = try original()
        let others = try (1...4).map { number in
            try image(
                GenerationRequest(
                    prompt, seed: seed + UInt64(number), edit: .variation(of: start)))
        }
        return [[start] + others]
    }

    // MARK: Few steps

    /// Above, the stages as they were trained; below, their students of one step.
    private func fewSteps() throws -> [[Image]] {
        let prompts = [
            prompt, "a large lighthouse in the middle by the sea at sunset",
            "a large green tree in the middle in the desert under a blue sky",
        ]
        let students = try Cascade.miniature(.fewSteps)
        return try [cascade, students].map { cascade in
            try prompts.map { try cascade.image(for: $0, seed: seed) }
        }
    }

    // MARK: Parts

    private func original() throws -> Image {
        try image(GenerationRequest(prompt, seed: seed))
    }

    private func image(_ request: GenerationRequest) throws -> Image {
        try cascade.makeImages(for: request)[0]
    }

    /// What Stage C predicts at each step.
    private func semantics() throws -> [SemanticLatent] {
        let stageC = try cascade.stageC()
        let grid = try cascade.grid(for: cascade.defaultSize)
        var sampler = try stageC.sampler(
            cascade.textEncoder().encode(prompt), grid: grid, noise: SeededNoise(seeds: [seed]))
        var latents: [SemanticLatent] = []
        while let step = try sampler.next() {
            latents.append(
                SemanticLatent(values: step.predictedClean, space: cascade.latentSpace))
        }
        return latents
    }

    /// What Stage B predicts at each step.
    private func details(of semantic: SemanticLatent) throws -> [ImageLatent] {
        let text =
            try decoder.stageB.description().readsText
            ? decoder.textEncoder().encode(prompt, negative: "") : nil
        var sampler = try decoder.stageB().sampler(
            semantic, text: text, noise: SeededNoise(seeds: [seed]))
        var latents: [ImageLatent] = []
        while let step = try sampler.next() {
            latents.append(ImageLatent(values: step.predictedClean))
        }
        return latents
    }

    /// A latent in false colours, a pixel for each of its positions.
    private func colors(_ values: Tensor) throws -> Image {
        try Image.images(PreviewDecoder().pixels(of: values))[0]
    }

    /// The first, the last, and some between.
    private func spread<Value>(_ values: [Value], over count: Int) -> [Value] {
        guard values.count > count else { return values }
        return (0..<count).map { values[$0 * (values.count - 1) / (count - 1)] }
    }
}
