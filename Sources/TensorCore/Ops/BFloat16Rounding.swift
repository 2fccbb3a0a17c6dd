internal import CWuerstchenKernels

/// Rounds numbers to bfloat16 with error feedback: what was lost of earlier ones is added first,
/// and what is lost now takes its place.
///
/// - Parameters:
///   - numbers: The numbers.
///   - errors: What was lost of earlier ones, as many.
///   - target: Where they go, as many.
package func roundToBFloat16(
    _ numbers: UnsafeBufferPointer<Float>, errors: UnsafeMutableBufferPointer<Float>,
    to target: UnsafeMutableBufferPointer<UInt16>
) {
    precondition(errors.count == numbers.count && target.count == numbers.count)
    guard let numbers = numbers.baseAddress, let errors = errors.baseAddress,
        let place = target.baseAddress
    else { return }
    forEachChunk(of: target.count) { range in
        for index in range { unsafe errors[index] += numbers[index] }
        let first = range.lowerBound
        unsafe kernels.narrow_bfloat16(place + first, errors + first, range.count)
        for index in range {
            unsafe errors[index] -= Float(bitPattern: UInt32(place[index]) << 16)
        }
    }
}

/// Adds numbers of bfloat16 to as many sums.
package func addBFloat16(
    _ numbers: UnsafeBufferPointer<UInt16>, to sums: UnsafeMutableBufferPointer<Float>
) {
    precondition(sums.count == numbers.count)
    guard let numbers = numbers.baseAddress, let place = sums.baseAddress else { return }
    forEachChunk(of: sums.count) { range in
        for index in range {
            unsafe place[index] += Float(bitPattern: UInt32(numbers[index]) << 16)
        }
    }
}
