import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Sizes of images") struct SizeTests {
    @Test("a request that names no size gives the checkpoint's")
    func defaultSize() throws {
        var cascade = try TinyCascade.load()
        cascade.defaultSize = ImageSize(width: 140, height: 129)
        let request = GenerationRequest(
            "a boat",
            stageC: SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 0),
            stageB: SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 0))
        #expect(try cascade.makeImages(for: request).map(\.size) == [cascade.defaultSize])
    }

    @Test(
        "an image has exactly the size that was asked for",
        arguments: [
            (128, 128), (129, 128), (128, 130), (131, 131), (200, 131), (131, 200), (256, 128),
            (159, 161),
        ])
    func exact(width: Int, height: Int) throws {
        let size = ImageSize(width: width, height: height)
        let request = try TinyCascade.request(size: size, stageCSteps: 1, stageBSteps: 1)
        let images = try TinyCascade.load().makeImages(for: request)
        #expect(images.map(\.size) == [size])
        // An image, not padding: the last row and column vary like any other.
        let image = images[0]
        #expect(Set((0..<height).map { image[width - 1, $0].green }).count > 1)
        #expect(Set((0..<width).map { image[$0, height - 1].green }).count > 1)
    }

    @Test(
        "a size out of range is answered with the nearest in it",
        arguments: [(100, 200, "128×200"), (0, 5000, "128×4096"), (4097, -1, "4096×128")])
    func outOfRange(width: Int, height: Int, nearest: String) throws {
        let request = try TinyCascade.request(size: ImageSize(width: width, height: height))
        expectError(.invalidRequest, "\(width)×\(height)", nearest) { try request.validate() }
    }

    @Test("sizes beyond one and a half times that of the training come with advice")
    func advice() throws {
        var cascade = try TinyCascade.load()
        cascade.defaultSize = ImageSize(width: 256, height: 200)
        for (width, height) in [(256, 200), (384, 300), (128, 128)] {
            #expect(cascade.advice(on: ImageSize(width: width, height: height)) == nil)
        }
        for (width, height) in [(385, 200), (256, 301)] {
            let advice = try #require(cascade.advice(on: ImageSize(width: width, height: height)))
            #expect(advice.contains("\(width)×\(height)") && advice.contains("256×200"))
            #expect(advice.contains("384×300"))
        }
        var request = GenerationRequest(
            "a house", negativePrompt: "night", size: ImageSize(width: 512, height: 512),
            stageC: SamplingOptions(timesteps: try Timesteps(count: 2), guidance: 4))
        #expect(try cascade.advice(for: request).count == 1)
        request.size = nil
        #expect(try cascade.advice(for: request).isEmpty)
        request.stageC?.guidance = 1
        #expect(try cascade.advice(for: request).first?.contains("negative prompt") == true)
        request.negativePrompt = ""
        #expect(try cascade.advice(for: request).isEmpty)
    }

    @Test("a larger size than needed is cut out of the middle")
    func crop() throws {
        let cascade = try TinyCascade.load()
        // Both take the same grid, so the smaller image is the middle of the larger.
        let whole = ImageSize(width: 160, height: 160)
        let part = ImageSize(width: 131, height: 150)
        #expect(try cascade.grid(for: whole) == cascade.grid(for: part))
        let large = try cascade.makeImages(
            for: TinyCascade.request(size: whole, stageCSteps: 1, stageBSteps: 1))
        let small = try cascade.makeImages(
            for: TinyCascade.request(size: part, stageCSteps: 1, stageBSteps: 1))
        #expect(try small == large.map { try $0.cropped(to: part) })
    }

    @Test("every side from 128 to 4096 has a grid that covers it and that the decoder can run on")
    func grids() throws {
        let cascade = try TinyCascade.load()
        let sides = (0..<1000).map {
            cascade.decoder.imageSide(forSemanticSide: $0, in: cascade.latentSpace)
        }
        for side in 128...4096 {
            let grid = try cascade.grid(for: ImageSize(width: side, height: 4224 - side))
            for (positions, pixels) in [(grid.columns, side), (grid.rows, 4224 - side)] {
                func covers(_ positions: Int) -> Bool {
                    (sides[positions] ?? 0) >= pixels
                }
                #expect(covers(positions), "\(pixels)")
                // More positions than that would be wasted work.
                let fewest = cascade.latentSpace.gridSide(covering: pixels)
                #expect(!(fewest..<positions).contains(where: covers), "\(pixels)")
            }
        }
    }

    @Test("the published numbers give grids of multiples of three")
    func publishedGrids() throws {
        var cascade = try TinyCascade.load()
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        cascade.latentSpace = SemanticLatentSpace()
        cascade.decoder = DiffusionDecoder(
            textEncoder: decoder.textEncoder, stageB: decoder.stageB, stageA: decoder.stageA,
            configuration: StageB.Configuration(), latentSpace: SemanticLatentSpace(),
            pixelsPerPosition: 4)
        for side in 128...4096 {
            let grid = try cascade.grid(for: ImageSize(width: side, height: side))
            #expect(grid.rows == grid.columns && grid.rows % 3 == 0)
        }
        #expect(
            try cascade.grid(for: ImageSize(width: 1024, height: 1536))
                == SemanticGrid(rows: 36, columns: 24))
    }

    @Test("an image of the largest size")
    func largest() throws {
        var cascade = try TinyCascade.load()
        cascade.decoder = PreviewDecoder()
        cascade.latentSpace.pixelsPerPosition = 680
        let size = ImageSize(width: 4096, height: 128)
        let request = try TinyCascade.request(size: size, stageCSteps: 1)
        #expect(try cascade.makeImages(for: request).map(\.size) == [size])
    }

    @Test(
        "sizes out of range are refused",
        arguments: [0, -1, 1, 127, 4097, 16384, 1 << 40, .max, .min])
    func refused(side: Int) throws {
        let cascade = try TinyCascade.load()
        for size in [
            ImageSize(width: side, height: 128), ImageSize(width: 128, height: side),
            ImageSize(width: side, height: side),
        ] {
            expectError(.invalidRequest, "\(size)", "128", "4096") {
                _ = try cascade.image(for: "a house", size: size)
            }
            expectError(.invalidRequest, "\(size)") { _ = try cascade.grid(for: size) }
            expectError(.invalidRequest, "\(size)") {
                let text = try cascade.textEncoder().encode("a house")
                _ = try cascade.stageC().sample(text, imageSize: size, seed: 0)
            }
        }
    }

    @Test(
        "a space that is none is refused", arguments: [0, -1, .nan, .infinity, 1e300] as [Double])
    func space(pixelsPerPosition: Double) throws {
        var cascade = try TinyCascade.load()
        cascade.decoder = PreviewDecoder()
        cascade.latentSpace.pixelsPerPosition = pixelsPerPosition
        expectError(.invalidConfiguration, "resolution_multiple") {
            _ = try cascade.makeImages(for: TinyCascade.request())
        }
    }

    @Test("grids without positions, and no images at all, are refused")
    func emptyGrids() throws {
        let cascade = try TinyCascade.load()
        let text = try cascade.textEncoder().encode("a house")
        for (rows, columns, count) in [(0, 3, 1), (3, -1, 1), (3, 3, 0), (3, 3, -1)] {
            expectError(.invalidRequest, "positions") {
                _ = try cascade.stageC().sampler(
                    text, grid: SemanticGrid(rows: rows, columns: columns),
                    imagesPerPrompt: count, noise: SeededNoise(seeds: [0]))
            }
        }
    }

    @Test("a decoder that fits no grid is an error that says so")
    func noGrid() throws {
        struct Unfit: LatentDecoder {
            func imageSide(forSemanticSide side: Int, in space: SemanticLatentSpace) -> Int? { nil }
            func stepCount(for request: GenerationRequest) -> Int { 0 }
            func decoding(
                of latent: SemanticLatent, for request: GenerationRequest, noise: any NoiseSource
            ) throws -> any LatentDecoding {
                throw CancellationError()
            }
        }
        var cascade = try TinyCascade.load()
        cascade.decoder = Unfit()
        expectError(.invalidRequest, "128", "resolution_multiple") {
            _ = try cascade.makeImages(for: TinyCascade.request())
        }
    }
}
