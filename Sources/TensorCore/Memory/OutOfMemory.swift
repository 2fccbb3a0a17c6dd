private import Foundation

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// Ends the process with a message on standard error and the status 71 (`EX_OSERR`): the system
/// gives no more memory. Tensors are values, and arithmetic on them cannot throw.
///
/// - Parameters:
///   - bytes: What was asked for.
///   - used: What tensors take.
func endForWantOfMemory(_ bytes: Int, used: Int) -> Never {
    func megabytes(_ bytes: Int) -> String { "\((bytes + 999_999) / 1_000_000) MB" }
    FileHandle.standardError.write(
        Data(
            """

            out of memory: the system gives no \(megabytes(bytes)) more beside the \
            \(megabytes(used)) that tensors take. Use smaller batches or images, or raise the \
            limit (ulimit -v). What was saved before is whole.

            """.utf8))
    // Other threads are at work; handlers of `exit` would take down what they use.
    _exit(71)
}
