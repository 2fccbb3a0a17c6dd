import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

/// The same seed must give the same image to the last bit, so nothing around an operation may
/// show in its result. One test after the other, as they set the number of threads for all.
@Suite("The same bits whatever happens around", .serialized)
final class SameBitsTests {
    private let threads = Threads.count

    deinit {
        Threads.count = threads
    }

    @Test("an image alone and in a batch", arguments: SampleOperation.all)
    func batch(operation: SampleOperation) {
        let whole = operation.run(0..<4)
        for sample in 0..<4 {
            let part = whole[sample..<sample + 1]
            expectSame(operation.run(sample..<sample + 1), part, "sample \(sample)")
        }
        expectSame(operation.run(2..<4), whole[2..<4], "the second half")
    }

    @Test("any number of threads", arguments: SampleOperation.all)
    func threadCounts(operation: SampleOperation) {
        Threads.count = 1
        let want = operation.run(0..<4)
        for count in [2, 3, 8] {
            Threads.count = count
            for _ in 0..<3 { expectSame(operation.run(0..<4), want, "\(count) threads") }
        }
    }

    @Test("several operations at once")
    func concurrently() {
        Threads.count = 1
        let want = SampleOperation.all.map { $0.run(0..<4) }
        Threads.count = 3
        DispatchQueue.concurrentPerform(iterations: 3 * want.count) { index in
            let number = index * 7 % want.count
            expectSame(
                SampleOperation.all[number].run(0..<4), want[number],
                SampleOperation.all[number].description)
        }
    }

    /// Thousands of short operations from several threads, while the number of threads changes:
    /// where a piece could get lost, or a helper be waited for in vain.
    @Test("a storm of short operations")
    func storm() {
        let inputs = (0..<4).map { Tensor.random([1, 5 + $0, 2, 3], seed: $0) }
        let weight = Tensor.random([9, 3], seed: 10)
        let bias = Tensor.random([3], seed: 11)
        @Sendable func run(_ asker: Int) -> [Float] {
            inputs[asker].depthwiseConvolution(weight, bias: bias).elements
        }
        let want = (0..<4).map(run)
        DispatchQueue.concurrentPerform(iterations: 4) { asker in
            var wrong = 0
            for round in 0..<1500 {
                if asker == 0 { Threads.count = 1 + round % 9 }
                if run(asker) != want[asker] { wrong += 1 }
            }
            #expect(wrong == 0)
        }
    }

    @Test("the number of threads is at least one")
    func threadCount() {
        #expect(Threads.availableProcessors >= 1)
        for count in [0, -5, .min] {
            Threads.count = count
            #expect(Threads.count == 1)
        }
        Threads.count = 8
        #expect(Threads.count == 8)
    }
}
