import CWuerstchenKernels
import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: softmax by blocks")
struct SoftmaxKernelTests {
    /// The kernel of a level, with floats or bfloat16 as its result.
    struct Kernel: Sendable, CustomStringConvertible {
        let description: String
        let isBFloat16: Bool
        private let floats: wk_kernels?
        private let bfloat16: wk_gemm?

        private init(
            _ description: String, floats: wk_kernels? = nil, bfloat16: wk_gemm? = nil
        ) {
            self.description = description
            (self.floats, self.bfloat16) = (floats, bfloat16)
            isBFloat16 = bfloat16 != nil
        }

        static let available =
            KernelLevel.available.compactMap { level in
                level.table.map { Kernel(level.rawValue, floats: $0.pointee) }
            }
            + PackedGEMM.available.filter { $0.table.softmax_block != nil }.map {
                Kernel($0.description, bfloat16: $0.table)
            }

        /// The error that rounding a weight between 0 and 1 may leave.
        var bound: Double { isBFloat16 ? 0.0022 : 0 }

        /// The exponentials of a block. What is not to be touched is checked here.
        func callAsFunction(
            _ block: [[Float]], scale: Float = 1, mask: [Float]? = nil, limit: [Int]? = nil,
            _ maximum: inout [Float], _ sum: inout [Float], _ correction: inout [Float]
        ) -> [[Float]] {
            let (rows, columns) = (block.count, block[0].count)
            var scores = SpacedRows(block.flatMap { $0 }, columns: columns)
            var weights = WordRows(rows: rows, depth: columns, .bfloat16)
            if let bfloat16, let softmax = bfloat16.softmax_block {
                softmax(
                    &weights.words, weights.stride, &scores.memory, scores.stride, rows, columns,
                    scale, mask, limit, &maximum, &sum, &correction)
                #expect(weights.gapsAreUntouched)
                for row in 0..<rows {
                    #expect(weights.stored(row).dropFirst(columns).allSatisfy { $0 == 0 })
                }
            } else {
                floats?.softmax_block(
                    &scores.memory, scores.stride, rows, columns, scale, mask, limit, &maximum,
                    &sum, &correction)
            }
            #expect(scores.gapsAreUntouched)
            let elements = isBFloat16 ? weights.values.map { Float($0) } : scores.elements
            return (0..<rows).map { Array(elements[$0 * columns..<($0 + 1) * columns]) }
        }
    }

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
            _ block: [[Float]], _ kernel: Kernel, scale: Float = 1, mask: [Float]? = nil,
            limit: [Int]? = nil
        ) {
            let exponentials = kernel(
                block, scale: scale, mask: mask, limit: limit, &maximum, &sum, &correction)
            for row in weights.indices {
                weights[row] = weights[row].map { $0 * Double(correction[row]) }
                weights[row] += exponentials[row].map(Double.init)
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
        "several blocks with masks and limits", arguments: Kernel.available, awkwardWidths)
    func blocks(kernel: Kernel, columns: Int) {
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
                    block, kernel, scale: 0.5, mask: options & 1 == 0 ? nil : mask,
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
                    running.softmax(row), softmax(exponents[row]), largest: 2e-6 + kernel.bound,
                    "row \(row), options \(options)")
                let largest = exponents[row].max() ?? 0
                #expect(abs(Double(running.maximum[row]) - largest) < 1e-5)
            }
        }
    }

    @Test("a first block that is masked altogether", arguments: Kernel.available)
    func maskedFirst(kernel: Kernel) {
        var numbers = RandomNumbers(seed: 3)
        let block = [numbers.floats(19), numbers.floats(19)]
        let none = [Float](repeating: -.infinity, count: 19)
        for masked in [(none, nil), (nil, [0, -4])] as [([Float]?, [Int]?)] {
            var running = Running(rows: 2)
            running.add(block, kernel, mask: masked.0, limit: masked.1)
            #expect(running.weights.joined().allSatisfy { $0 == 0 })
            #expect(running.sum == [0, 0] && running.maximum == [-.infinity, -.infinity])
            #expect(running.correction == [1, 1])
            running.add(block, kernel)
            #expect(running.correction == [0, 0])
            // And one more that changes nothing.
            running.add(block, kernel, mask: none)
            #expect(running.correction == [1, 1])
            for row in 0..<2 {
                let exponents = block[row].map(Double.init)
                let gone = [Double](repeating: -.infinity, count: 19)
                expectNear(
                    running.softmax(row), softmax(gone + exponents + gone),
                    largest: 1e-6 + kernel.bound)
            }
        }
    }

    /// Scores below a maximum of 0, seen before, come out as their exponential.
    @Test(
        "the exponential is right to a few units in the last place",
        arguments: Kernel.available)
    func exponential(kernel: Kernel) {
        let x = (0...22272).map { -Float($0) / 256 }
        var (maximum, sum, correction): ([Float], [Float], [Float]) = ([0], [0], [0])
        let y = kernel([x], &maximum, &sum, &correction)[0]
        let worst = zip(x, y).map { abs(Double($1) / exp(Double($0)) - 1) }.max() ?? .infinity
        // Half a unit of the last of eight bits, and the polynomial's error.
        #expect(worst < (kernel.isBFloat16 ? 0x1p-8 + 1e-4 : 1.2e-7))
        #expect(maximum == [0] && correction == [1] && y[0] == 1)
    }

    /// The sums are of floats whatever the result is: here each of a single exponential.
    @Test("the sum is not rounded to bfloat16", arguments: Kernel.available)
    func sum(kernel: Kernel) {
        for step in 0..<500 {
            let x = -Float(step) / 50
            var (maximum, sum, correction): ([Float], [Float], [Float]) = ([0], [0], [.nan])
            _ = kernel([[x]], &maximum, &sum, &correction)
            let error = abs(Double(sum[0]) / exp(Double(x)) - 1)
            #expect(error < (kernel.isBFloat16 ? 1.1e-4 : 2e-7), "\(x)")
            // And what corrects earlier sums.
            maximum = [x]
            _ = kernel([[0]], &maximum, &sum, &correction)
            #expect(abs(Double(correction[0]) / exp(Double(x)) - 1) < 2e-6, "\(x)")
        }
    }

    /// Scores in the thousands, of which exponentials would overflow without a maximum taken off.
    @Test("huge scores", arguments: Kernel.available)
    func huge(kernel: Kernel) {
        var random = RandomNumbers(seed: 1)
        let blocks = [1e3, 2e4, 3e2].map { spread in
            [random.floats(21, spread: Float(spread)), random.floats(21, spread: 2)]
        }
        var running = Running(rows: 2)
        for block in blocks { running.add(block, kernel) }
        for row in 0..<2 {
            let exponents = blocks.flatMap { $0[row].map(Double.init) }
            // Rounding a score of 20000 costs a thousandth of its weight.
            expectNear(running.softmax(row), softmax(exponents), largest: 2e-3 + kernel.bound)
        }
        // The kernel for bfloat16 needs its exponents' first digits behind the point.
        let far: Float = kernel.isBFloat16 ? 2e6 : 3e38
        running.add([[far, -far], [0, 0]], kernel, scale: 0.5)
        expectNear(Array(running.softmax(0).suffix(2)), [1, 0], largest: kernel.bound)
    }

    @Test("beyond the range of floats the exponential is 0", arguments: Kernel.available)
    func vanishing(kernel: Kernel) {
        for x: Float in [-87.5, -100, -1e4, -1e30, -.infinity] {
            var (maximum, sum, correction): ([Float], [Float], [Float]) = ([0], [1], [0])
            let y = kernel([[Float](repeating: x, count: 17)], &maximum, &sum, &correction)[0]
            // bfloat16 have none of floats' limits on the way.
            #expect(y.allSatisfy { $0 < (kernel.isBFloat16 ? 1.1e-38 : .leastNonzeroMagnitude) })
            #expect(sum == [1], "\(x)")
        }
    }

    /// Otherwise a network that has broken down would go on with numbers that look healthy.
    @Test("a score that is not a number is not hidden", arguments: Kernel.available)
    func notANumber(kernel: Kernel) {
        for place in [0, 1, 15, 16, 30, 31, 32] {
            var scores = [Float](repeating: 0.5, count: 33)
            scores[place] = .nan
            var running = Running(rows: 1)
            running.add([scores], kernel)
            #expect(running.softmax(0)[place].isNaN, "at \(place)")
        }
    }

    /// Such a block is not one whose keys are all masked.
    @Test(
        "a block of nothing but such scores is not hidden", arguments: Kernel.available,
        awkwardWidths)
    func noNumbers(kernel: Kernel, columns: Int) {
        let healthy = [Float](repeating: 0.5, count: columns)
        let broken = [Float](repeating: .nan, count: columns)
        for blocks in [[healthy, broken], [broken, healthy]] {
            var running = Running(rows: 1)
            for block in blocks { running.add([block], kernel) }
            #expect(running.softmax(0).allSatisfy { $0.isNaN })
        }
        // Nor is it one if the others are masked.
        var mask = [Float](repeating: -.infinity, count: columns)
        mask[columns / 2] = 0
        var running = Running(rows: 1)
        running.add([broken], kernel, mask: mask)
        running.add([healthy], kernel)
        #expect(running.softmax(0).allSatisfy { $0.isNaN })
    }
}
