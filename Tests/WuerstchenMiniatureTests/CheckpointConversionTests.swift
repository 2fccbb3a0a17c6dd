import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenMiniature
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Converting a checkpoint")
struct CheckpointConversionTests {
    private typealias ElementType = CheckpointConversion.ElementType

    @Test(
        "to another layout and back, byte for byte",
        arguments: [CheckpointConversion.Layout.combined, .original],
        WeightElementType.allCases)
    func layouts(layout: CheckpointConversion.Layout, type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let tiny = try TinyCheckpoint.make(in: folder, type)
        let (there, back) = (
            folder.url.appendingPathComponent("there"), folder.url.appendingPathComponent("back")
        )
        var found: [CheckpointConversion.Verification] = []
        try CheckpointConversion(of: tiny, to: layout).write(to: there) { found.append($0) }
        #expect(found.count == 5 && found.allSatisfy { $0.rounded == 0 && $0.elements > 100 })
        #expect(try TinyCheckpoint.image(there) == TinyCheckpoint.image(tiny))
        if layout == .original {
            let keys = try TinyCheckpoint.tensors(
                there.appendingPathComponent("stage_c.safetensors")
            ).keys
            #expect(keys.contains { $0.hasSuffix("attention.attn.in_proj_weight") })
            #expect(!keys.contains { $0.contains("to_q") })
        }
        try CheckpointConversion(of: there, to: .published).write(to: back)
        for other in CheckpointConversion.Layout.allCases where other != layout {
            expectError(.unwritableFile, "in the \(layout.rawValue) layout") {
                try CheckpointConversion(of: tiny, to: other).write(to: there, replaces: true)
            }
        }
        try CheckpointConversion(of: tiny, to: layout).write(to: there, replaces: true)
        #expect(try TinyCheckpoint.weights(back) == TinyCheckpoint.weights(tiny))
        #expect(
            try Cascade(contentsOf: back, memory: .sequential).latentSpace
                == Cascade(contentsOf: tiny, memory: .sequential).latentSpace)
    }

    @Test(
        "halves to float32 and back, byte for byte",
        arguments: [WeightElementType.float16, .bfloat16])
    func types(type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let tiny = try TinyCheckpoint.make(in: folder, type)
        let (wide, back) = (
            folder.url.appendingPathComponent("wide"), folder.url.appendingPathComponent("back")
        )
        try CheckpointConversion(of: tiny, to: .combined, elementType: .float32).write(to: wide)
        try CheckpointConversion(of: wide, to: .published, elementType: ElementType(type)).write(
            to: back)
        #expect(try TinyCheckpoint.weights(back) == TinyCheckpoint.weights(tiny))
        let rounded = folder.url.appendingPathComponent("rounded")
        let other: WeightElementType = type == .float16 ? .bfloat16 : .float16
        var found: [CheckpointConversion.Verification] = []
        try CheckpointConversion(of: tiny, to: .published, elementType: ElementType(other))
            .write(to: rounded) { found.append($0) }
        // Of bfloat16 only the smallest numbers are none of float16's.
        #expect(found.contains { $0.rounded > 100 } == (type == .float16))
        #expect(found.allSatisfy { $0.largestError < 0.02 })
    }

    @Test("float16 is refused where a weight is too large for it")
    func overflow() throws {
        let folder = try TemporaryFolder()
        let tiny = try TinyCheckpoint.make(in: folder)
        let file = tiny.appendingPathComponent(
            "wuerstchen/vqgan/diffusion_pytorch_model.safetensors")
        var values = try CheckpointParameters(contentsOf: file).values()
        values["out_block.0.bias"] = Tensor(repeating: 70_000, [12])
        try CheckpointExport(to: tiny, elementType: .float32)
            .write(
                values,
                StudentFolder(file.deletingLastPathComponent())
                    .configuration(StageA.Configuration.self), to: \.stageA)
        let target = folder.url.appendingPathComponent("target")
        expectError(.notFinite, "out_block.0.bias", "70000", "bfloat16") {
            try CheckpointConversion(of: tiny, to: .published, elementType: .float16)
                .write(to: target)
        }
        #expect(!FileManager.default.fileExists(atPath: target.path), "nothing is left behind")
        try CheckpointConversion(of: tiny, to: .published, elementType: .bfloat16)
            .write(to: target)
    }

    @Test("a folder with something in it is left alone, and a broken checkpoint refused")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let tiny = try TinyCheckpoint.make(in: folder)
        expectError(.unwritableFile, "not empty", "--force") {
            try CheckpointConversion(of: tiny, to: .combined).write(to: folder.url)
        }
        try FileManager.default.removeItem(
            at: tiny.appendingPathComponent("wuerstchen/decoder/config.json"))
        expectError(.fileNotFound, "decoder/config.json") {
            _ = try CheckpointConversion(of: tiny, to: .combined)
        }
    }
}
