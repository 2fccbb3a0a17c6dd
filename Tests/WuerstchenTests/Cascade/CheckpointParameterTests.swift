import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Checkpoints whose tensors are not those of the networks.
@Suite("Parameters of a checkpoint") struct CheckpointParameterTests {
    static let files = [
        "wuerstchen-prior/prior/diffusion_pytorch_model.safetensors",
        "wuerstchen/decoder/diffusion_pytorch_model.safetensors",
        "wuerstchen/vqgan/diffusion_pytorch_model.safetensors",
        "wuerstchen/text_encoder/model.safetensors",
    ]

    /// Matrices of each file, which no network can do without.
    private static func matrices(_ tensors: [String: CheckpointCopy.Record]) -> [String] {
        tensors.filter { $0.value.shape.count > 1 }.map(\.key).sorted()
    }

    @Test("missing, surplus and misshapen tensors are listed in one error", arguments: files)
    func lists(_ path: String) throws {
        let copy = try TinyCascade.copy()
        var names: [String] = []
        try copy.changeTensors(of: path) { tensors in
            names = Self.matrices(tensors)
            tensors[names[0]] = nil
            tensors[names[1]] = nil
            tensors[names[2]]?.shape.append(1)
            tensors[names[3]]?.shape.reverse()
            tensors["surplus.weight"] = .init(
                elementType: .f32, shape: [1], bytes: [0, 0, 0, 0])
        }
        let file = path.split(separator: "/").dropLast().joined(separator: "/")
        expectError(
            .incompatibleParameters, file, "2 missing", "1 surplus: surplus.weight", "misshapen",
            names[0], names[1], names[2]
        ) {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("an empty file of tensors", arguments: files)
    func empty(_ path: String) throws {
        let copy = try TinyCascade.copy()
        try copy.changeTensors(of: path) { $0 = [:] }
        expectError(.incompatibleParameters, "missing") { _ = try Cascade(contentsOf: copy.url) }
    }

    @Test("tensors of integers are no parameters", arguments: files)
    func integers(_ path: String) throws {
        let copy = try TinyCascade.copy()
        var name = ""
        try copy.changeTensors(of: path) { tensors in
            name = Self.matrices(tensors)[0]
            let count = tensors[name]?.shape.reduce(1, *) ?? 0
            tensors[name]?.elementType = .i32
            tensors[name]?.bytes = Array(repeating: 0, count: 4 * count)
        }
        expectError(.incompatibleParameters, name, "I32") { _ = try Cascade(contentsOf: copy.url) }
    }

    @Test("a file that is cut off anywhere", arguments: files)
    func truncated(_ path: String) throws {
        let copy = try TinyCascade.copy()
        let whole = try copy.bytes(of: path)
        for count in [0, 1, 7, 8, 9, 100, whole.count / 2, whole.count - 1] {
            try copy.write(Array(whole.prefix(count)), to: path)
            expectError(.malformedFile, path) { _ = try Cascade(contentsOf: copy.url) }
        }
    }

    @Test("other types of float are the same parameters", arguments: [Safetensors.ElementType.f64])
    func doubles(type: Safetensors.ElementType) throws {
        let copy = try TinyCascade.copy()
        try copy.changeTensors(of: Self.files[2]) { tensors in
            for (name, tensor) in tensors where tensor.elementType == .f32 {
                let values = tensor.bytes.withUnsafeBytes { bytes in
                    (0..<bytes.count / 4).map {
                        Double(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self))
                    }
                }
                tensors[name]?.elementType = type
                tensors[name]?.bytes = values.withUnsafeBytes { Array($0) }
            }
        }
        let request = try TinyCascade.request()
        let images = try Cascade(contentsOf: copy.url).makeImages(for: request)
        #expect(try images == TinyCascade.load().makeImages(for: request))
    }

    @Test(
        "damaged weights are an error that names the stage, never an image",
        arguments: [
            (files[0], "Stage C"), (files[1], "Stage B"), (files[2], "Stage A"),
            (files[3], "text encoder of StageB"),
            (
                "wuerstchen-prior/text_encoder/model-00002-of-00002.safetensors",
                "text encoder of StageC"
            ),
        ])
    func notFinite(path: String, stage: String) throws {
        let copy = try TinyCascade.copy()
        try copy.changeTensors(of: path) { tensors in
            for name in tensors.keys where tensors[name]?.elementType != .i64 {
                tensors[name]?.becomeNaN()
            }
        }
        for memory in MemoryPolicy.allCases {
            let cascade = try Cascade(contentsOf: copy.url, memory: memory)
            expectError(.notFinite, stage) {
                _ = try cascade.makeImages(for: TinyCascade.request())
            }
        }
    }

    @Test("one damaged number is enough", arguments: files.prefix(2))
    func oneNumber(_ path: String) throws {
        let copy = try TinyCascade.copy()
        try copy.changeTensors(of: path) { tensors in
            let names = tensors.keys.filter { $0.hasSuffix("mapper.bias") }.sorted()
            let name = try #require(names.first)
            tensors[name]?.bytes.replaceSubrange(0..<2, with: [0xFF, 0xFF])
        }
        let cascade = try Cascade(contentsOf: copy.url)
        expectError(.notFinite) { _ = try cascade.makeImages(for: TinyCascade.request()) }
    }
}
