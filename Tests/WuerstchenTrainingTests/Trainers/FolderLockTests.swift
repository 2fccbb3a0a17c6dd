import Foundation
import TensorCore
import Testing
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Folders of trainings") struct FolderLockTests {
    @Test("a folder is one process's at a time, and free again when that is done")
    func lock() throws {
        let folder = try TemporaryFolder()
        let part = folder.url.appendingPathComponent("new")
        for _ in 0..<2 {
            let lock = try FolderLock(part)
            expectError(.unwritableFile, part.path, "process \(getpid())") {
                _ = try FolderLock(part)
            }
            withExtendedLifetime(lock) {}
        }
    }

    @Test("processes that share work share a folder, with each other alone")
    func sharing() throws {
        let folder = try TemporaryFolder()
        func share() throws {
            let locks = try (0..<2).map {
                try FolderLock(folder.url, for: ProcessRank($0, of: 2))
            }
            expectError(.unwritableFile, "process \(getpid())") {
                _ = try FolderLock(folder.url)
            }
            // Of another piece of work.
            expectError(.unwritableFile, "process \(getpid())") {
                _ = try FolderLock(folder.url, for: ProcessRank(1, of: 4))
            }
            withExtendedLifetime(locks) {}
        }
        try share()
        let whole = try FolderLock(folder.url)
        expectError(.unwritableFile, "process \(getpid())") {
            _ = try FolderLock(folder.url, for: ProcessRank(0, of: 2))
        }
        withExtendedLifetime(whole) {}
    }

    @Test("a training in a folder where another trains changes nothing there")
    func twoTrainings() throws {
        let folder = try TemporaryFolder()
        let run = try TrainingRun(
            TinyStageC(), TrainingOptions(steps: 2, batchSize: 2, peakRate: 1e-3), in: folder.url)
        let lock = try FolderLock(folder.url)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        expectError(.unwritableFile, "process \(getpid())") {
            _ = try run.run(resumes: false, progress: &progress)
        }
        withExtendedLifetime(lock) {}
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [".lock"])
    }

    @Test(
        "a training that begins writes over nothing that no training made",
        arguments: ["report.html", "checkpoint", "student"])
    func foreign(_ name: String) throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent(name)
        try Data("mine".utf8).write(to: file)
        var run = try TrainingRun(
            TinyStageC(), TrainingOptions(steps: 2, batchSize: 2, peakRate: 1e-3), in: folder.url)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        expectError(.unwritableFile, file.path) {
            _ = try run.run(resumes: false, progress: &progress)
        }
        #expect(try Data(contentsOf: file) == Data("mine".utf8))
        run.replacesForeignFiles = true
        _ = try run.run(resumes: false, progress: &progress)
        // What a training wrote is its own: another may follow when the state is gone.
        run.replacesForeignFiles = false
        try FileManager.default.removeItem(at: run.stateFile)
        if name == "report.html" { _ = try run.run(resumes: false, progress: &progress) }
    }
}
