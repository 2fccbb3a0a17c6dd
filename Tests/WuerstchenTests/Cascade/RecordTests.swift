import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Making an image again from its file") struct RecordTests {
    /// The image of a request, written and read back.
    private func written(
        _ request: GenerationRequest, by cascade: Cascade, image: Int = 0
    ) throws -> (image: Image, record: GenerationRecord) {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).png")
        defer { try? FileManager.default.removeItem(at: file) }
        let made = try cascade.makeImages(for: request)[image]
        try made.write(to: file, text: cascade.metadata(of: request, image: image))
        return (made, try GenerationRecord(contentsOf: file))
    }

    @Test("a request with everything in it comes back as it was, and makes the same image")
    func everything() throws {
        let cascade = try TinyCascade.load()
        var options = SamplingOptions(
            timesteps: try Timesteps([0.97, 0.31, 0.1, 1e-7]), guidance: 3.3, method: .dpmpp2M)
        options.guidanceInterval = 0.2...0.7
        options.guidanceRescale = 0.1
        var details = SamplingOptions(
            timesteps: try Timesteps(count: 3), guidance: 1.7, method: .ddim)
        details.endsClean = true
        let request = GenerationRequest(
            "a house\0 “家”", negativePrompt: "dark\n", size: ImageSize(width: 129, height: 150),
            seed: .max, count: 2, stageC: options, stageB: details, stageBSeed: .max - 3)
        let (image, record) = try written(request, by: cascade, image: 1)
        let again = try record.request()
        var expected = request
        (expected.seed, expected.stageBSeed, expected.count) = (0, .max - 2, 1)
        #expect(again == expected)
        try record.requireWeights(of: cascade, for: again)
        #expect(try cascade.makeImages(for: again) == [image])
        #expect(record.decoder == .stageB && record.precision == .float32)
        #expect(
            record.weights.map(\.part) == [
                "text encoder", "Stage C", "text encoder of Stage B", "Stage B", "Stage A",
            ])
    }

    @Test("an edit comes back with its image and mask, and with no others")
    func edit() throws {
        let cascade = try EditableCascade.load()
        let image = try EditableCascade.image()
        let mask = try ImageMask(image.size, columns: 0..<64, rows: 10..<128)
        var edit = ImageEdit.redraw(image, strength: 0.7, mask: mask)
        edit.seam = 5
        let (made, record) = try written(EditableCascade.request(edit), by: cascade)
        #expect(record.startsFromImage && record.hasMask)
        let again = try record.request(image: image, mask: mask)
        #expect(again.edit == edit)
        #expect(try cascade.makeImages(for: again) == [made])
        let other = try EditableCascade.image(128, 130)
        for (image, mask, words) in [
            (other, mask, "an image of 128×128"), (nil, mask, "give that too"),
            (image, nil, "a mask of 128×128"),
        ] as [(Image?, ImageMask?, String)] {
            expectError(.invalidRequest, words) { _ = try record.request(image: image, mask: mask) }
        }
        let (_, plain) = try written(EditableCascade.request(nil), by: cascade)
        expectError(.invalidRequest, "without an image") { _ = try plain.request(image: image) }
    }

    @Test("only weights that a request uses are in its record")
    func usedWeights() throws {
        var cascade = try TinyCascade.load()
        let image = try EditableCascade.image()
        func parts(_ edit: ImageEdit?) throws -> [String] {
            try cascade.record(of: EditableCascade.request(edit)).weights.map(\.part)
        }
        #expect(try parts(.reconstruction(of: image)) == ["Stage A"])
        #expect(
            try parts(.variation(of: image)) == ["text encoder of Stage B", "Stage B", "Stage A"])
        cascade.decoder = PreviewDecoder()
        #expect(try parts(nil) == ["text encoder", "Stage C"])
        #expect(try cascade.record(of: TinyCascade.request()).decoder == .preview)
    }

    @Test("other weights, precisions and configurations are refused by name")
    func otherWeights() throws {
        let cascade = try TinyCascade.load()
        let request = try TinyCascade.request()
        let record = try cascade.record(of: request)
        let copy = try TinyCascade.copy()
        // Loaded one by one, from other files of the same contents: the same weights.
        try record.requireWeights(
            of: Cascade(contentsOf: copy.url, memory: .sequential), for: request)
        for precision in [Precision.bfloat16, .int8] {
            expectError(.incompatibleParameters, "Stage A", precision.rawValue) {
                try record.requireWeights(
                    of: Cascade(contentsOf: copy.url, precision: precision), for: request)
            }
        }
        for (path, part) in [
            ("wuerstchen/vqgan/diffusion_pytorch_model.safetensors", "Stage A"),
            ("wuerstchen-prior/prior/diffusion_pytorch_model.safetensors", "Stage C"),
            ("wuerstchen/decoder/diffusion_pytorch_model.safetensors", "Stage B"),
        ] {
            // The last byte belongs to the last tensor.
            let bytes = try copy.bytes(of: path)
            var changed = bytes
            changed[changed.count - 2] ^= 1
            try copy.write(changed, to: path)
            let others = try Cascade(contentsOf: copy.url)
            let missing = try #require(record.weights.first { $0.part == part })
            expectError(.incompatibleParameters, "Only the image's: \(missing). Only here") {
                try record.requireWeights(of: others, for: request)
            }
            try copy.write(bytes, to: path)
        }
        let path = "wuerstchen-prior/prior/config.json"
        try copy.write(try copy.bytes(of: path) + [0x20], to: path)
        expectError(.incompatibleParameters, "Only the image's: Stage C") {
            try record.requireWeights(of: Cascade(contentsOf: copy.url), for: request)
        }
        var exchanged = cascade
        exchanged.stageC = Part(try cascade.stageC())
        expectError(.incompatibleParameters, "Only the image's: Stage C") {
            try record.requireWeights(of: exchanged, for: request)
        }
    }

    @Test("a LoRA is in the record with its scale")
    func lora() throws {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).safetensors")
        defer { try? FileManager.default.removeItem(at: file) }
        let layers = try TinyCascade.load().stageC.blueprint().adaptableLayers()
        let (module, shape) = try #require(layers.min { $0.key < $1.key })
        try CascadeLoRA([
            .stageC: LoRA([
                module: LoRA.Layer(
                    down: .random([2, shape[1]], seed: 1), up: .random([shape[0], 2], seed: 2))
            ])
        ]).write(to: file)
        func weights(_ scale: Float?) throws -> [WeightsRecord] {
            try Cascade(
                contentsOf: TinyCascade.directory,
                loras: scale.map { [LoRAFile(file, scale: $0)] } ?? []
            ).record(of: TinyCascade.request()).weights
        }
        let (plain, half) = (try weights(nil), try weights(0.5))
        let added = half.filter { !plain.contains($0) }
        #expect(added.map(\.part) == ["LoRA \(file.lastPathComponent)"])
        #expect(added.first?.scale == 0.5)
        #expect(half.count == plain.count + 1)
        #expect(try weights(1) != half)
    }

    @Test("a file without a record, or with a damaged one, says so")
    func damaged() throws {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).png")
        defer { try? FileManager.default.removeItem(at: file) }
        let image = try EditableCascade.image(8, 8)
        for (text, words) in [
            ([], "no record"), ([("request", "{")], "the record in"),
            ([("request", #"{"prompt": "a"}"#)], "is missing"),
        ] as [([(key: String, value: String)], String)] {
            try image.write(to: file, text: text)
            expectError(.malformedFile, words) { _ = try GenerationRecord(contentsOf: file) }
        }
    }
}
