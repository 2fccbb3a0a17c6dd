public import Foundation

/// Folders of stages that stand in for a checkpoint's own, such as students that were distilled
/// from them: each with `config.json` and weights.
public struct StageFolders: Sendable, Hashable {
    /// In place of Stage C; nil for the checkpoint's.
    public var stageC: URL?
    /// In place of Stage B; nil for the checkpoint's.
    public var stageB: URL?
    /// In place of Stage A; nil for the checkpoint's.
    public var stageA: URL?

    /// The given folders, and the checkpoint's own stages for the others.
    public init(stageC: URL? = nil, stageB: URL? = nil, stageA: URL? = nil) {
        self.stageC = stageC
        self.stageB = stageB
        self.stageA = stageA
    }

    /// Those in the prior's folder, by the names of its parts.
    var inPrior: [String: URL] { [layout.stageC.folder: stageC].compactMapValues { $0 } }

    /// Those in the other pipeline's folder, by the names of its parts.
    var inMain: [String: URL] {
        [layout.stageB.folder: stageB, layout.stageA.folder: stageA].compactMapValues { $0 }
    }

    private var layout: CheckpointLayout { .published }

    /// All of them, from text to pixels.
    var all: [URL] { [stageC, stageB, stageA].compactMap { $0 } }
}
