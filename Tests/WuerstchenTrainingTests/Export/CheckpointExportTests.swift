import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Exporting checkpoints")
struct CheckpointExportTests {
    @Test(
        "weights are stored as the nearest numbers of the type",
        arguments: WeightElementType.allCases)
    func elementTypes(_ type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let values: [Float] = [1, -0.1, 3.140625, 1.00390625, 1.01171875, 1e-6, 65504]
        try CheckpointExport(to: folder.url, elementType: type)
            .write(["weight": Tensor(values, [7])], toFile: "weights.safetensors")
        let file = folder.url.appendingPathComponent("weights.safetensors")
        let stored = try Safetensors(contentsOf: file).entries["weight"]?.elementType
        let read = try #require(CheckpointParameters(contentsOf: file).values()["weight"]).elements
        switch type {
        case .float32:
            #expect(stored == .f32)
            #expect(read == values)
        case .float16:
            #expect(stored == .f16)
            #expect(read == values.map { Float(Float16($0)) })
        case .bfloat16:
            #expect(stored == .bf16)
            // Ties go to the even neighbour: 1 + 1/256 down, 1 + 3/256 up.
            let rounded: [Float] = [3.140625, 1, 1.015625]
            #expect(Array(read[2..<5]) == rounded)
            #expect(read[0] == 1 && read[6] == 65536)
            for (a, b) in zip(read, values) {
                let error: Float = abs(a - b)
                #expect(error <= abs(b) / 256)
            }
        }
    }

    @Test("what a type cannot hold is refused by name, and what was there stays")
    func overflow() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent(
            "wuerstchen/vqgan/diffusion_pytorch_model.safetensors")
        func write(_ value: Float, as type: WeightElementType) throws {
            try CheckpointExport(to: folder.url, elementType: type).write(
                ["small": Tensor([1], [1]), "large.weight": Tensor([2, value], [2])],
                FlowConfiguration(guidance: value), to: \.stageA)
        }
        try write(65504, as: .float16)
        let before = try Data(contentsOf: file)
        for value: Float in [65520, -1e6] {
            expectError(.notFinite, "large.weight", "\(value)", "float16", "bfloat16") {
                try write(value, as: .float16)
            }
        }
        expectError(.notFinite, "large.weight", "bfloat16") {
            try write(.greatestFiniteMagnitude, as: .bfloat16)
        }
        for type in WeightElementType.allCases {
            expectError(.notFinite, "large.weight", "nan") { try write(.nan, as: type) }
        }
        #expect(try Data(contentsOf: file) == before)
        let folderOfIt = StudentFolder(file.deletingLastPathComponent())
        #expect(try folderOfIt.configuration(FlowConfiguration.self).guidance == 65504)
        try write(1e6, as: .bfloat16)
        try write(1e6, as: .float32)
    }

    @Test("parameters that a source makes up are those that the network asks for")
    func sources() throws {
        let folder = try TemporaryFolder()
        let configuration = TinyStageC.configuration
        let export = CheckpointExport(to: folder.url, elementType: .float32)
        let random = RandomParameters(seed: 3)
        try export.write(from: random, configuration, to: \.stageC) {
            _ = try StageC(configuration: configuration, parameters: $0)
        }
        let target = folder.url.appendingPathComponent(CheckpointLayout.published.stageC.path)
        var expected = TrainableParameters()
        try expected.add(from: random) {
            _ = try StageC(configuration: configuration, parameters: $0)
        }
        let read = try StudentFolder(target).parameters(over: target).values()
        #expect(read.mapValues(\.elements) == expected.values.mapValues(\.elements))
    }
}
