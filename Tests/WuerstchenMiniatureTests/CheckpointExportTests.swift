import Foundation
import Testing
import Wuerstchen
import WuerstchenMiniature
import WuerstchenTraining

@Suite("Exporting a checkpoint's settings")
struct CheckpointExportTests {
    @Test("what the networks were trained with is what a cascade loads")
    func settings() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("export-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.copyItem(at: Miniature.folder(), to: folder)
        let export = CheckpointExport(to: folder)
        let space = SemanticLatentSpace(pixelsPerPosition: 40, scale: 3, offset: 0.25)
        try export.writePriorIndex(
            space: space, side: 192, schedule: NoiseSchedule(offset: 0.02, scaler: 0.5))
        try export.writeDecoderIndex(
            latentScale: 11, schedule: NoiseSchedule(offset: 0.004, scaler: 2))
        let cascade = try Cascade(contentsOf: folder)
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let (stageC, stageB) = (try cascade.stageC(), try decoder.stageB())
        #expect(stageC.schedule == NoiseSchedule(offset: 0.02, scaler: 0.5))
        #expect(stageB.schedule == NoiseSchedule(offset: 0.004, scaler: 2))
        #expect(stageB.latentScale == 11)
        #expect(cascade.latentSpace == space && stageC.latentSpace == space)
        #expect(cascade.defaultSize == ImageSize(width: 192, height: 192))
    }
}
