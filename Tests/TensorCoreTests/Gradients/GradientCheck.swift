import TensorCore
import Testing
import _WuerstchenTestSupport

/// Compares gradients with central differences.
///
/// The number that is differentiated is the sum of a function's results times fixed random weights,
/// so that every result counts in a way of its own. Along random directions through all inputs, one
/// input at a time, its slope by a four-point formula must be the gradient's component.
///
/// Errors are relative to the gradient's length times the direction's.
func checkGradients(
    _ inputs: [Tensor], step: Float = 0.02, tolerance: Double = 2e-3,
    sourceLocation: SourceLocation = #_sourceLocation, _ body: ([Tensor]) throws -> Tensor
) throws {
    let weights = Tensor.random(try body(inputs).shape, seed: 99)
    func number(_ inputs: [Tensor]) throws -> Tensor { (try body(inputs) * weights).sum() }
    let leaves = inputs.map { $0.tracked() }
    let value = try number(leaves)
    #expect(value.isTracked, sourceLocation: sourceLocation)
    expectNear(
        try body(leaves).elements, try body(inputs).doubles, squares: 1e-12, "tracked",
        sourceLocation: sourceLocation)
    let gradients = try value.gradients()
    for (place, input) in inputs.enumerated() {
        let gradient = try #require(gradients[leaves[place]], sourceLocation: sourceLocation)
        #expect(gradient.shape == input.shape, sourceLocation: sourceLocation)
        let length = gradient.elements.reduce(0) { $0 + Double($1 * $1) }.squareRoot()
        #expect(length > 0, "input \(place)", sourceLocation: sourceLocation)
        for seed in 0..<3 {
            let direction = Tensor.random(input.shape, seed: 1000 + seed)
            func value(at distance: Float) throws -> Double {
                var moved = inputs
                moved[place] = Tensor.combine(1, input, distance * step, direction)
                return Double(try number(moved).elements[0])
            }
            let slope =
                try (8 * (value(at: 1) - value(at: -1)) - (value(at: 2) - value(at: -2)))
                / Double(12 * step)
            let component = zip(gradient.elements, direction.elements)
                .reduce(0) { $0 + Double($1.0 * $1.1) }
            let scale = length * direction.elements.reduce(0) { $0 + Double($1 * $1) }.squareRoot()
            #expect(
                abs(slope - component) <= tolerance * scale,
                "input \(place), direction \(seed): slope \(slope), gradient \(component)",
                sourceLocation: sourceLocation)
        }
    }
}
