import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("A checkpoint in 8 bits")
struct PackedCheckpointTests {
    private static let stageC = "wuerstchen-prior/prior/diffusion_pytorch_model.safetensors"
    private static let stageB = "wuerstchen/decoder/diffusion_pytorch_model.safetensors"

    /// A checkpoint and the same in 8 bits.
    private static func make(
        in folder: TemporaryFolder, _ type: WeightElementType = .float32,
        _ layout: CheckpointConversion.Layout = .published
    ) throws -> (whole: URL, packed: URL) {
        let whole = try TinyCheckpoint.make(in: folder, type)
        let packed = folder.url.appendingPathComponent("packed")
        try CheckpointConversion(of: whole, to: layout, elementType: .int8).write(to: packed)
        return (whole, packed)
    }

    /// The bytes of Stage C's weights.
    private static func size(_ folder: URL) throws -> Int {
        try TinyCheckpoint.tensors(folder.appendingPathComponent(stageC)).values
            .reduce(0) { $0 + $1.count }
    }

    @Test(
        "makes the image that the whole one makes in int8, bit for bit",
        arguments: [CheckpointConversion.Layout.published, .combined],
        [WeightElementType.float32, .float16])
    func image(layout: CheckpointConversion.Layout, type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let (whole, packed) = try Self.make(in: folder, type, layout)
        let want = try TinyCheckpoint.image(whole, .int8)
        #expect(try TinyCheckpoint.image(packed, .int8) == want)
        // The numbers are rounded, and in float32 only they are.
        let exact = try TinyCheckpoint.image(whole)
        #expect(want != exact)
        #expect(try TinyCheckpoint.image(packed) != exact)
        for precision in Precision.allCases {
            let cascade = try Cascade(
                contentsOf: packed, precision: precision, memory: .sequential)
            #expect(cascade.notes.contains { $0.contains("int8") } == (precision != .int8))
        }
    }

