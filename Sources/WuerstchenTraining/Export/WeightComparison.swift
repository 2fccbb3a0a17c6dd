import Foundation
import TensorCore
import Wuerstchen
import WuerstchenNN

/// Compares the weights of a network with what was written of them.
final class WeightComparison {
    private let before: CheckpointParameters
    private let after: CheckpointParameters
    private let elementType: WeightElementType?
    private let target: URL
    private(set) var elements = 0
    /// Elements that are not what they were, because the numbers hold less.
    private(set) var rounded = 0
    /// How much they are off, relative to the root mean square of their tensor, at most.
    private(set) var largestError = 0.0

    /// - Parameters:
    ///   - before: What was read.
    ///   - after: What was written.
    ///   - elementType: The floats that were asked for; nil for those that there were.
    ///   - target: The folder, for messages.
    init(
        _ before: CheckpointParameters, _ after: CheckpointParameters,
        _ elementType: WeightElementType?, in target: URL
    ) {
        (self.before, self.after) = (before, after)
        (self.elementType, self.target) = (elementType, target)
    }

    /// Compares what is stored under the same names.
    ///
    /// - Parameter packed: The parameters that are stored otherwise.
    /// - Throws: `WuerstchenError` with code `malformedFile` for a difference.
    func compareStored(leavingOut packed: Set<String>) throws {
        guard before.names == after.names else { throw mismatch("the list of parameters") }
        for name in before.storedNames.subtracting(packed).sorted() {
            guard let old = try before.floats(of: name), let new = try after.floats(of: name) else {
                try compareBytes(name)
                continue
            }
            guard old.shape == new.shape, elementType?.isSame(old, new) ?? true else {
                throw mismatch(name)
            }
            let count = add(old, new)
            guard elementType != nil || count == 0 else { throw mismatch(name) }
        }
    }

    /// Compares matrices in 8 bits, and what was computed beside them, with what the network that
    /// was read gives again.
    ///
    /// - Returns: The parameters that they stand in for.
    /// - Throws: As ``compareStored(leavingOut:)``.
    func comparePacked(_ network: CheckpointContents.Network) throws -> Set<String> {
        try network.pack { [self] name, part in
            switch part {
            case .rounded(let matrix, let weight):
                for source in matrix.sources(name) { try requireSame(source) }
                _ = add(weight, matrix.widened())
            case .computed(let values):
                try requireSame(WeightElementType.float32.source(name, values.shape) { values })
            }
        }
    }

    private func requireSame(_ source: Safetensors.Source) throws {
        let name = source.name
        guard after.elementType(of: name) == source.elementType,
            after.storedShape(of: name) == source.shape
        else { throw mismatch(name) }
        try after.withBytes(of: name) { stored in
            var place = 0
            try source.forEachPiece { bytes in
                let end = place + bytes.count
                guard end <= stored.count,
                    bytes.elementsEqual(UnsafeRawBufferPointer(rebasing: stored[place..<end]))
                else { throw mismatch(name) }
                place = end
            }
            guard place == stored.count else { throw mismatch(name) }
        }
    }

    /// Of what is no floats: counts, positions, matrices in 8 bits.
    private func compareBytes(_ name: String) throws {
        guard before.elementType(of: name) == after.elementType(of: name),
            before.storedShape(of: name) == after.storedShape(of: name)
        else { throw mismatch(name) }
        try before.withBytes(of: name) { old in
            try after.withBytes(of: name) { new in
                guard old.elementsEqual(new) else { throw mismatch(name) }
                elements += old.count / (before.elementType(of: name)?.byteCount ?? 1)
            }
        }
    }

    private func mismatch(_ name: String) -> WuerstchenError {
        WuerstchenError(
            .malformedFile,
            "\(name) in \(target.path) is not what was written; check the disk and convert again")
    }

    /// Counts elements and those that differ, and returns the latter.
    private func add(_ a: Tensor, _ b: Tensor) -> Int {
        let (count, error) = Self.differences(a, b)
        elements += a.count
        rounded += count
        largestError = max(largestError, error)
        return count
    }

    /// How many elements differ, and the largest difference relative to the root mean square.
    private static func differences(_ a: Tensor, _ b: Tensor) -> (count: Int, error: Double) {
        a.withUnsafeElements { a in
            b.withUnsafeElements { b in
                var (count, largest, squares) = (0, 0.0, 0.0)
                for index in a.indices {
                    squares += Double(a[index]) * Double(a[index])
                    guard a[index].bitPattern != b[index].bitPattern else { continue }
                    count += 1
                    largest = max(largest, abs(Double(a[index]) - Double(b[index])))
                }
                let scale = (squares / Double(max(1, a.count))).squareRoot()
                return (count, count == 0 ? 0 : largest / max(scale, .leastNormalMagnitude))
            }
        }
    }
}
