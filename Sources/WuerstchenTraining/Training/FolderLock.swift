public import Foundation
internal import TensorCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A folder taken by one piece of work, so that no other writes to it at the same time: two
/// trainings would overwrite each other's state.
///
/// The lock is on the file `.lock` in the folder and lasts as long as the value. It goes with its
/// process, however that ends, so that a killed training leaves nothing to clean up. Processes that
/// share a piece of work share the lock, and each has one more on a file with its rank.
public final class FolderLock: Sendable {
    private let descriptors: [Int32]

    /// Takes a folder, which is made if it is not there.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - process: Which of the processes that share the work this is.
    /// - Throws: `WuerstchenError` with code `unwritableFile` when another process has it, which is
    ///   named, or when the folder cannot be written to.
    public init(_ folder: URL, for process: ProcessRank = .single) throws {
        try makeFolder(folder)
        guard process.count > 1 else {
            descriptors = [try Self.lock(".lock", in: folder)]
            return
        }
        let shared = try Self.lock(".lock", in: folder, isShared: true)
        do {
            descriptors = [shared, try Self.lock(".lock-\(process.rank)", in: folder)]
        } catch {
            close(shared)
            throw error
        }
    }

    private static func lock(
        _ name: String, in folder: URL, isShared: Bool = false
    ) throws -> Int32 {
        let path = folder.appendingPathComponent(name).path
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw WuerstchenError(
                .unwritableFile,
                "\(folder.path) cannot be written to: \(String(cString: strerror(errno))); choose "
                    + "another folder, or check its permissions")
        }
        let kind = isShared ? LOCK_SH : LOCK_EX
        if flock(descriptor, kind | LOCK_NB) != 0, errno == EWOULDBLOCK {
            defer { close(descriptor) }
            let holder = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            throw WuerstchenError(
                .unwritableFile,
                "\(folder.path) is being written to by process \(holder.isEmpty ? "?" : holder); wait "
                    + "until it is done, or choose another folder")
        }
        // Where a file system has no locks, work goes on without.
        let process = Array("\(getpid())".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = write(descriptor, process, process.count) }
        return descriptor
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
