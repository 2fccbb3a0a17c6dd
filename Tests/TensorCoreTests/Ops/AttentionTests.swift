import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Attention")
struct AttentionTests {
    static let bound = 1e-11

    /// What is allowed where bfloat16 are multiplied. Of large scores, eight bits leave errors in
    /// the exponents.
    private func bound(_ precision: Precision, _ bfloat16: Double) -> Double {
        precision == .float32 || !Precision.bfloat16.isAccelerated
            ? AttentionTests.bound : bfloat16
    }

    private func segment(
        _ samples: Int, _ positions: Int, _ channels: Int, seed: Int, isMasked: Bool = false
    ) -> Tensor.KeyValues {
        let mask = Tensor(
            (0..<samples * positions).map { $0 % positions > 0 && $0 % 3 != 1 ? -.infinity : 0 },
            [samples, positions])
        return Tensor.KeyValues(
            keys: Tensor.random([samples, positions, channels], seed: seed, spread: 3),
            values: Tensor.random([samples, positions, channels], seed: seed + 1),
            mask: isMasked ? mask : nil)
    }

    private func check(
        _ queries: Tensor, _ segments: [Tensor.KeyValues], heads: Int, causal: Bool = false,
        bfloat16: Double = 1e-4, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let want = Twin.attention(queries, segments, heads: heads, causal: causal)
        for precision in Precision.allCases {
            poisonIdleMemory()
            expectNear(
                queries.attention(
                    to: segments, heads: heads, causal: causal, precision: precision),
                (want, queries.shape), squares: bound(precision, bfloat16), "\(precision)",
                sourceLocation: sourceLocation)
        }
    }

    @Test("queries and keys of many lengths", arguments: [1, 77, 130], [1, 77, 130, 600])
    func lengths(queries: Int, keys: Int) {
        check(
            Tensor.random([1, queries, 6], seed: 1, spread: 2), [segment(1, keys, 6, seed: 2)],
            heads: 2)
    }

    @Test("a query sees the positions up to its own", arguments: [1, 77, 130, 600])
    func causal(length: Int) {
        check(
            Tensor.random([1, length, 3], seed: 1), [segment(1, length, 3, seed: 2)], heads: 1,
            causal: true)
    }

    @Test("more queries than keys in a causal segment, and fewer", arguments: [5, 200, 700])
    func causalUneven(keys: Int) {
        check(
            Tensor.random([2, 150, 4], seed: 1), [segment(2, keys, 4, seed: 2)], heads: 2,
            causal: true)
    }

    @Test("heads of many depths", arguments: [1, 2, 3, 8], [1, 5, 16])
    func heads(heads: Int, depth: Int) {
        check(
            Tensor.random([2, 9, heads * depth], seed: 1),
            [segment(2, 11, heads * depth, seed: 2)], heads: heads)
    }

    @Test("several segments, shared keys and masks", arguments: [false, true])
    func segments(isMasked: Bool) {
        check(
            Tensor.random([6, 5, 8], seed: 1),
            [
                segment(6, 5, 8, seed: 2, isMasked: isMasked), segment(2, 7, 8, seed: 4),
                segment(1, 600, 8, seed: 6, isMasked: isMasked),
                segment(3, 1, 8, seed: 8, isMasked: isMasked),
            ], heads: 2)
    }

    @Test("segments whose keys are all masked change nothing", arguments: [3, 512, 600])
    func maskedSegment(length: Int) {
        let queries = Tensor.random([2, 9, 4], seed: 1)
        let seen = segment(2, 13, 4, seed: 2)
        var unseen = segment(2, length, 4, seed: 4)
        unseen.mask = Tensor(repeating: -.infinity, [2, length])
        for segments in [[unseen, seen], [seen, unseen], [unseen, seen, unseen]] {
            check(queries, segments, heads: 2)
        }
    }

    @Test("one segment cut in two gives the same")
    func cut() {
        let queries = Tensor.random([1, 20, 6], seed: 1)
        let whole = segment(1, 30, 6, seed: 2)
        let parts = [0..<11, 11..<30].map { range in
            Tensor.KeyValues(
                keys: whole.keys.reshaped(to: [30, 6])[range].reshaped(to: [1, range.count, 6]),
                values: whole.values.reshaped(to: [30, 6])[range].reshaped(to: [1, range.count, 6]))
        }
        expectNear(
            queries.attention(to: parts, heads: 3).elements,
            queries.attention(to: [whole], heads: 3).doubles, squares: AttentionTests.bound)
    }

    /// Scores in the hundreds would overflow without a maximum taken off.
    @Test("large scores")
    func largeScores() {
        var memory = segment(1, 40, 4, seed: 2)
        memory.keys = memory.keys.scaled(by: 100)
        check(Tensor.random([1, 9, 4], seed: 1, spread: 5), [memory], heads: 1)
    }
}
