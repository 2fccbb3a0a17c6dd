import Foundation
import Testing
import Wuerstchen

@testable import WuerstchenTraining

private let blue: (UInt8, UInt8, UInt8) = (0, 114, 178)
private let orange: (UInt8, UInt8, UInt8) = (213, 94, 0)
/// What the line in the legend takes.
private let legendCount = 22 * 4

@Suite struct LossCurveTests {
    private func series(
        _ count: Int, _ value: (Int) -> Double
    ) -> LossCurve.Series {
        LossCurve.Series("loss", (0..<count).map { .init(step: $0, value: value($0)) })
    }

    /// Where a column's pixels of a colour are, on average; nil where there are none.
    private func height(
        of color: (UInt8, UInt8, UInt8), at x: Int, in image: Image
    ) -> Double? {
        let rows = (0..<image.height).filter { image[x, $0] == color }
        return rows.isEmpty ? nil : Double(rows.reduce(0, +)) / Double(rows.count)
    }

    @Test func aFallingLossGoesDown() throws {
        let image = try LossCurve(series: [series(30) { 10 - Double($0) / 5 }]).image()
        let heights = try [200, 400, 600].map {
            try #require(height(of: blue, at: $0, in: image))
        }
        #expect(heights[0] < heights[1] && heights[1] < heights[2])
        #expect(abs(heights[0] + heights[2] - 2 * heights[1]) < 3, "a straight line is straight")
    }

    @Test func exponentialsAreStraightOnALogarithmicAxis() throws {
        let curve = LossCurve(
            series: [series(400) { exp(-Double($0) / 50) }], isLogarithmic: true)
        let image = try curve.image()
        let heights = try [200, 400, 600].map {
            try #require(height(of: blue, at: $0, in: image))
        }
        #expect(abs(heights[0] + heights[2] - 2 * heights[1]) < 3)
        #expect(heights[2] > heights[0] + 50)
    }

    @Test func seriesHaveColoursOfTheirOwn() throws {
        let image = try LossCurve(
            series: [series(20) { Double($0) }, series(20) { 20 - Double($0) }]
        ).image()
        #expect(image.count(of: blue) > 1000)
        #expect(image.count(of: orange) > 1000)
    }

    @Test func theTrendLiesOverFaintValues() throws {
        let noisy = series(2000) { 1 + ($0 % 2 == 0 ? 0.5 : -0.5) }
        let image = try LossCurve(series: [noisy]).image()
        // The trend of an alternation is its middle.
        let middle = try #require(height(of: blue, at: 500, in: image))
        #expect(abs(middle - Double(16 + 492) / 2) < 20)
        let raw = try LossCurve(series: [noisy], smoothing: 0).image()
        #expect(raw.count(of: blue) > 10 * image.count(of: blue), "without a trend, bold values")
    }

    @Test func valuesThatAreNotFiniteLeaveAGap() throws {
        for bad in [Double.nan, .infinity, -.infinity, 1e300] {
            let broken = series(31) { (10..<20).contains($0) ? bad : 1 + Double($0) }
            let image = try LossCurve(series: [broken]).image()
            #expect(height(of: blue, at: 480, in: image) == nil)
            #expect(height(of: blue, at: 150, in: image) != nil)
            #expect(height(of: blue, at: 850, in: image) != nil)
        }
        let curve = Curve(
            series(5) { $0 == 2 ? .nan : 1 }, ink: .text, isLogarithmic: false, smoothing: nil)
        #expect(curve.runs.map(\.values) == [[1, 1], [1, 1]])
        #expect(curve.label == "loss 1 (1 not shown)")
    }

    @Test func aLogarithmicAxisLeavesOutWhatIsNotPositive() {
        let values = series(4) { [1, 0, -1, 2][$0] }
        let curve = Curve(values, ink: .text, isLogarithmic: true, smoothing: nil)
        #expect(curve.runs.map(\.values) == [[1], [2]])
    }

