import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

/// Makes sure that floats are near the numbers that a plain loop gives: the sum of the squared
/// errors is at most `squares` of the sum of the expected squares, and none is larger than
/// `largest`.
func expectNear(
    _ got: [Float], _ want: [Double], squares: Double = .infinity, largest: Double = .infinity,
    _ comment: @autoclosure () -> String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    let difference = Difference(got, want)
    #expect(
        difference.countProblem == nil && difference.normalizedSquare <= squares
            && difference.largest <= largest,
        "\(comment()) \(difference)", sourceLocation: sourceLocation)
}

/// Makes sure that a tensor has this shape and is near the numbers that a plain loop gives.
func expectNear(
    _ got: Tensor, _ want: (values: [Double], shape: Shape), squares: Double,
    _ comment: @autoclosure () -> String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(got.shape == want.shape, sourceLocation: sourceLocation)
    expectNear(
        got.elements, want.values, squares: squares, comment(), sourceLocation: sourceLocation)
}

/// Makes sure that two tensors are the same to the last bit.
func expectSame(
    _ a: Tensor, _ b: Tensor, _ comment: @autoclosure () -> String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(a.shape == b.shape, sourceLocation: sourceLocation)
    let isSame = a.withUnsafeElements { a in
        b.withUnsafeElements { b in
            guard a.count == b.count, let x = a.baseAddress, let y = b.baseAddress else {
                return a.count == b.count
            }
            return memcmp(x, y, a.count * MemoryLayout<Float>.size) == 0
        }
    }
    if isSame { return }
    let difference = Difference(a.elements, b.doubles)
    Issue.record("\(comment()) bits differ: \(difference)", sourceLocation: sourceLocation)
}
