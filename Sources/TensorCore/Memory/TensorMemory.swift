private import Foundation

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// The memory that tensors keep for reuse, and that of the whole process.
public enum TensorMemory {
    /// Gives memory that no tensor uses back to the system.
    ///
    /// A cascade does so between stages and after each image if it is more than 64 MB. Worth
    /// calling after other large work, before the process sits idle.
    public static func releaseIdle() {
        BufferPool.current.releaseIdle()
    }

    /// Gives memory that no tensor uses back to the system if it is more than 64 MB.
    package static func trim() {
        BufferPool.current.trim()
    }

    /// The bytes of physical memory that the process has now, files included that it has mapped
    /// and read; nil where the system does not say.
    public static var resident: Int? {
        #if os(Linux)
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
            return nil
        }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return pages.map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) }
        #else
        return nil
        #endif
    }

    /// The bytes of physical memory that the machine has.
    public static var physical: Int? { Int(exactly: ProcessInfo.processInfo.physicalMemory) }

    /// The most bytes of physical memory that the process had since it began.
    public static var peakResident: Int {
        var usage = rusage()
        #if canImport(Darwin)
        unsafe getrusage(RUSAGE_SELF, &usage)
        return Int(usage.ru_maxrss)
        #else
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Int(usage.ru_maxrss) * 1024
        #endif
    }
}
