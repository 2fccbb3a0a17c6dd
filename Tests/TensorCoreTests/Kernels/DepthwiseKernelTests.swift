import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: one row of a depthwise convolution")
struct DepthwiseKernelTests {
    private struct Geometry {
        let height: Int
        let kernelWidth: Int
        let stride: Int
        let padding: Int
        let width: Int
    }

    private static let geometries = [
        Geometry(height: 1, kernelWidth: 1, stride: 1, padding: 0, width: 3),
        Geometry(height: 3, kernelWidth: 3, stride: 1, padding: 1, width: 1),
        Geometry(height: 3, kernelWidth: 3, stride: 1, padding: 1, width: 6),
        Geometry(height: 3, kernelWidth: 3, stride: 2, padding: 1, width: 5),
        Geometry(height: 2, kernelWidth: 5, stride: 3, padding: 2, width: 7),
        Geometry(height: 3, kernelWidth: 4, stride: 1, padding: 6, width: 2),
    ]

    @Test(
        "every geometry, with and without padded rows, residual and replicated borders",
        arguments: KernelLevel.available, [1, 3, 5, 8, 16, 17, 33])
    func everyGeometry(level: KernelLevel, channels: Int) throws {
        for geometry in DepthwiseKernelTests.geometries {
            for options in 0..<8 {
                try check(
                    level, channels, geometry, replicates: options & 1 != 0,
                    hasResidual: options & 2 != 0, isTopPadded: options & 4 != 0)
            }
        }
    }

    private func check(
        _ level: KernelLevel, _ channels: Int, _ geometry: Geometry, replicates: Bool,
        hasResidual: Bool, isTopPadded: Bool
    ) throws {
        let (height, width) = (geometry.height, geometry.width)
        var numbers = RandomNumbers(seed: channels)
        let x = numbers.floats(height * width * channels)
        let weights = numbers.floats(height * geometry.kernelWidth * channels)
        let bias = numbers.floats(channels)
        let outputs = (width + 2 * geometry.padding - geometry.kernelWidth) / geometry.stride + 1
        let residual = SpacedRows(numbers.floats(outputs * channels), columns: channels)
        var y = SpacedRows(rows: outputs, columns: channels, gap: 3)
        var description = wk_depthwise(
            kernel_height: height, kernel_width: geometry.kernelWidth, stride: geometry.stride,
            padding: geometry.padding, input_width: width, output_width: outputs,
            channels: channels, replicate: replicates)
        try x.withUnsafeBufferPointer { x in
            let rows: [UnsafePointer<Float>?] = (0..<height).map { row in
                isTopPadded && row == 0 ? nil : x.baseAddress.map { $0 + row * width * channels }
            }
            try level.kernels.depthwise_row(
                &y.memory, y.stride, rows, weights, bias, 0.5, hasResidual ? residual.memory : nil,
                &description)
        }
        let want = (0..<outputs * channels).map { place in
            let channel = place % channels
            var sum = Double(bias[channel])
            for row in (isTopPadded ? 1 : 0)..<height {
                for tap in 0..<geometry.kernelWidth {
                    let position = place / channels * geometry.stride - geometry.padding + tap
                    let near = min(max(position, 0), width - 1)
                    if near != position && !replicates { continue }
                    sum +=
                        Double(x[(row * width + near) * channels + channel])
                        * Double(weights[(row * geometry.kernelWidth + tap) * channels + channel])
                }
            }
            return 0.5 * sum + (hasResidual ? Double(residual.elements[place]) : 0)
        }
        expectNear(y.elements, want, largest: 2e-6, "\(geometry), replicates \(replicates)")
        #expect(y.gapsAreUntouched)
    }
}
