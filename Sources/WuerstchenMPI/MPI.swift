#if MPI
internal import CWuerstchenMPI
internal import TensorCore
public import WuerstchenTraining

/// The processes that `mpirun`, `mpiexec` or `srun` started, talking over MPI: Open MPI or MPICH,
/// whichever started them.
///
/// The library is opened at run time. A process that ends well waits for the others at its end; one
/// that fails ends them all.
public struct MPI: Communicator {
    /// Which process this is.
    public let process: ProcessRank

    /// What the library calls itself.
    public var version: String { String(cString: wmpi_version()) }

    /// Joins the other processes. MPI can be joined once in a process.
    ///
    /// - Throws: `WuerstchenError` with code `missingLibrary` where there is no MPI, or
    ///   `invalidRequest` where the library started fewer processes than the launcher, which is
    ///   then another's.
    public init() throws {
        if let problem = wmpi_open() {
            throw WuerstchenError(.missingLibrary, String(cString: problem))
        }
        process = try ProcessRank(Int(wmpi_rank()), of: Int(wmpi_size()))
        let launched = try ProcessRank()
        guard launched.count == 1 || launched == process else {
            throw WuerstchenError(
                .invalidRequest,
                "the launcher started this as \(launched), and \(version) as \(process): start "
                    + "the processes with that library's mpirun, or name the launcher's library in "
                    + "WUERSTCHEN_MPI")
        }
    }

    /// Sends bytes from one process to all.
    public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) {
        wmpi_broadcast(bytes.baseAddress, bytes.count, Int32(root))
    }

    /// Sends bytes to another process and receives as many as it sends.
    public func exchange(
        _ sent: UnsafeRawBufferPointer, for received: UnsafeMutableRawBufferPointer,
        with peer: Int
    ) {
        wmpi_exchange(
            sent.baseAddress, sent.count, received.baseAddress, received.count, Int32(peer))
    }

    /// Sums over all processes by `MPI_Allreduce`, in an order of the library's choice.
    public func sum(_ values: UnsafeMutableBufferPointer<Float>) {
        wmpi_sum(values.baseAddress, values.count)
    }
}
#endif
