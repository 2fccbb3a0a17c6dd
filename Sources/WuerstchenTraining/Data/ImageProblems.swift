import Synchronization

/// What is wrong with a folder's files. Each is named once, however often it is met.
final class ImageProblems: Sendable {
    private let named = Mutex<Set<String>>([])
    private let report: @Sendable (String) -> Void

    init(report: @escaping @Sendable (String) -> Void) {
        self.report = report
    }

    /// Whether something was wrong with a file.
    func knows(_ name: String) -> Bool {
        named.withLock { $0.contains(name) }
    }

    /// Says what is wrong with a file, unless that is known.
    func name(_ name: String, _ message: String) {
        if named.withLock({ $0.insert(name).inserted }) { report(message) }
    }
}
