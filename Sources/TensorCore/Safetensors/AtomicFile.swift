package import Foundation

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A file written under a temporary name, to appear under its own only when it is complete.
package struct AtomicFile {
    private let descriptor: Int32
    private let path: String

    /// Replaces a file by some data, or leaves everything as it was.
    package static func replace(_ url: URL, with data: Data) throws {
        try replace(url) { file in
            try unsafe data.withUnsafeBytes { try unsafe file.append($0) }
        }
    }

    /// Replaces a file by what the closure appends, or leaves everything as it was.
    static func replace(_ url: URL, _ body: (AtomicFile) throws -> Void) throws {
        let path = try Safetensors.path(of: url)
        var information = stat()
        // Found out now and not by the rename, after gigabytes have been written.
        if unsafe stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR {
            throw WuerstchenError(.unwritableFile, "\(path) is a folder; choose another name")
        }
        // Only within one folder is a rename sure to be atomic, and a name made from the file's own
        // could become too long.
        let folder = url.deletingLastPathComponent()
        PartialFile.removeAbandoned(in: folder)
        guard let partial = PartialFile(in: folder) else { throw failure(path, errno) }
        // Holds the lock up to the rename, so that nobody takes the file for abandoned.
        let lock = dup(partial.descriptor)
        defer { if lock >= 0 { close(lock) } }
        do {
            let file = AtomicFile(descriptor: partial.descriptor, path: path)
            do {
                try body(file)
                guard fsync(partial.descriptor) == 0 else { throw failure(path, errno) }
            } catch {
                close(partial.descriptor)
                throw error
            }
            // Network file systems report some failed writes only here.
            guard close(partial.descriptor) == 0 else { throw failure(path, errno) }
            guard unsafe rename(partial.path, path) == 0 else { throw failure(path, errno) }
        } catch {
            unsafe unlink(partial.path)
            throw error
        }
        synchronize(folder)
    }

    /// Writes bytes after those written so far.
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = unsafe bytes
        while unsafe !rest.isEmpty {
            // Darwin refuses to write 2 GiB at once.
            let count = unsafe write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(path, errno) }
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
    }

    /// Makes the rename survive a power cut. The file is complete either way, and not every file
    /// system can do this, so a failure is none.
    private static func synchronize(_ folder: URL) {
        let descriptor = unsafe open(folder.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func failure(_ path: String, _ code: Int32) -> WuerstchenError {
        let advice =
            switch code {
            case ENOENT, ENOTDIR: "create the folder first"
            case ENOSPC, EDQUOT: "make room on the disk"
            case EACCES, EPERM, EROFS: "check the permissions of the folder"
            default: "choose another folder"
            }
        return WuerstchenError(
            .unwritableFile,
            unsafe "\(path) cannot be written: \(String(cString: strerror(code))); \(advice)")
    }
}
