private import Foundation
public import TensorCore

/// What batch norms saw in one step of training: the mean and the variance of each.
///
/// A parameter source that has one makes the batch norms of the networks that are built from it
/// normalise with the statistics of the batch, and record them here under their names.
///
/// `@unchecked Sendable`: the dictionary is only touched under the lock.
public final class BatchStatistics: @unchecked Sendable {
    private let lock = NSLock()
    private var recorded: [String: Tensor] = [:]

    /// Nothing recorded yet.
    public init() {}

    /// The mean under `….running_mean` and the unbiased variance under `….running_var`, each
    /// `[channels]`, of every batch norm that ran.
    public var values: [String: Tensor] { lock.withLock { recorded } }

    /// Records what one batch norm saw.
    ///
    /// - Parameters:
    ///   - prefix: The batch norm's name with a dot behind it.
    ///   - mean: `[channels]`.
    ///   - variance: The unbiased variance, `[channels]`.
    func record(_ prefix: String, mean: Tensor, variance: Tensor) {
        lock.withLock {
            recorded[prefix + "running_mean"] = mean
            recorded[prefix + "running_var"] = variance
        }
    }
}
