internal import TensorCore

/// The numbers that gradients are sent to other processes as.
public enum GradientPrecision: String, Sendable, CaseIterable {
    /// As they are.
    case float32
    /// Half as many bytes. What rounding takes from a gradient is added to that of the next step.
    case bfloat16
}

/// Rounds the gradients that processes send each other to bfloat16, with error feedback: what is
/// lost of one step's is added to the next one's (Seide et al., "1-Bit Stochastic Gradient Descent
/// and its Application to Data-Parallel Distributed Training of Speech DNNs", 2014).
///
/// Every shard counts as a process, also those that one process computes. So the same sums are
/// rounded, in the same places of the tree, on any number of processes.
struct GradientRounding {
    /// The parameters in as many parts as there are shards.
    let parts: ParameterParts
    /// What was lost of what shards sent, by shard and parameter; of this process's shards.
    var errors: [Int: [String: Tensor]]

    /// Which of two neighbouring branches of the tree sends its sum of a parameter to the other.
    ///
    /// - Parameters:
    ///   - name: The parameter.
    ///   - level: The level of both: there are 1, 2, 4 … shards in each.
    /// - Returns: Whether it is the one with the higher shards.
    func isHigherSent(_ name: String, level: Int) -> Bool { (parts[name] >> level) & 1 == 0 }

    /// The shard that sends a branch's sum of a parameter.
    ///
    /// - Parameters:
    ///   - name: The parameter.
    ///   - level: The branch's level.
    ///   - first: The first of its shards.
    /// - Returns: The shard's number.
    func sender(of name: String, level: Int, first: Int) -> Int {
        first + (parts[name] & ((1 << level) - 1))
    }

    /// What a shard sends of a sum.
    ///
    /// - Parameters:
    ///   - sum: The sum.
    ///   - name: The parameter.
    ///   - shard: The shard.
    ///   - shape: The parameter's shape.
    ///   - sent: Where it goes, as bfloat16.
    mutating func round(
        _ sum: UnsafeBufferPointer<Float>, _ name: String, of shard: Int, shape: Shape,
        to sent: UnsafeMutableBufferPointer<UInt16>
    ) {
        var error =
            errors[shard, default: [:]].removeValue(forKey: name) ?? Tensor(repeating: 0, shape)
        error.withUnsafeMutableElements { roundToBFloat16(sum, errors: $0, to: sent) }
        errors[shard, default: [:]][name] = error
    }

    /// Adds what a shard sends of a sum to another sum.
    mutating func add(_ sum: Tensor, _ name: String, of shard: Int, to other: inout Tensor) {
        let sent = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: sum.count)
        defer { sent.deallocate() }
        sum.withUnsafeElements { round($0, name, of: shard, shape: sum.shape, to: sent) }
        other.withUnsafeMutableElements { addBFloat16(UnsafeBufferPointer(sent), to: $0) }
    }
}
