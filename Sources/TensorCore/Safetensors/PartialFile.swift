internal import Foundation
internal import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// The temporary file of a write, locked for as long as that lasts.
///
/// A process that is killed loses the lock and leaves the file. The next one that writes to the
/// folder finds it unlocked and removes it.
struct PartialFile {
    let descriptor: Int32
    let path: String

    /// Creates one in a folder; nil with `errno` set if that is not possible.
    init?(in folder: URL) {
        while true {
            let path = folder.appendingPathComponent(".\(UUID().uuidString)\(Self.ending)").path
            let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { return nil }
            // File systems without locks go without: there nothing is ever found unlocked.
            _ = flock(descriptor, LOCK_EX)
            var information = stat()
            // Another process may have removed it before it was locked.
            if unsafe fstat(descriptor, &information) == 0, information.st_nlink > 0 {
                (self.descriptor, self.path) = (descriptor, path)
                return
            }
            close(descriptor)
        }
    }

    private static let ending = ".partial"
    private static let visited = Mutex<Set<String>>([])

    /// Removes what killed writes left in a folder, once in the life of a process.
    static func removeAbandoned(in folder: URL) {
        let path = folder.standardizedFileURL.path
        guard visited.withLock({ $0.insert(path).inserted }),
            let names = try? FileManager.default.contentsOfDirectory(atPath: path)
        else { return }
        for name in names where isName(name) {
            let file = folder.appendingPathComponent(name).path
            let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            guard descriptor >= 0 else { continue }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unsafe unlink(file) }
            close(descriptor)
        }
    }

    /// Whether a name is that of a temporary file: `.UUID.partial`.
    private static func isName(_ name: String) -> Bool {
        name.hasPrefix(".") && name.hasSuffix(ending)
            && UUID(uuidString: String(name.dropFirst().dropLast(ending.count))) != nil
    }
}