    @Test("bfloat16 is multiplied as it lies in the file, for the image that floats make")
    func halves() throws {
        let folder = try TemporaryFolder()
        let half = try TinyCheckpoint.make(in: folder, .bfloat16)
        let (wide, back) = (
            folder.url.appendingPathComponent("wide"), folder.url.appendingPathComponent("back")
        )
        try CheckpointConversion(of: half, to: .published, elementType: .float32).write(to: wide)
        try CheckpointConversion(of: wide, to: .published, elementType: .bfloat16).write(to: back)
        #expect(try TinyCheckpoint.weights(back) == TinyCheckpoint.weights(half))
        for precision in Precision.allCases {
            #expect(
                try TinyCheckpoint.image(half, precision) == TinyCheckpoint.image(wide, precision))
        }
    }

    @Test("says what was rounded, and takes less space and no more memory")
    func verification() throws {
        let folder = try TemporaryFolder()
        let whole = try TinyCheckpoint.make(in: folder)
        let packed = folder.url.appendingPathComponent("packed")
        var found: [CheckpointConversion.Verification] = []
        try CheckpointConversion(of: whole, to: .published, elementType: .int8)
            .write(to: packed) { found.append($0) }
        #expect(found.count == 5)
        #expect(
            found.allSatisfy { $0.rounded > 100 && (0.001...0.1).contains($0.largestError) })
        #expect(try Self.size(packed) * 4 < Self.size(whole) * 3)
        let request = GenerationRequest("a house", size: ImageSize(width: 128, height: 128))
        func memory(_ checkpoint: URL) throws -> Int {
            try MemoryEstimate(for: request, contentsOf: checkpoint, precision: .int8).work
        }
        let (less, more) = (try memory(packed), try memory(whole))
        #expect(less > more / 2 && less < more + more / 20, "\(less), \(more)")
    }

    @Test("is converted to another layout and back byte for byte, and to nothing else")
    func conversions() throws {
        let folder = try TemporaryFolder()
        let (_, packed) = try Self.make(in: folder)
        let (there, back) = (
            folder.url.appendingPathComponent("there"), folder.url.appendingPathComponent("back")
        )
        try CheckpointConversion(of: packed, to: .combined).write(to: there)
        try CheckpointConversion(of: there, to: .published, elementType: .int8).write(to: back)
        #expect(try TinyCheckpoint.weights(back) == TinyCheckpoint.weights(packed))
        for type in [CheckpointConversion.ElementType.float32, .float16, .bfloat16] {
            expectError(.incompatibleParameters, "packed in int8", "converted from") {
                _ = try CheckpointConversion(of: packed, to: .published, elementType: type)
            }
        }
        expectError(.invalidRequest, "original", "published") {
            _ = try CheckpointConversion(of: packed, to: .original)
        }
    }

    @Test("a weight that cannot be rounded is named")
    func infinite() throws {
        let folder = try TemporaryFolder()
        let whole = try TinyCheckpoint.make(in: folder)
        let copy = try CheckpointCopy(of: whole)
        let name = "blocks.0.channelwise.0.weight"
        try copy.changeTensors(of: Self.stageC) { $0[name]?.becomeNaN() }
        let conversion = try CheckpointConversion(
            of: copy.url, to: .published, elementType: .int8)
        expectError(.notFinite, name) {
            try conversion.write(to: folder.url.appendingPathComponent("packed"))
        }
    }

    /// Something that can be wrong with a file, and what is said of it.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: WuerstchenError.Code
        let words: [String]
        var file = PackedCheckpointTests.stageB
        let change:
            @Sendable (inout [String: CheckpointCopy.Record], inout [String: String]) -> Void
    }

    private static let expand = "up_blocks.1.0.channelwise.0.weight"
    private static let damages = [
        Damage(
            testDescription: "no scales", code: .malformedFile,
            words: ["no scales", "\(expand)[0..<8]", "convert"]
        ) { tensors, _ in tensors["\(expand)[0..<8]#scales"] = nil },
        Damage(
            testDescription: "scales of another matrix", code: .malformedFile,
            words: ["scales", "F32 [32]"]
        ) { tensors, _ in
            tensors["\(expand)[0..<8]#scales"]?.shape = [1, 32]
        },
        Damage(
            testDescription: "scales without a matrix", code: .incompatibleParameters,
            words: ["surplus", "nothing#scales"]
        ) { tensors, _ in
            tensors["nothing#scales"] = tensors["\(expand)[0..<8]#scales"]
        },
        Damage(
            testDescription: "an unknown scheme", code: .malformedFile,
            words: ["int3-2", "int8-rows-1"]
        ) { _, metadata in metadata["packing"] = "int3-2" },
        Damage(
            testDescription: "no scheme", code: .incompatibleParameters, words: ["stored as I8"],
            file: PackedCheckpointTests.stageC
        ) { _, metadata in metadata["packing"] = nil },
        Damage(
            testDescription: "a matrix of another shape", code: .incompatibleParameters,
            words: ["misshapen", "attention.to_q.weight"], file: PackedCheckpointTests.stageC
        ) { tensors, _ in
            let name = "blocks.2.attention.to_q.weight"
            tensors[name]?.shape = [12, 48]
            tensors["\(name)#scales"]?.shape = [12]
            tensors["\(name)#scales"]?.bytes.removeLast(48)
        },
        Damage(
            testDescription: "a matrix that is missing", code: .incompatibleParameters,
            words: ["missing", "\(expand)[8..<16]"]
        ) { tensors, _ in
            tensors["\(expand)[8..<16]"] = nil
            tensors["\(expand)[8..<16]#scales"] = nil
        },
        Damage(
            testDescription: "a matrix that is too many", code: .incompatibleParameters,
            words: ["surplus", "\(expand)[99..<107]"]
        ) { tensors, _ in
            tensors["\(expand)[99..<107]"] = tensors["\(expand)[8..<16]"]
            tensors["\(expand)[99..<107]#scales"] = tensors["\(expand)[8..<16]#scales"]
        },
        Damage(
            testDescription: "a bias that is missing", code: .incompatibleParameters,
            words: ["missing", "channelwise.4.weight#absorbed"]
        ) { tensors, _ in
            let name = tensors.keys.filter { $0.hasSuffix("channelwise.4.weight#absorbed") }.min()
            if let name { tensors[name] = nil }
        },
        Damage(
            testDescription: "a parameter that is there twice", code: .malformedFile,
            words: ["whole and in parts", expand]
        ) { tensors, _ in
            tensors[expand] = tensors["\(expand)[0..<8]#scales"]
        },
    ]

    @Test("what is wrong with it is said before work begins", arguments: damages)
    func damage(_ damage: Damage) throws {
        let folder = try TemporaryFolder()
        let copy = try CheckpointCopy(of: Self.make(in: folder).packed)
        try copy.changeFile(damage.file, damage.change)
        expectError(
            damage.code, damage.words + [copy.file(damage.file).deletingLastPathComponent().path]
        ) {
            _ = try Cascade(contentsOf: copy.url, precision: .int8, memory: .sequential)
        }
    }

    @Test("a scale that is no number is named when the network is loaded")
    func scale() throws {
        let folder = try TemporaryFolder()
        let copy = try CheckpointCopy(of: Self.make(in: folder).packed)
        try copy.changeFile(Self.stageB) { tensors, _ in
            tensors["\(Self.expand)[0..<8]#scales"]?.becomeNaN()
        }
        expectError(.malformedFile, Self.stageB, "row 0", "\(Self.expand)[0..<8]") {
            _ = try TinyCheckpoint.image(copy.url, .int8)
        }
    }

    @Test("a file that ends too early, and random bits of a header, are refused or harmless")
    func fuzz() throws {
        let folder = try TemporaryFolder()
        let copy = try CheckpointCopy(of: Self.make(in: folder).packed)
        let whole = try copy.bytes(of: Self.stageB)
        var random = RandomNumbers(seed: 11)
        func place(_ count: Int) -> Int { Int(abs(random.floats(1)[0]) * Float(count - 1)) }
        let header = 8 + Int(whole[0]) + Int(whole[1]) << 8
        var refused = 0
        for round in 0..<120 {
            var bytes = whole
            if round % 4 == 0 {
                bytes.removeLast(1 + place(whole.count))
            } else {
                for _ in 0..<round % 4 {
                    bytes[place(header)] ^= 1 << UInt8(round % 8)
                }
            }
            try copy.write(bytes, to: Self.stageB)
            do {
                _ = try CheckpointFolder(copy.file("wuerstchen"), precision: .int8)
                    .stageB(space: SemanticLatentSpace())
            } catch let error as WuerstchenError {
                refused += 1
                #expect(!error.message.isEmpty)
            }
        }
        #expect(refused > 60)
    }

    @Test("its parameters are for products alone")
    func values() throws {
        let folder = try TemporaryFolder()
        let (_, packed) = try Self.make(in: folder)
        let parameters = try CheckpointParameters(
            contentsOf: packed.appendingPathComponent(Self.stageC))
        expectError(.incompatibleParameters, Self.stageC, "int8", "converted from") {
            _ = try parameters.values()
        }
        let configuration = try StudentFolder(
            packed.appendingPathComponent("wuerstchen-prior/prior")
        ).configuration(StageC.Configuration.self)
        expectError(.incompatibleParameters, Self.stageC, "int8", "adapters") {
            _ = try StageC(
                configuration: configuration, parameters: MergedParameters(parameters))
        }
    }

    @Test(
        "a student of the checkpoint is one of what it was converted to",
        arguments: [CheckpointConversion.ElementType.bfloat16, .int8])
    func students(type: CheckpointConversion.ElementType) throws {
        let folder = try TemporaryFolder()
        let whole = try TinyCheckpoint.make(in: folder)
        let place = "wuerstchen-prior/prior"
        let base = whole.appendingPathComponent(place)
        let configuration = try StudentFolder(base).configuration(StageC.Configuration.self)
        let values = try StudentFolder(base).parameters(over: base).values()
        func student(_ name: String, storesDifferences: Bool) throws -> StudentFolder {
            let student = StudentFolder(folder.url.appendingPathComponent(name))
            try student.write(
                values.mapValues { $0.scaled(by: 1.5) }, configuration, base: base,
                storesDifferences: storesDifferences)
            return student
        }
        let (half, converted) = (
            folder.url.appendingPathComponent("half"),
            folder.url.appendingPathComponent("converted")
        )
        // Also of what was converted more than once.
        try CheckpointConversion(of: whole, to: .published, elementType: .float16).write(to: half)
        try CheckpointConversion(of: half, to: .combined, elementType: type).write(to: converted)
        let other = converted.appendingPathComponent("prior_prior")
        let entire = try student("entire", storesDifferences: false)
        #expect(try entire.parameters(over: other).names == Set(values.keys))
        _ = try Cascade(
            contentsOf: converted, precision: .int8, memory: .sequential,
            replacing: StageFolders(stageC: entire.url))
        expectError(.incompatibleParameters, "student of other weights") {
            _ = try entire.parameters(over: whole.appendingPathComponent("wuerstchen/vqgan"))
        }
        let differences = try student("differences", storesDifferences: true)
        guard type == .int8 else {
            #expect(try differences.parameters(over: other).names == Set(values.keys))
            return
        }
        expectError(.incompatibleParameters, "packed in int8") {
            _ = try differences.parameters(over: other)
        }
    }
}
