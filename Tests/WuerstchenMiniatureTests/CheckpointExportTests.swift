import Foundation
import Testing
import Wuerstchen
import WuerstchenMiniature
import WuerstchenScenes
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
        let space = SemanticLatentSpace(
            pixelsPerPosition: 40, scale: 3, offset: 0.25, latentsPerPosition: 11)
        try export.writePriorIndex(
            space: space, side: 192, schedule: NoiseSchedule(offset: 0.02, scaler: 0.5))
        try export.writeDecoderIndex(
            space: space, schedule: NoiseSchedule(offset: 0.004, scaler: 2))
        let cascade = try Cascade(contentsOf: folder)
        let decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let (stageC, stageB) = (try cascade.stageC(), try decoder.stageB())
        #expect(stageC.schedule == NoiseSchedule(offset: 0.02, scaler: 0.5))
        #expect(stageB.schedule == NoiseSchedule(offset: 0.004, scaler: 2))
        #expect(stageB.latentSpace == space)
        #expect(cascade.latentSpace == space && stageC.latentSpace == space)
        #expect(cascade.defaultSize == ImageSize(width: 192, height: 192))
    }

    @Test("a stage is not paired with another text encoder than it was trained beside")
    func textEncoders() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("export-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let (layout, miniature) = (CheckpointLayout.published, try Miniature.folder())
        let own = miniature.appendingPathComponent(layout.priorTextEncoder.path)
        let learnt = folder.appendingPathComponent("learnt")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: own, to: learnt)
        // Other weights as far as a fingerprint can tell.
        try Data("{}".utf8).write(to: learnt.appendingPathComponent("config.json"))
        let export = CheckpointExport(to: folder)
        let values = try CheckpointParameters(
            directory: miniature.appendingPathComponent(layout.stageC.path),
            stem: layout.stageC.stem
        ).values()
        func load(_ encoders: [URL]) throws {
            try export.write(
                values, MiniatureArchitecture.stageC, to: \.stageC, textEncoders: encoders)
            _ = try Cascade(
                contentsOf: miniature, replacing: StageFolders(stageC: export.url(of: \.stageC)))
        }
        try load([])
        try load([learnt, own])
        let error = #expect(throws: WuerstchenError.self) { try load([learnt]) }
        #expect(error?.code == .incompatibleParameters)
        for folder in [own, learnt] {
            #expect(try error?.message.contains(weightsFingerprint(of: folder)) == true)
        }
        #expect(error?.message.contains(own.path) == true)
    }
}
