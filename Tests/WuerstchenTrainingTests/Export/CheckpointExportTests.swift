import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Exporting checkpoints")
struct CheckpointExportTests {
    @Test("a part's folder holds the weights of its last export alone")
    func replacing() throws {
        try withFolder { folder in
            let export = CheckpointExport(to: folder)
            let weights = ["weight": Tensor([1, 2], [2])]
            for stem in ["differences", "diffusion_pytorch_model"] {
                try export.write(weights, FlowConfiguration(), to: "part", stem: stem)
                let files = try FileManager.default.contentsOfDirectory(
                    atPath: folder.appendingPathComponent("part").path)
                #expect(files.sorted() == ["config.json", "\(stem).safetensors"])
            }
        }
    }
}
