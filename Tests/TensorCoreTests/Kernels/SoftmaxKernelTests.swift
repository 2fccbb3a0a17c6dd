import CWuerstchenKernels
import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: softmax by blocks")
struct SoftmaxKernelTests {
    /// What is carried from block to block for each row, and the weights so far.
    private struct Running {
        var maximum: [Float]
        var sum: [Float]
        var correction: [Float]
        var weights: [[Double]]

        init(rows: Int) {
            maximum = [Float](repeating: -.infinity, count: rows)
            sum = [Float](repeating: 0, count: rows)
            correction = [Float](repeating: .nan, count: rows)
            weights = [[Double]](repeating: [], count: rows)
        }

        mutating func add(
            _ block: [[Float]], _ kernels: wk_kernels, scale: Float = 1, mask: [Float]? = nil,
            limit: [Int]? = nil
        ) {
            let columns = block[0].count
            var scores = SpacedRows(block.flatMap { $0 }, columns: columns)
            kernels.softmax_block(
                &scores.memory, scores.stride, block.count, columns, scale, mask, limit, &maximum,
                &sum, &correction)
            #expect(scores.gapsAreUntouched)
            for row in weights.indices {
                weights[row] = weights[row].map { $0 * Double(correction[row]) }
                weights[row] += scores.elements[row * columns..<(row + 1) * columns].map(
                    Double.init)
            }
        }

        /// The softmax of a row over all blocks.
        func softmax(_ row: Int) -> [Float] { weights[row].map { Float($0 / Double(sum[row])) } }
    }

    /// Exact softmax of scores as they enter the exponent; −∞ where nothing is looked at.
    private func softmax(_ exponents: [Double]) -> [Double] {
        let largest = exponents.max() ?? 0
        let weights = exponents.map { exp($0 - largest) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    @Test(
        "several blocks with masks and limits", arguments: KernelLevel.available, awkwardWidths)
    func blocks(level: KernelLevel, columns: Int) throws {
        let rows = 5
        var numbers = RandomNumbers(seed: columns)
        for options in 0..<4 {
            var running = Running(rows: rows)
            var exponents = [[Double]](repeating: [], count: rows)
            for blockNumber in 0..<3 {
                let block = (0..<rows).map { _ in numbers.floats(columns, spread: 20) }
                // A key in three is masked, but never the first of all.
                let mask = (0..<columns).map { column -> Float in
                    (column + blockNumber) % 3 == 2 ? -.infinity : Float(column % 4) / 4
                }
                // From nothing to beyond the block, but never nothing at first.
                let limit = (0..<rows).map { row in
                    blockNumber == 0 ? 1 + row * columns / 2 : row * columns / 3 - 1
                }
                running.add(
                    block, try level.kernels, scale: 0.5, mask: options & 1 == 0 ? nil : mask,
                    limit: options & 2 == 0 ? nil : limit)
                for row in 0..<rows {
                    exponents[row] += (0..<columns).map { column in
                        if options & 2 != 0 && column >= limit[row] { return -.infinity }
                        return 0.5 * Double(block[row][column])
                            + (options & 1 == 0 ? 0 : Double(mask[column]))
                    }
                }
            }
            for row in 0..<rows {
                expectNear(
                    running.softmax(row), softmax(exponents[row]), largest: 2e-6,
                    "row \(row), options \(options)")
                let largest = exponents[row].max() ?? 0
                #expect(abs(Double(running.maximum[row]) - largest) < 1e-5)
            }
        }
    }

    @Test("a first block that is masked altogether", arguments: KernelLevel.available)
    func maskedFirst(level: KernelLevel) throws {
        var numbers = RandomNumbers(seed: 3)
        let block = [numbers.floats(19), numbers.floats(19)]
        let none = [Float](repeating: -.infinity, count: 19)
        for masked in [(none, nil), (nil, [0, -4])] as [([Float]?, [Int]?)] {
            var running = Running(rows: 2)
            running.add(block, try level.kernels, mask: masked.0, limit: masked.1)
            #expect(running.weights.joined().allSatisfy { $0 == 0 })
            #expect(running.sum == [0, 0] && running.maximum == [-.infinity, -.infinity])
            #expect(running.correction == [1, 1])
            running.add(block, try level.kernels)
            #expect(running.correction == [0, 0])
            // And one more that changes nothing.
            running.add(block, try level.kernels, mask: none)
            #expect(running.correction == [1, 1])
            for row in 0..<2 {
                let exponents = block[row].map(Double.init)
                let gone = [Double](repeating: -.infinity, count: 19)
                expectNear(running.softmax(row), softmax(gone + exponents + gone), largest: 1e-6)
            }
        }
    }

    /// Scores below a maximum of 0, seen before, come out as their exponential.
    @Test(
        "the exponential is right to a few units in the last place",
        arguments: KernelLevel.available)
    func exponential(level: KernelLevel) throws {
        let x = (0...22272).map { -Float($0) / 256 }
        var y = x
        var (maximum, sum, correction): (Float, Float, Float) = (0, 0, 0)
        try level.kernels.softmax_block(
            &y, x.count, 1, x.count, 1, nil, nil, &maximum, &sum, &correction)
        let worst = zip(x, y).map { abs(Double($1) / exp(Double($0)) - 1) }.max() ?? .infinity
        #expect(worst < 1.2e-7)
        #expect(maximum == 0 && correction == 1 && y[0] == 1)
    }

    @Test("beyond the range of floats the exponential is 0", arguments: KernelLevel.available)
    func vanishing(level: KernelLevel) throws {
        for x: Float in [-87.5, -100, -1e4, -1e30, -.infinity] {
            var y = [Float](repeating: x, count: 17)
            var (maximum, sum, correction): (Float, Float, Float) = (0, 1, 0)
            try level.kernels.softmax_block(&y, 17, 1, 17, 1, nil, nil, &maximum, &sum, &correction)
            #expect(y.allSatisfy { $0 == 0 }, "\(x)")
            #expect(sum == 1)
        }
    }

    /// Otherwise a network that has broken down would go on with numbers that look healthy.
    @Test("a score that is not a number is not hidden", arguments: KernelLevel.available)
    func notANumber(level: KernelLevel) throws {
        for place in [0, 1, 15, 16, 30, 31, 32] {
            var scores = [Float](repeating: 0.5, count: 33)
            scores[place] = .nan
            var running = Running(rows: 1)
            running.add([scores], try level.kernels)
            #expect(running.softmax(0)[place].isNaN, "at \(place)")
        }
    }
}
