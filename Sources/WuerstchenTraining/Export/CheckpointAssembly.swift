public import Foundation
internal import TensorCore
internal import Wuerstchen
internal import WuerstchenNN

/// Makes one checkpoint of parts that were trained in runs of their own, if they belong together:
/// Stage B was trained on this Stage A, and Stage C on the compressor beside this Stage B.
public struct CheckpointAssembly: Sendable {
    /// The run of Stage A, or a checkpoint that has it.
    public let stageA: URL
    /// The run of the compressor and Stage B.
    public let stageB: URL
    /// The run of Stage C.
    public let stageC: URL
    private var layout: CheckpointLayout { .published }

    /// The parts in the folders of their runs, each with a `checkpoint` in it.
    public init(stageA: URL, stageB: URL, stageC: URL) {
        (self.stageA, self.stageB, self.stageC) = (stageA, stageB, stageC)
    }

    /// Writes the checkpoint.
    ///
    /// - Parameters:
    ///   - target: The folder of the checkpoint.
    ///   - replaces: Whether to write into a folder that is there and has something in it.
    /// - Throws: `WuerstchenError` that names all parts that are missing or do not belong together,
    ///   or when files cannot be written.
    public func write(to target: URL, replaces: Bool = false) throws {
        try CheckpointExport.fill(target, replaces: replaces) { try assemble(in: target) }
    }

    private func assemble(in target: URL) throws {
        var misfits = Misfits()
        try misfits.collect { try requireStageA() }
        try misfits.collect { try requireCompressor() }
        try misfits.report()
        let networks = [layout.decoderTextEncoder, layout.stageB].map(\.path)
        let decoder = [layout.tokenizer, layout.scheduler].map { "\(layout.decoder)/\($0)" }
        for path in networks + decoder { try copy(path, from: stageB, to: target) }
        try copy(layout.stageA.path, from: stageA, to: target)
        for path in [layout.priorTextEncoder.path, layout.stageC.path]
            + [layout.tokenizer, layout.scheduler].map({ "\(layout.prior)/\($0)" })
        {
            try copy(path, from: stageC, to: target)
        }
        for (path, run) in [
            ("\(layout.prior)/\(layout.index)", stageC),
            ("\(layout.decoder)/\(layout.index)", stageB), (layout.compressor, stageB),
        ] {
            try copyFile(path, from: run, to: target)
        }
        for name in layout.previews where exists(name, in: stageB) {
            try copyFile(name, from: stageB, to: target)
        }
        // Whatever else does not fit shows now.
        _ = try Cascade(contentsOf: target, memory: .sequential)
    }

    // MARK: - What belongs together

    private func requireStageA() throws {
        let state = try state(in: stageB, "stage-b")
        let folder = checkpoint(stageA).appendingPathComponent(layout.stageA.path)
        let stage = try StageA(
            configuration: decodeJSON(
                StageA.Configuration.self,
                from: folder.appendingPathComponent(layout.configuration)),
            parameters: CheckpointParameters(directory: folder, stem: layout.stageA.stem),
            precision: state.precision ?? .float32)
        try require(
            SettingsDigest(of: stage), state, "objective.stageA",
            "\(stageB.path) was trained on another Stage A than that of \(stageA.path)")
    }

    private func requireCompressor() throws {
        let state = try state(in: stageC, nil)
        let compressor = try SemanticCompressor(
            parameters: CheckpointParameters(
                contentsOf: checkpoint(stageB).appendingPathComponent(layout.compressor)),
            precision: state.precision ?? .float32, latentSpace: CascadeArchitecture.latentSpace)
        try require(
            SettingsDigest(of: compressor), state, "objective.semantics.compressor",
            "\(stageC.path) was trained on another compressor than that of \(stageB.path)")
    }

    /// The state of a run, which may be in a folder within it.
    private func state(in run: URL, _ part: String?) throws -> TrainingState {
        let folder = part.map { run.appendingPathComponent($0) } ?? run
        return try TrainingState(contentsOf: folder.appendingPathComponent("state.safetensors"))
    }

    private func require(
        _ digest: SettingsDigest, _ state: TrainingState, _ path: String, _ message: String
    ) throws {
        let noted = state.settings?[path]?.description ?? "unknown"
        guard noted == digest.description else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(message) (\(noted), not \(digest)); name the runs that were made from each other"
            )
        }
    }

    // MARK: - Files

    /// The checkpoint of a run, or a checkpoint itself.
    private func checkpoint(_ run: URL) -> URL {
        let own = run.appendingPathComponent("checkpoint")
        return FileManager.default.fileExists(atPath: own.path) ? own : run
    }

    private func exists(_ path: String, in run: URL) -> Bool {
        FileManager.default.fileExists(
            atPath: checkpoint(run).appendingPathComponent(path).path)
    }

    private func copy(_ path: String, from run: URL, to target: URL) throws {
        try copyFiles(
            of: checkpoint(run).appendingPathComponent(path),
            to: target.appendingPathComponent(path))
    }

    private func copyFile(_ path: String, from run: URL, to target: URL) throws {
        let file = target.appendingPathComponent(path)
        let source = checkpoint(run).appendingPathComponent(path)
        try makeFolder(file.deletingLastPathComponent())
        do {
            try AtomicFile.replace(file, with: Data(contentsOf: source, options: .mappedIfSafe))
        } catch let error as WuerstchenError {
            throw error
        } catch {
            throw WuerstchenError(
                .fileNotFound, "\(source.path) cannot be copied; is the run's checkpoint complete?",
                underlying: error)
        }
    }
}
