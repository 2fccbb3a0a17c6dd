import Foundation
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("The best student for a number of steps") struct BestStudentTests {
    /// A folder of students, of which nothing but the configurations is there.
    private func folder(steps: [Int], windows: [Int] = []) throws -> URL {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString)")
        for (key, counts) in [("steps", steps), ("windows", windows)] {
            for count in counts {
                let place = folder.appendingPathComponent("\(count)-\(key)/student")
                try FileManager.default.createDirectory(
                    at: place, withIntermediateDirectories: true)
                let flow: [String: Any] = [
                    key: count, "baked_guidance": 4, "latent_mean": 0, "latent_deviation": 1,
                ]
                try JSONSerialization.data(withJSONObject: ["flow": flow])
                    .write(to: place.appendingPathComponent("config.json"))
            }
        }
        return folder
    }

    @Test("of several students, the one of so many steps or of the next fewer, or the teacher")
    func several() throws {
        let folder = try folder(steps: [8, 4, 1])
        defer { try? FileManager.default.removeItem(at: folder) }
        for (steps, expected) in [(1, 1), (2, 1), (4, 4), (7, 4), (8, 8), (9, nil), (60, nil)] {
            let found = try StudentFolder.best(for: steps, in: folder)
            #expect(found?.steps == expected)
            #expect(
                found?.folder.url.path.hasSuffix("\(expected ?? 0)-steps/student") ?? true)
            let chosen = try StageFolders(stageC: folder, stageB: folder).best(for: steps)
            #expect(chosen.steps == expected ?? steps)
            #expect(chosen.stages.stageC == found?.folder.url && chosen.stages.stageB == folder)
        }
        let single = folder.appendingPathComponent("4-steps/student")
        #expect(try StudentFolder.best(for: 5, in: single) == nil)
        #expect(try StudentFolder.best(for: 4, in: single)?.steps == 4)
        expectError(.invalidRequest, "no student of 3 steps", "students of 4") {
            _ = try StudentFolder.best(for: 3, in: single)
        }
    }

    @Test("students that cannot be are named, not divided by", arguments: ["steps", "windows"])
    func impossible(_ key: String) throws {
        for count in [0, -3] {
            let folder = try folder(
                steps: key == "steps" ? [count] : [], windows: key == "windows" ? [count] : [])
            defer { try? FileManager.default.removeItem(at: folder) }
            expectError(.invalidConfiguration, "\(count)-\(key)", key) {
                _ = try StudentFolder.best(for: 4, in: folder)
            }
            expectError(.invalidConfiguration, "\(count)-\(key)", key) {
                _ = try StudentFolder.student(in: folder, steps: 4)
            }
        }
    }

    @Test("a student of windows takes any multiple")
    func windows() throws {
        let folder = try folder(steps: [2], windows: [4])
        defer { try? FileManager.default.removeItem(at: folder) }
        for (steps, expected, name) in [
            (3, 2, "2-steps"), (4, 4, "4-windows"), (11, 8, "4-windows"),
        ] {
            let found = try StudentFolder.best(for: steps, in: folder)
            #expect(found?.steps == expected)
            #expect(found?.folder.url.path.contains(name) == true)
        }
    }
}
