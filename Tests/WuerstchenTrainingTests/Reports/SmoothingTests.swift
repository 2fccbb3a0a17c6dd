import Foundation
import Testing

@testable import WuerstchenTraining

@Suite struct SmoothingTests {
    @Test func aConstantStaysAndNoiseGoes() {
        #expect(smoothed([3, 3, 3, 3], reach: 2).allSatisfy { abs($0 - 3) < 1e-12 })
        let noisy = (0..<400).map { $0 % 2 == 0 ? 1.0 : -1.0 }
        #expect(smoothed(noisy, reach: 20)[100..<300].allSatisfy { abs($0) < 0.05 })
        #expect(smoothed([], reach: 5) == [])
        #expect(smoothed([1, 5], reach: 0) == [1, 5])
    }

    @Test func aTrendDoesNotLag() {
        let line = (0..<1000).map(Double.init)
        let trend = smoothed(line, reach: 10)
        #expect((300..<700).allSatisfy { abs(trend[$0] - line[$0]) < 1e-6 })
    }

    @Test func weightsFallOffToBothSides() {
        var values = [Double](repeating: 0, count: 401)
        values[200] = 1
        let trend = smoothed(values, reach: 5)
        #expect(abs(trend[205] / trend[200] - exp(-1)) < 1e-9)
        #expect(abs(trend[195] - trend[205]) < 1e-12)
    }
}
