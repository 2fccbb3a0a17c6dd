import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Requests") struct RequestTests {
    @Test("the published settings are the default")
    func defaults() throws {
        let request = GenerationRequest("a house")
        #expect(request.size == nil)
        #expect(request.stageC == nil && request.stageB == nil)
        let completed = try TinyCascade.load().completed(request)
        #expect(completed.stageC?.timesteps.count == 60 && completed.stageC?.guidance == 4)
        #expect(completed.stageB?.timesteps.count == 12 && completed.stageB?.guidance == 0)
        #expect(request.count == 1)
        try request.validate()
    }

    @Test(
        "guidance that is no ordinary number is refused",
        arguments: [.nan, .infinity, -.infinity, 1e30] as [Float])
    func guidance(_ guidance: Float) throws {
        let cascade = try TinyCascade.load()
        for request in try [
            TinyCascade.request(stageCGuidance: guidance),
            TinyCascade.request(stageBGuidance: guidance),
        ] {
            expectError(.invalidRequest, "guidance", "\(guidance)") {
                try cascade.validate(request)
            }
            expectError(.invalidRequest, "guidance", "\(guidance)") {
                _ = try cascade.makeImages(for: request)
            }
        }
        let text = try cascade.textEncoder().encode("a house")
        expectError(.invalidRequest, "guidance") {
            _ = try cascade.stageC().sample(
                text, imageSize: ImageSize(width: 128, height: 128), seed: 0,
                options: SamplingOptions(timesteps: Timesteps(count: 1), guidance: guidance))
        }
    }

    @Test("step counts out of range are refused", arguments: [0, -1, 10_001, .max, .min])
    func steps(count: Int) {
        expectError(.invalidRequest, "\(count)", "10000") { _ = try Timesteps(count: count) }
    }

    @Test(
        "times that do not fall from 1 to 0 are refused",
        arguments: [
            [], [1], [0, 1], [1, 1, 0], [1, 0.5, 0.7, 0], [1, .nan, 0], [.nan, 0], [1, .nan],
            [.infinity, 0], [1.5, 0], [1, -0.5],
        ] as [[Float]])
    func times(_ times: [Float]) {
        expectError(.invalidRequest, "timesteps") { _ = try Timesteps(times) }
    }

    @Test("equal steps go from 1 to 0 and fall, whatever their number")
    func equalSteps() throws {
        for count in [1, 2, 3, 59, 60, 9999, 10_000] {
            let timesteps = try Timesteps(count: count)
            #expect(timesteps.count == count && timesteps.times.count == count + 1)
            #expect(timesteps.times.first == 1 && timesteps.times.last == 0)
            #expect(throws: Never.self) { try Timesteps(timesteps.times) }
        }
    }

    @Test("numbers of images out of range are refused", arguments: [0, -1, 1025, .max, .min])
    func count(_ count: Int) throws {
        let cascade = try TinyCascade.load()
        expectError(.invalidRequest, "\(count)", "1024") {
            _ = try cascade.makeImages(for: TinyCascade.request(count: count))
        }
    }

    @Test(
        "any string is a prompt",
        arguments: ["", " ", "\0", "👩‍👩‍👧‍👦 مرحبا \u{301}", "<|endoftext|><|startoftext|>"])
    func prompts(_ prompt: String) throws {
        let request = try TinyCascade.request(prompt, negativePrompt: prompt)
        let images = try TinyCascade.load().makeImages(for: request)
        #expect(images.count == 1)
    }

    @Test("a prompt of ten megabytes is cut off, in no time")
    func longPrompt() throws {
        let cascade = try TinyCascade.load()
        let prompt = String(repeating: "a red house under a starry night sky ", count: 280_000)
        let text = try cascade.textEncoder().encode(prompt)
        #expect(text.isTruncated)
        #expect(text.prompts.shape == [1, 24, 18])
        let short = try cascade.textEncoder().encode(String(prompt.prefix(1000)))
        #expect(text.prompts.elements == short.prompts.elements)
        #expect(try cascade.makeImages(for: TinyCascade.request(prompt)).count == 1)
    }

    @Test("guidance up to 1 needs no negative prompt, guidance beyond it does")
    func secondPass() throws {
        let cascade = try TinyCascade.load()
        let text = try cascade.textEncoder().encode("a house", negative: nil)
        let size = ImageSize(width: 128, height: 128)
        func sample(_ guidance: Float) throws -> SemanticLatent {
            try cascade.stageC().sample(
                text, imageSize: size, seed: 0,
                options: SamplingOptions(timesteps: Timesteps(count: 1), guidance: guidance))
        }
        let plain = try sample(0)
        #expect(try sample(1).values.elements == plain.values.elements)
        #expect(try sample(-3).values.elements == plain.values.elements)
        expectError(.invalidRequest, "negative") { _ = try sample(4) }
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let decoderText = try decoder.textEncoder().encode("a house", negative: nil)
        expectError(.invalidRequest, "negative") {
            _ = try decoder.stageB().sample(
                plain, text: decoderText, seed: 0,
                options: SamplingOptions(timesteps: Timesteps(count: 1), guidance: 1.5))
        }
    }

    @Test("a negative prompt changes the image under guidance alone")
    func negativePrompt() throws {
        let cascade = try TinyCascade.load()
        func image(_ negative: String, _ guidanceC: Float, _ guidanceB: Float) throws -> [Image] {
            try cascade.makeImages(
                for: TinyCascade.request(
                    negativePrompt: negative, stageCGuidance: guidanceC, stageBGuidance: guidanceB))
        }
        #expect(try image("", 1, 1) == image("blurry", 1, 1))
        #expect(try image("", 1, 1) == image("blurry", 0, -2))
        #expect(try image("", 3, 0) != image("blurry", 3, 0))
        #expect(try image("", 0, 3) != image("blurry", 0, 3))
    }

    @Test("texts that do not fit a stage or each other are refused")
    func texts() throws {
        let cascade = try TinyCascade.load()
        let encoder = try cascade.textEncoder()
        expectError(.invalidRequest, "0 prompts") { _ = try encoder.encode([], negatives: nil) }
        expectError(.invalidRequest, "2 prompts with 1") {
            _ = try encoder.encode(["a", "b"], negatives: ["c"])
        }
        let size = ImageSize(width: 128, height: 128)
        for shape in [[1, 24, 17], [24, 18], [0, 24, 18]] as [Shape] {
            expectError(.invalidRequest, "text embedding") {
                let text = TextEmbedding<StageC>(prompts: Tensor(repeating: 0, shape))
                _ = try cascade.stageC().sample(text, imageSize: size, seed: 0)
            }
        }
        expectError(.invalidRequest, "negative prompts") {
            let text = TextEmbedding<StageC>(
                prompts: Tensor(repeating: 0, [2, 24, 18]),
                negatives: Tensor(repeating: 0, [1, 24, 18]))
            _ = try cascade.stageC().sample(text, imageSize: size, seed: 0)
        }
    }

    @Test("initial latents of another shape are refused")
    func initialLatents() throws {
        let cascade = try TinyCascade.load()
        let text = try cascade.textEncoder().encode("a house")
        expectError(.invalidRequest, "Stage C", "[1, 3, 4, 9]", "[1, 3, 4, 10]") {
            _ = try cascade.stageC().sampler(
                text, grid: SemanticGrid(rows: 3, columns: 4),
                initial: Tensor(repeating: 0, [1, 3, 4, 9]), noise: SeededNoise(seeds: [0]))
        }
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let semantic = SemanticLatent(values: Tensor(repeating: 0, [1, 6, 3, 10]))
        let decoderText = try decoder.textEncoder().encode("a house")
        expectError(.invalidRequest, "Stage B", "[1, 8, 16, 4]", "[1, 16, 8, 4]") {
            _ = try decoder.stageB().sampler(
                semantic, text: decoderText, initial: Tensor(repeating: 0, [1, 8, 16, 4]),
                noise: SeededNoise(seeds: [0]))
        }
    }
}
