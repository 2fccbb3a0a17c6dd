import Foundation
import Testing
import Wuerstchen

/// The best stage for a number of steps.
extension ExamplesTests {
    @Test("Steps choose a student that takes them, or the checkpoint's own Stage C")
    func bestStage() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        func stageC(_ arguments: String...) throws -> String {
            let made = try run(
                "text-to-image", ["a boat", "--decoder", "preview", "--quiet"] + arguments)
            #expect(made.status == 0, "\(made.errors)")
            let record = try GenerationRecord(
                contentsOf: folder.appendingPathComponent("image.png"))
            let weights = try #require(record.weights.first { $0.part == "Stage C" })
            return "\(record.stageC.timesteps.count) steps of \(weights)"
        }
        let own = try stageC("--stage-c-steps", "3")
        let student = try stageC("--fast")
        #expect(own.hasPrefix("3 steps") && student.hasPrefix("1 steps"))
        #expect(own.dropFirst() != student.dropFirst())
        #expect(try stageC("--fast", "--steps", "1") == student)
        #expect(try stageC("--fast", "--steps", "3") == own)
        #expect(try stageC("--steps", "3") == own)
        let both = try run("text-to-image", "a boat", "--steps", "3", "--stage-c-steps", "3")
        #expect(both.status != 0 && both.errors.contains("exclude"), "\(both.errors)")
    }
}
