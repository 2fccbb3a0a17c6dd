import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// The stages with matrices of lower precision give what they give with 32-bit ones, but for the
/// roundings.
@Suite("Precision of the stages") struct PrecisionTests {
    private func load<Configuration: Decodable, Stage>(
        _ path: String, stem: String = "diffusion_pytorch_model",
        _ make: (Configuration, CheckpointParameters) throws -> Stage
    ) throws -> Stage {
        let folder = TinyCascade.directory.appendingPathComponent(path)
        let file = try Data(contentsOf: folder.appendingPathComponent("config.json"))
        return try make(
            JSONDecoder().decode(Configuration.self, from: file),
            CheckpointParameters(directory: folder, stem: stem))
    }

    /// What a stage computes at a precision, from inputs that are always the same.
    private struct Run: Sendable, CustomStringConvertible {
        let description: String
        let body: @Sendable (Precision, PrecisionTests) throws -> Tensor
    }

    private static let runs = [
        Run(description: "text encoder of Stage C") { precision, tests in
            let model = try tests.load("wuerstchen-prior/text_encoder", stem: "model") {
                try CLIPTextModel(configuration: $0, parameters: $1, precision: precision)
            }
            return try model(
                ids: [(0..<20).map { 31 * $0 }, (0..<20).map { 30 * $0 + 7 }],
                mask: [20, 13].map { count in (0..<20).map { $0 < count } })
        },
        Run(description: "Stage C") { precision, tests in
            let stage = try tests.load("wuerstchen-prior/prior") {
                try StageC(configuration: $0, parameters: $1, precision: precision)
            }
            return try stage.predictNoise(
                Tensor.random([2, 5, 7, 10], seed: 1), times: [0.9, 0.3],
                conditioning: stage.prepare(text: Tensor.random([2, 6, 18], seed: 2)))
        },
        Run(description: "Stage B") { precision, tests in
            let stage = try tests.load("wuerstchen/decoder") {
                try StageB(configuration: $0, parameters: $1, precision: precision)
            }
            let conditioning = stage.prepare(
                semantic: Tensor.random([2, 3, 5, 10], seed: 1),
                text: Tensor.random([2, 6, 12], seed: 2), height: 16, width: 24, trace: nil)
            return try stage.predictNoise(
                Tensor.random([2, 16, 24, 4], seed: 3), times: [0.9, 0.3],
                conditioning: conditioning)
        },
        Run(description: "Stage A's encoder") { precision, tests in
            let stage = try tests.load("wuerstchen/vqgan") {
                try StageA(configuration: $0, parameters: $1, precision: precision)
            }
            return try stage.encode(
                Tensor.random([2, 20, 28, 3], seed: 1, spread: 0.5, centre: 0.5))
        },
        Run(description: "Stage A's decoder") { precision, tests in
            let stage = try tests.load("wuerstchen/vqgan") {
                try StageA(configuration: $0, parameters: $1, precision: precision)
            }
            return try stage.decode(unscaled: Tensor.random([2, 5, 7, 4], seed: 1))
        },
    ]

    /// Ratio of signal to noise in decibels.
    private func ratio(_ got: Tensor, _ want: Tensor) -> Double {
        -10 * log10(Difference(got.elements, want.doubles).normalizedSquare)
    }

    @Test("stages at lower precision", arguments: runs)
    private func stages(run: Run) throws {
        let exact = try run.body(.float32, self)
        #expect(exact.isFinite)
        for (precision, least) in [(Precision.bfloat16, 40.0), (.int8, 30)] {
            let got = try run.body(precision, self)
            let ratio = ratio(got, exact)
            print("  \(run) at \(precision.rawValue): \(Float(ratio)) dB")
            // Without the instructions only weights are rounded, and a checkpoint may hold such.
            let most = precision.isAccelerated ? 100 : Double.infinity
            #expect(got.shape == exact.shape && (least...most).contains(ratio), "\(precision)")
        }
    }
}