    @Test(arguments: [false, true])
    func onePointIsADot(isLogarithmic: Bool) throws {
        let image = try LossCurve(
            series: [.init("x", [.init(step: 7, value: 3)])], isLogarithmic: isLogarithmic
        ).image()
        #expect((15...60).contains(image.count(of: blue) - legendCount))
    }

    @Test(arguments: [false, true])
    func nothingToDrawIsAImage(isLogarithmic: Bool) throws {
        for series in [[], [series(0) { _ in 0 }], [series(3) { _ in .nan }]] {
            let image = try LossCurve(
                title: "empty", series: series, isLogarithmic: isLogarithmic
            ).image()
            #expect(image.size == ImageSize(width: 960, height: 540))
            #expect(image.inkCount > 100, "there are a title and axes")
            #expect(image.count(of: blue) == (series.isEmpty ? 0 : legendCount))
        }
    }

    @Test(arguments: [
        (0.0, 0.0), (1e-99, 1e99), (-1e99, 1e99), (-1e-300, 1e-300), (1e17, 1e17 + 32),
        (-3.0, -3.0),
    ])
    func extremesAreDrawn(low: Double, high: Double) throws {
        let size = ImageSize(width: 200, height: 120)
        for isLogarithmic in [false, true] {
            _ = try LossCurve(
                series: [series(100) { $0 % 2 == 0 ? low : high }], isLogarithmic: isLogarithmic
            ).image(size: size)
        }
        let steps = [Int.min, -1, 0, Int.max].map { LossCurve.Point(step: $0, value: 1) }
        _ = try LossCurve(series: [.init("steps", steps)]).image(size: size)
        _ = try LossCurve(series: [.init("steps", steps)]).image(
            size: ImageSize(width: 3, height: 3))
    }

    @Test func theOrderOfPointsDoesNotMatter() throws {
        let sorted = series(50) { Double($0 * $0) }
        let mixed = LossCurve.Series("loss", sorted.points.reversed())
        #expect(
            try LossCurve(series: [sorted]).image() == LossCurve(series: [mixed]).image())
    }

    @Test func impossibleSizesAreRefused() {
        let error = #expect(throws: WuerstchenError.self) {
            try LossCurve().image(size: ImageSize(width: 0, height: 100))
        }
        #expect(error?.code == .invalidRequest)
    }
}

@Suite struct AxisScaleTests {
    private func labels(
        _ values: [Double], isLogarithmic: Bool = false, wholeNumbers: Bool = false
    ) -> [String] {
        AxisScale(showing: values, isLogarithmic: isLogarithmic, padding: 0)
            .ticks(about: 5, wholeNumbers: wholeNumbers).map(\.label)
    }

    @Test func ticksAreRoundNumbers() {
        #expect(labels([0, 1]) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
        #expect(labels([-0.1, 0.1]) == ["-0.10", "-0.05", "0.00", "0.05", "0.10"])
        #expect(labels([0, 40_000]) == ["0", "10k", "20k", "30k", "40k"])
        #expect(labels([100, 2600]) == ["500", "1k", "1.5k", "2k", "2.5k"])
        #expect(labels([0, 2], wholeNumbers: true) == ["0", "1", "2"])
        #expect(labels([1e-9, 3e-9]).allSatisfy { $0.hasSuffix("e-09") })
    }

    @Test func logarithmicTicksArePowers() {
        #expect(
            labels([1e-4, 10], isLogarithmic: true)
                == ["0.0001", "0.001", "0.01", "0.1", "1", "10"])
        #expect(labels([0.1, 1], isLogarithmic: true) == ["0.1", "0.2", "0.5", "1"])
        #expect(labels([0.51, 0.56], isLogarithmic: true).count >= 3, "too few powers")
        #expect(labels([1e-30, 1e30], isLogarithmic: true).count < 12)
    }

    @Test func placesRunFromEndToEnd() {
        let scale = AxisScale(showing: [2, 6], padding: 0)
        #expect([2, 4, 6].map(scale.place) == [0, 0.5, 1])
        #expect(AxisScale(showing: [5], padding: 0).place(of: 5) == 0.5)
        #expect(AxisScale(showing: [0], padding: 0).place(of: 0) == 0.5)
    }
}

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
