public import Foundation

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A file mapped read-only into memory: opening costs nothing, whatever the size, and the pages
/// come from disk when they are first touched.
///
/// The mapping lasts as long as the object. It shows the file itself, not a copy: replacing the
/// file by renaming another over it leaves the mapping intact, but a file that is truncated in
/// place while it is mapped ends the process with a bus error on the next access, which no check
/// made beforehand can prevent.
///
/// `@safe`: the pointer that it stores is marked wherever it is read.
@safe
public final class MappedFile: Sendable {
    /// The file's bytes, valid only while this object is alive; empty for an empty file.
    ///
    /// Reading this property does not keep the object alive, and it can go as early as right after
    /// its last mention: use ``withBytes(_:)``, or `withExtendedLifetime` around the use of the
    /// pointer. The pages are mapped without write permission and the pointer never changes, so any
    /// number of threads may read it.
    public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    /// How many bytes the file has.
    public let byteCount: Int

    /// Where the file was when it was opened.
    public let url: URL

    /// Maps a file into memory.
    ///
    /// - Parameter url: A regular file, or a symbolic link to one.
    /// - Throws: ``WuerstchenError`` with the code `invalidRequest` if the URL does not name a file
    ///   on this machine, `fileNotFound` if there is none, and `unreadableFile` if it is a folder
    ///   or a device, if permission to read it is missing, or if it cannot be mapped.
    public init(contentsOf url: URL) throws {
        let path = try Safetensors.path(of: url)
        // Without O_NONBLOCK, opening a pipe would wait for its writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.failure(url, errno) }
        // A mapping outlives the descriptor it was made from.
        defer { close(descriptor) }

        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { throw Self.failure(url, errno) }
        guard information.st_mode & S_IFMT == S_IFREG else {
            let found = information.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device or pipe"
            throw WuerstchenError(
                .unreadableFile, "\(path) is \(found); give the path of a regular file")
        }
        guard let count = Int(exactly: information.st_size), count >= 0 else {
            throw WuerstchenError(
                .unreadableFile,
                "\(path) has \(information.st_size) bytes, more than can be addressed")
        }
        self.url = url
        byteCount = count
        if count == 0 {
            // The system refuses to map nothing.
            unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        } else {
            guard let start = unsafe mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0),
                unsafe start != MAP_FAILED
            else { throw Self.failure(url, errno) }
            unsafe bytes = UnsafeRawBufferPointer(start: start, count: count)
        }
    }

    /// Calls a closure with the file's bytes, and keeps them mapped until it returns.
    ///
    /// - Parameter body: The closure; the bytes are not valid beyond it.
    /// - Returns: What the closure returns.
    /// - Throws: What the closure throws.
    public func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(self) { try unsafe body(bytes) }
    }

    /// A copy of some of the bytes, which stays what it is even if the file changes.
    ///
    /// - Precondition: The range lies inside the file.
    package func copy(of range: Range<Int>) -> [UInt8] {
        unsafe withBytes { unsafe Array($0[range]) }
    }

    /// Tells the system that some bytes are not needed soon. Looked at again, they are read again.
    func releasePages(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = (range.lowerBound + page - 1) / page * page
        let last = range.upperBound / page * page
        guard last > first, let start = unsafe bytes.baseAddress else { return }
        unsafe madvise(
            UnsafeMutableRawPointer(mutating: start + first), last - first, MADV_DONTNEED)
    }

    deinit {
        MemoryMeter.current?.unmapped(ObjectIdentifier(self))
        if let start = unsafe bytes.baseAddress {
            unsafe munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
        }
    }

    private static func failure(_ url: URL, _ code: Int32) -> WuerstchenError {
        let path = url.path
        let reason = unsafe String(cString: strerror(code))
        return switch code {
        case ENOENT, ENOTDIR:
            MissingFile.error(url)
        case EACCES, EPERM:
            WuerstchenError(
                .unreadableFile, "\(path) cannot be read: \(reason); check its permissions")
        default:
            WuerstchenError(.unreadableFile, "\(path) cannot be read: \(reason)")
        }
    }
}
