import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Starting from an image") struct EditTests {
    /// The mean distance of two images' samples.
    private static func distance(_ a: Image, _ b: Image) -> Double {
        zip(a.pixels, b.pixels).reduce(0) { $0 + abs(Double($1.0) - Double($1.1)) }
            / Double(a.pixels.count)
    }

    private static func make(_ edit: ImageEdit?, seed: UInt64 = 7) throws -> Image {
        try EditableCascade.load().makeImages(for: EditableCascade.request(edit, seed: seed))[0]
    }

    @Test("the image through Stage A and back is what encoding and decoding by hand gives")
    func reconstruction() throws {
        let cascade = try EditableCascade.load()
        let image = try EditableCascade.image()
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let byHand = try decoder.stageA().decode(decoder.stageA().latent(of: image.tensor))
        #expect(try Self.make(.reconstruction(of: image)) == byHand[0])
        // No stage takes a step, and no compressor is needed.
        var without = cascade
        without.compressor = nil
        let request = try EditableCascade.request(.reconstruction(of: image), count: 2)
        #expect(try without.makeImages(for: request) == [byHand[0], byHand[0]])
    }

    @Test("full strength without a mask is text to image, and less is nearer to the image")
    func strengths() throws {
        let image = try EditableCascade.image()
        #expect(try Self.make(.redraw(image, strength: 1)) == Self.make(nil))
        let reconstruction = try Self.make(.reconstruction(of: image))
        let distances = try [0.02, 0.5, 1].map { strength in
            Self.distance(
                try Self.make(.redraw(image, strength: Float(strength))), reconstruction)
        }
        #expect(distances[0] < distances[1] && distances[1] < distances[2], "\(distances)")
        #expect(distances[0] < 0.3 * distances[2], "\(distances)")
    }

    @Test("steps begin at the strength, and are counted so")
    func steps() async throws {
        let cascade = try EditableCascade.load()
        var request = try EditableCascade.request(.redraw(EditableCascade.image(), strength: 0.6))
        request.stageB?.timesteps = try Timesteps(count: 4)
        var counts: [GenerationStep.Stage: Int] = [:]
        var total = 0
        for try await event in cascade.generation(of: request) {
            guard case .step(let step) = event else { continue }
            counts[step.stage, default: 0] += 1
            total = step.total
        }
        // 0.6, then 0.5, 0.25 and 0.
        #expect(counts == [.stageC: 3, .stageB: 3] && total == 6)
    }

    @Test("pixels outside the mask come back exactly, and all others can change")
    func mask() throws {
        let image = try EditableCascade.image(160, 130)
        let mask = try ImageMask(image.size, columns: 40..<100, rows: 30..<90)
        let made = try Self.make(.redraw(image, strength: 1, mask: mask))
        #expect(made.size == image.size)
        var changed = 0
        for y in 0..<image.height {
            for x in 0..<image.width {
                if (40..<100).contains(x), (30..<90).contains(y) {
                    changed += made[x, y] == image[x, y] ? 0 : 1
                } else {
                    #expect(made[x, y] == image[x, y])
                }
            }
        }
        #expect(changed > 60 * 60 * 9 / 10)
        // The seam: beside the edge the image is hardly changed.
        var hard = ImageEdit.redraw(image, strength: 1, mask: mask)
        hard.seam = 0
        let cut = try Self.make(hard)
        func step(_ image: Image) -> Int {
            (30..<90).reduce(0) {
                $0 + abs(Int(image[39, $1].red) - Int(image[40, $1].red))
                    + abs(Int(image[39, $1].green) - Int(image[40, $1].green))
            }
        }
        #expect(step(made) < step(cut))
    }

    @Test("a mask that selects nothing is refused, and a full one is full strength")
    func extremeMasks() throws {
        let image = try EditableCascade.image()
        let none = try ImageMask(image.size, columns: 0..<0, rows: 0..<0)
        #expect(none.isEmpty)
        expectError(.invalidRequest, "selects nothing") {
            _ = try Self.make(.redraw(image, strength: 0.7, mask: none))
        }
        // Its left is cut off to make a square of it.
        let wide = try EditableCascade.image(300, 128)
        let left = try ImageMask(wide.size, columns: 0..<40, rows: 0..<128)
        expectError(.invalidRequest, "selects nothing", "300:128") {
            var request = try EditableCascade.request(.redraw(wide, strength: 1, mask: left))
            request.size = ImageSize(width: 128, height: 128)
            _ = try EditableCascade.load().makeImages(for: request)
        }
        let all = try ImageMask(image.size, columns: 0..<128, rows: 0..<128)
        let full = try Self.make(.redraw(image, strength: 1, mask: all))
        #expect(Self.distance(full, try Self.make(nil)) < 1)
    }

    @Test("grey in a mask is a strength: the brighter, the farther from the image")
    func greyMasks() throws {
        let image = try EditableCascade.image()
        func made(_ grey: UInt8) throws -> Image {
            let pixels = [UInt8](repeating: grey, count: image.pixels.count)
            let mask = try ImageMask(
                Image(width: image.width, height: image.height, pixels: pixels))
            return try Self.make(.redraw(image, strength: 1, mask: mask))
        }
        let distances = try [25, 128, 255].map { Self.distance(try made($0), image) }
        for (darker, brighter) in zip(distances, distances.dropFirst()) {
            #expect(darker < brighter, "\(distances)")
        }
        #expect(distances[1] > 0.1 * distances[2], "\(distances)")
    }

    @Test("a mask that is narrower than its seam is made anew in its middle")
    func narrowMask() throws {
        let image = try EditableCascade.image()
        let line = try ImageMask(image.size, columns: 60..<61, rows: 0..<128)
        var soft = ImageEdit.redraw(image, strength: 1, mask: line)
        let made = try Self.make(soft)
        #expect((0..<128).contains { made[60, $0] != image[60, $0] })
        soft.seam = 0
        #expect(try Self.make(soft) == made)
    }

    @Test("latents outside a mask end as the image's, whichever the method")
    func keptLatents() throws {
        let cascade = try EditableCascade.load()
        let stage = try cascade.stageC()
        let text = try cascade.textEncoder().encode("a house")
        let clean = try cascade.semanticLatent(of: EditableCascade.image()).values
        let (rows, columns) = (clean.shape[1], clean.shape[2])
        let mask = Tensor(
            (0..<rows * columns).map { $0 % columns == 0 ? 0 : 1 }, [1, rows, columns, 1])
        for method in SamplingMethod.allCases {
            var sampler = try stage.sampler(
                text, grid: SemanticGrid(rows: rows, columns: columns), imagesPerPrompt: 2,
                editing: LatentEdit(clean, strength: 0.8, mask: mask),
                noise: SeededNoise(seeds: [1, 2]),
                options: SamplingOptions(
                    timesteps: Timesteps(count: 3), guidance: 2, method: method))
            #expect(sampler.count == 3)
            while try sampler.next() != nil {}
            let channels = clean.shape[3]
            for image in 0..<2 {
                let made = sampler.latent[image..<image + 1].elements
                for (index, value) in clean.elements.enumerated() {
                    let isKept = index / channels % columns == 0
                    let error = abs(made[index] - value)
                    #expect(isKept ? error < 1e-5 : error > 0, "\(method) at \(index)")
                }
            }
        }
    }

    @Test("variations share their content: other seeds draw it differently, not the prompt's")
    func variations() throws {
        let image = try EditableCascade.image()
        let (first, second) = (
            try Self.make(.variation(of: image)), try Self.make(.variation(of: image), seed: 8)
        )
        #expect(first != second)
        let other = try Self.make(.variation(of: image, strength: 0.5))
        #expect(other != first)
        // Stage C takes no part: what it would be asked does not matter.
        var request = try EditableCascade.request(.variation(of: image))
        request.stageC?.guidance = 9
        #expect(try EditableCascade.load().makeImages(for: request)[0] == first)
    }

    @Test("a latent is in the cascade's space, whatever the compressor takes its own for")
    func space() throws {
        let cascade = try EditableCascade.load()
        let image = try EditableCascade.image()
        let latent = try cascade.semanticLatent(of: image)
        let compressor = try #require(try cascade.compressor?())
        #expect(latent.space == EditableCascade.space)
        let embedding = try compressor.embed(compressor.reduced(image.tensor))
        #expect(latent.grid == SemanticGrid(rows: 3, columns: 3))
        #expect(embedding.shape == latent.values.shape)
        for (value, expected) in zip(latent.embedding.elements, embedding.elements) {
            #expect(abs(value - expected) < 1e-4)
        }
    }

    @Test(
        "images of any size are fitted to the request's, and without one give their own",
        arguments: [(40, 40, 128, 128), (300, 90, 300, 128), (131, 257, 131, 257)])
    func sizes(_ width: Int, _ height: Int, _ made: Int, _ tall: Int) throws {
        let image = try EditableCascade.image(width, height)
        let edit = ImageEdit.reconstruction(of: image)
        #expect(try Self.make(edit).size == ImageSize(width: made, height: tall))
        var request = try EditableCascade.request(edit)
        request.size = ImageSize(width: 140, height: 128)
        #expect(
            try EditableCascade.load().makeImages(for: request)[0].size == request.size)
    }

    @Test("fitting keeps the aspect ratio and the middle")
    func fitting() throws {
        let image = try EditableCascade.image(200, 100)
        let fitted = try image.fitted(to: ImageSize(width: 50, height: 50))
        #expect(
            try fitted
                == image.resized(to: ImageSize(width: 100, height: 50)).cropped(
                    to: ImageSize(width: 50, height: 50)))
        #expect(try image.fitted(to: image.size) == image)
        let odd = ImageSize(width: 37, height: 50)
        #expect(
            try image.fitted(to: odd)
                == image.resized(to: ImageSize(width: 100, height: 50)).cropped(to: odd))
    }

    @Test(
        "an image of any aspect ratio is fitted, without one of the whole being made",
        arguments: [(8000, 50), (50, 8000), (16384, 1), (1, 16384)])
    func strips(_ width: Int, _ height: Int) throws {
        // A line across the middle is all that is left of the long side.
        var pixels = [UInt8](repeating: 0, count: 3 * width * height)
        for y in 0..<height {
            for x in 0..<width where max(width, height) / 2 == (width > height ? x : y) {
                let index = 3 * (y * width + x)
                pixels.replaceSubrange(index..<index + 3, with: [255, 255, 255])
            }
        }
        let strip = try Image(width: width, height: height, pixels: pixels)
        let size = ImageSize(width: 256, height: 256)
        let fitted = try strip.fitted(to: size)
        #expect(fitted.size == size)
        #expect(fitted[128, 128].red > 0)
    }

    @Test("the preview decoder draws edits too")
    func preview() throws {
        var cascade = try EditableCascade.load()
        cascade.decoder = PreviewDecoder()
        let image = try EditableCascade.image()
        for edit in [
            ImageEdit.reconstruction(of: image), .variation(of: image),
            .redraw(image, strength: 0.5),
        ] {
            let made = try cascade.makeImages(for: EditableCascade.request(edit))
            #expect(made.map(\.size) == [image.size])
        }
    }

    @Test("what Stage B alone reads of a prompt is told of")
    func findings() async throws {
        let cascade = try EditableCascade.load()
        var request = try EditableCascade.request(.variation(of: EditableCascade.image()))
        for prompt in ["house", String(repeating: "red house ", count: 40)] {
            request.prompt = prompt
            var steps = 0
            for try await event in cascade.generation(of: request) {
                guard case .step(let step) = event else { continue }
                steps += 1
                let findings = step.promptFindings
                #expect(step.stage == .stageB)
                #expect(findings.isPromptTruncated == (prompt != "house"))
                #expect(findings.unreadPrompt.isEmpty == (prompt == "house"))
            }
            #expect(steps > 0)
        }
        #expect(try cascade.advice(for: request).isEmpty)
        request.edit = .reconstruction(of: try EditableCascade.image())
        #expect(try cascade.advice(for: request).contains { $0.contains("the prompt changes") })
        request.prompt = ""
        #expect(try cascade.advice(for: request).isEmpty)
    }

    @Test("one image of several is what a request for it alone gives")
    func batches() throws {
        let cascade = try EditableCascade.load()
        let edit = ImageEdit.redraw(try EditableCascade.image(), strength: 0.7)
        let several = try cascade.makeImages(for: EditableCascade.request(edit, count: 2))
        #expect(try several[1] == Self.make(edit, seed: 8))
        #expect(several[0] != several[1])
    }

    @Test("what cannot be is refused before any work")
    func refused() throws {
        let image = try EditableCascade.image()
        for strength in [-0.1, 1.1, .nan] as [Float] {
            expectError(.invalidRequest, "strength") {
                _ = try Self.make(.redraw(image, strength: strength))
            }
        }
        expectError(.invalidRequest, "same size", "64×64", "128×128") {
            let mask = try ImageMask(ImageSize(width: 64, height: 64), columns: 0..<1, rows: 0..<1)
            _ = try Self.make(.redraw(image, strength: 1, mask: mask))
        }
        var without = try EditableCascade.load()
        without.compressor = nil
        expectError(.invalidRequest, "compressor.safetensors", "effnet_encoder.safetensors") {
            _ = try without.makeImages(for: EditableCascade.request(.variation(of: image)))
        }
        expectError(.invalidRequest, "distilled to one step", "0.5") {
            let description = StageDescription(
                name: "Stage C", flow: FlowConfiguration(steps: 1), noiseSampling: .stageC,
                readsText: true, latentChannels: 4)
            _ = try LatentEdit.options(description.defaultSampling, from: 0.5, description)
        }
    }
}
