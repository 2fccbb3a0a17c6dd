internal import CWuerstchenKernels
private import Foundation

extension Tensor {
    /// The numbers of one step of AdamW, the same for all parameters.
    package struct AdamStep {
        fileprivate let kernelStep: wk_adam

        /// - Parameters:
        ///   - betas: How fast the means forget.
        ///   - epsilon: What is added to the root.
        ///   - rate: The learning rate.
        ///   - decay: The weight decay, in units of the rate.
        ///   - gradientScale: What gradients are multiplied with.
        ///   - count: Which step it is for the parameter, from 1.
        package init(
            betas: (first: Float, second: Float), epsilon: Float, rate: Float, decay: Float,
            gradientScale: Float, count: Int
        ) {
            let first = 1 - pow(Double(betas.first), Double(count))
            let second = 1 - pow(Double(betas.second), Double(count))
            kernelStep = wk_adam(
                beta1: betas.first, beta2: betas.second, epsilon: epsilon,
                rate: Float(Double(rate) / first),
                second_correction: Float(1 / second.squareRoot()),
                decay: Float(1 - Double(rate) * Double(decay)), gradient_scale: gradientScale)
        }
    }

    /// One step of AdamW, in place.
    ///
    /// - Parameters:
    ///   - gradient: In the shape of this tensor, as the means are.
    ///   - first: The mean of gradients.
    ///   - second: The mean of squared gradients.
    ///   - step: The step's numbers.
    package mutating func adamWStep(
        _ gradient: Tensor, first: inout Tensor, second: inout Tensor, step: AdamStep
    ) {
        precondition(
            gradient.shape == shape && first.shape == shape && second.shape == shape,
            "a gradient \(gradient.shape) for \(shape)")
        let (target, one, two) = unsafe (
            mutablePointer(), first.mutablePointer(), second.mutablePointer()
        )
        var numbers = step.kernelStep
        unsafe withUnsafePointer(to: &numbers) { numbers in
            forEachChunk(of: count) { range in
                let place = range.lowerBound
                unsafe kernels.adam(
                    target + place, one + place, two + place, gradient.pointer + place,
                    range.count, numbers)
            }
        }
    }

    /// Moves by a share of the way to another tensor, in place.
    package mutating func move(towards other: Tensor, by share: Float) {
        precondition(shape == other.shape, "shapes differ: \(shape) and \(other.shape)")
        let target = unsafe mutablePointer()
        forEachChunk(of: count) { range in
            let place = unsafe target + range.lowerBound
            unsafe kernels.combine(
                place, 1 - share, place, share, other.pointer + range.lowerBound, range.count)
        }
    }
}
