import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Parts of a cascade") struct PartsTests {
    @Test("two cascades share one Stage C")
    func sharing() throws {
        let cascade = try TinyCascade.load()
        let counter = Counter()
        let network = try cascade.stageC()
        let stageC = Part<StageC> {
            counter.add()
            return network
        }
        let cascades = (0..<2).map {
            Cascade(
                name: "cascade \($0)", textEncoder: cascade.textEncoder, stageC: stageC,
                decoder: cascade.decoder, latentSpace: cascade.latentSpace)
        }
        let request = try TinyCascade.request()
        let images = try cascades.map { try $0.makeImages(for: request) }
        #expect(images[0] == images[1])
        #expect(try images[0] == cascade.makeImages(for: request))
        #expect(counter.value == 2)
    }

    @Test(
        "parts that are loaded each time give the same images", arguments: MemoryPolicy.allCases)
    func memory(policy: MemoryPolicy) throws {
        let cascade = try Cascade(contentsOf: TinyCascade.directory, memory: policy)
        let request = try TinyCascade.request(count: 2)
        let images = try TinyCascade.load().makeImages(for: request)
        #expect(try cascade.makeImages(for: request) == images)
        #expect(try cascade.makeImages(for: request) == images)
        #expect(cascade.name == "checkpoint")
    }

    @Test("a sequential cascade sees its files when it needs them")
    func sequentialErrors() throws {
        let copy = try TinyCascade.copy()
        let cascade = try Cascade(contentsOf: copy.url, memory: .sequential)
        try copy.remove("wuerstchen/vqgan/diffusion_pytorch_model.safetensors")
        expectError(.fileNotFound, "wuerstchen/vqgan", "diffusion_pytorch_model.safetensors") {
            _ = try cascade.makeImages(for: TinyCascade.request())
        }
    }

    @Test("the preview decoder without parameters stands in for Stages B and A")
    func linearPreview() throws {
        var cascade = try TinyCascade.load()
        cascade.decoder = PreviewDecoder()
        let size = ImageSize(width: 200, height: 131)
        let images = try cascade.makeImages(for: TinyCascade.request(size: size, count: 2))
        #expect(images.map(\.size) == [size, size])
        #expect(Set(images).count == 2)
        // Colours vary over the image.
        #expect(Set(images[0].pixels).count > 16)
        let alone = try cascade.makeImages(for: TinyCascade.request(size: size, seed: 8))
        #expect(alone == [images[1]])
    }

    @Test("a preview of a latent has a pixel for each position and shows constants as grey")
    func linearPreviewOfConstant() throws {
        let decoder = PreviewDecoder()
        let constant = SemanticLatent(values: Tensor(repeating: 3, [2, 3, 5, 10]))
        let images = try decoder.decode(constant)
        #expect(images.map(\.size) == Array(repeating: ImageSize(width: 5, height: 3), count: 2))
        #expect(images.allSatisfy { Set($0.pixels).count == 1 })
        expectError(.notFinite, "preview decoder") {
            _ = try decoder.decode(
                SemanticLatent(values: Tensor(repeating: .nan, [1, 3, 5, 10])))
        }
    }

    @Test("a preview decoder beside the checkpoint's folders is found, and stands in for B and A")
    func storedPreview() throws {
        let copy = try TinyCascade.copy()
        try PreviewParameters.write(to: copy.file("previewer.safetensors"), latentChannels: 10)
        var cascade = try Cascade(contentsOf: copy.url)
        let latent = SemanticLatent(
            values: Tensor((0..<60).map { Float($0 % 7) / 7 }, [1, 2, 3, 10]))
        let preview = try cascade.previewDecoder.decode(latent)
        // One layer of the network doubles the sides.
        #expect(preview.map(\.size) == [ImageSize(width: 6, height: 4)])
        cascade.decoder = cascade.previewDecoder
        let size = ImageSize(width: 129, height: 180)
        let images = try cascade.makeImages(for: TinyCascade.request(size: size))
        #expect(images.map(\.size) == [size])
    }

    @Test("parameters that are no preview decoder's are refused")
    func wrongPreview() throws {
        let copy = try TinyCascade.copy()
        try PreviewParameters.write(to: copy.file("preview.safetensors"), latentChannels: 10)
        try copy.changeTensors(of: "preview.safetensors") { $0["blocks.6.weight"]?.shape = [108] }
        expectError(.incompatibleParameters, "preview.safetensors", "blocks.6.weight", "[108]") {
            _ = try Cascade(contentsOf: copy.url)
        }
        try copy.changeTensors(of: "preview.safetensors") { $0 = [:] }
        expectError(.incompatibleParameters, "preview.safetensors") {
            _ = try Cascade(contentsOf: copy.url)
        }
        try copy.write("no tensors", to: "preview.safetensors")
        expectError(.malformedFile, "preview.safetensors") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("a preview decoder whose layers do not fit each other is refused")
    func brokenPreview() throws {
        let copy = try TinyCascade.copy()
        let name = "preview.safetensors"
        try PreviewParameters.write(to: copy.file(name), latentChannels: 10)
        try copy.changeTensors(of: name) { tensors in
            tensors["blocks.6.weight"] = CheckpointCopy.Record(
                elementType: .f32, shape: [3, 7, 3, 3],
                bytes: Array(repeating: 0, count: 4 * 3 * 7 * 9))
        }
        expectError(.incompatibleParameters, name, "blocks.6.weight", "4 channels") {
            _ = try PreviewDecoder(contentsOf: copy.file(name))
        }
        // Without its last layer it makes four channels, which are no image.
        try copy.changeTensors(of: name) { tensors in
            tensors["blocks.6.weight"] = nil
            tensors["blocks.6.bias"] = nil
        }
        expectError(.incompatibleParameters, name, "3 channels") {
            _ = try PreviewDecoder(contentsOf: copy.file(name))
        }
    }

    @Test("a preview decoder refuses latents of other channels, and none at all")
    func previewOfOtherLatents() throws {
        let copy = try TinyCascade.copy()
        let file = copy.file("preview.safetensors")
        try PreviewParameters.write(to: file, latentChannels: 4)
        expectError(.invalidConfiguration, "10 channels (c_in)", "preview decoder takes 4") {
            _ = try Cascade(contentsOf: copy.url)
        }
        var cascade = try TinyCascade.load()
        cascade.decoder = try PreviewDecoder(contentsOf: file)
        expectError(.invalidRequest, "preview decoder", "columns, 4]", "[1, 12, 12, 10]") {
            _ = try cascade.makeImages(for: TinyCascade.request(stageCSteps: 1))
        }
        expectError(.invalidRequest, "preview decoder", "[0, 3, 3, 10]") {
            _ = try PreviewDecoder().decode(
                SemanticLatent(values: Tensor(repeating: 0, [0, 3, 3, 10])))
        }
    }

    @Test("Stages A and B that do not fit each other are an error")
    func unfitStageA() throws {
        var configuration = StageA.Configuration()
        configuration.channels = 8
        configuration.latentChannels = 3
        configuration.bottleneckBlocks = 1
        configuration.codes = 2
        let stageA = try StageA(
            configuration: configuration, parameters: RandomParameters(seed: 1))
        var cascade = try TinyCascade.load()
        var decoder = try #require(cascade.decoder as? DiffusionDecoder)
        decoder.stageA = Part(stageA)
        cascade.decoder = decoder
        expectError(.invalidRequest, "Stage A decodes", "3]", "[1, 32, 32, 4]") {
            _ = try cascade.makeImages(for: TinyCascade.request(stageCSteps: 1, stageBSteps: 1))
        }
    }

    @Test("any decoder fits, and small images are enlarged")
    func customDecoder() throws {
        var cascade = try TinyCascade.load()
        let counter = Counter()
        cascade.decoder = CountingDecoder(counter: counter)
        let size = ImageSize(width: 140, height: 333)
        let images = try cascade.makeImages(for: TinyCascade.request(size: size, stageCSteps: 1))
        #expect(images.map(\.size) == [size])
        #expect(Set(images[0].pixels) == [128])
        #expect(counter.value == 1)
    }

    @Test("a decoder that makes fewer images than there are latents is an error")
    func tooFewImages() throws {
        var cascade = try TinyCascade.load()
        cascade.decoder = CountingDecoder(counter: Counter())
        expectError(.invalidRequest, "1 images of 2") {
            _ = try cascade.makeImages(for: TinyCascade.request(count: 2))
        }
    }

    @Test("a decoder runs on latents of one's own")
    func decode() throws {
        let cascade = try TinyCascade.load()
        let latent = SemanticLatent(
            values: Tensor(repeating: 0.5, [2, 6, 3, 10]), space: cascade.latentSpace)
        let request = try TinyCascade.request()
        let images = try cascade.decoder.decode(latent, for: request)
        #expect(images.map(\.size) == Array(repeating: ImageSize(width: 32, height: 64), count: 2))
        #expect(images[0] != images[1])
    }
}
