import Foundation
import Testing

@testable import WuerstchenTraining

@Suite struct LineChartTests {
    private func series(_ count: Int, _ value: (Int) -> Double) -> LineChart.Series {
        LineChart.Series(name: "loss", points: (0..<count).map { ($0, value($0)) })
    }

    /// The points of each line, in the order they are drawn, with the line's style.
    private func lines(_ chart: LineChart) -> [(style: String, points: [(x: Double, y: Double)])] {
        chart.html.components(separatedBy: "<polyline class=\"").dropFirst().map { part in
            let fields = part.components(separatedBy: "\"")
            let points = fields[2].split(separator: " ").map { point in
                let numbers = point.split(separator: ",").compactMap { Double($0) }
                return (x: numbers[0], y: numbers[1])
            }
            return (fields[0], points)
        }
    }

    @Test func aFallingLossGoesDownInAStraightLine() throws {
        let chart = LineChart([series(30) { 10 - Double($0) / 5 }])
        #expect(!chart.isLogarithmic)
        let points = try #require(lines(chart).first).points
        #expect(points.count == 30)
        #expect(zip(points, points.dropFirst()).allSatisfy { $0.x < $1.x && $0.y < $1.y })
        #expect(abs(points[0].y + points[20].y - 2 * points[10].y) < 0.3)
    }

    @Test func exponentialsAreStraightOnALogarithmicAxis() throws {
        let chart = LineChart([series(400) { exp(-Double($0) / 50) }])
        #expect(chart.isLogarithmic)
        let points = try #require(lines(chart).last).points
        let middle = points.count / 2
        #expect(abs(points[middle - 50].y + points[middle + 50].y - 2 * points[middle].y) < 2)
        #expect(!LineChart([series(400) { exp(-Double($0) / 50) - 0.5 }]).isLogarithmic)
    }

    @Test func theTrendLiesOverFaintValues() throws {
        let drawn = lines(LineChart([series(2000) { 1 + ($0 % 2 == 0 ? 0.5 : -0.5) }]))
        #expect(drawn.map(\.style) == ["s0 raw", "s0"])
        let (raw, trend) = (drawn[0].points, drawn[1].points)
        let (low, high) = (try #require(raw.map(\.y).max()), try #require(raw.map(\.y).min()))
        // The trend of an alternation is its middle.
        #expect(trend[500...1000].allSatisfy { abs($0.y - (low + high) / 2) < 20 })
    }

    @Test func manyValuesMakeAPageNoLarger() {
        #expect(LineChart([series(100_000) { sin(Double($0)) }]).html.utf8.count < 200_000)
    }

    @Test func valuesThatAreNotFiniteLeaveAGap() {
        for bad in [Double.nan, .infinity, -.infinity, 1e300] {
            let chart = LineChart([series(31) { (10..<20).contains($0) ? bad : 1 + Double($0) }])
            #expect(lines(chart).map(\.points.count) == [10, 11])
            #expect(chart.html.contains("loss 31 (10 not shown)"))
            #expect(
                lines(chart).flatMap(\.points).allSatisfy { $0.x.isFinite && $0.y.isFinite })
        }
    }

    @Test func onePointIsADot() {
        let chart = LineChart([LineChart.Series(name: "x", points: [(7, 3)])])
        #expect(lines(chart).map(\.points.count) == [2])
    }

    @Test func seriesHaveColoursAndNamesOfTheirOwn() {
        let names = ["a < b", "second"]
        let chart = LineChart(names.map { LineChart.Series(name: $0, points: [(0, 1), (1, 2)]) })
        #expect(lines(chart).map(\.style) == ["s0", "s1"])
        #expect(chart.html.contains("</i>a &lt; b 2</span>"))
        #expect(chart.html.contains("</i>second 2</span>"))
    }

    @Test(arguments: [
        (0.0, 0.0), (1e-99, 1e99), (-1e99, 1e99), (-1e-300, 1e-300), (1e17, 1e17 + 32),
        (-3.0, -3.0),
    ])
    func extremesAreDrawnWithinReach(low: Double, high: Double) {
        for points in [
            (0..<100).map { ($0, $0 % 2 == 0 ? low : high) },
            [Int.min, -1, 0, Int.max].map { ($0, low) },
        ] {
            let drawn = lines(LineChart([LineChart.Series(name: "x", points: points)]))
            #expect(drawn.count == 1 || points.count == 100)
            #expect(drawn.flatMap(\.points).allSatisfy { abs($0.x) < 5000 && abs($0.y) < 5000 })
        }
        #expect(lines(LineChart([])).isEmpty && lines(LineChart([series(0) { _ in 0 }])).isEmpty)
    }

    @Test func theOrderOfPointsDoesNotMatter() {
        let sorted = series(50) { Double($0 * $0) }
        let mixed = LineChart.Series(name: "loss", points: sorted.points.reversed())
        #expect(LineChart([sorted]).html == LineChart([mixed]).html)
    }
}

@Suite struct RunReportTests {
    private func page(_ entries: [MetricsLog.Entry], name: String = "x") throws -> String {
        try RunReport(
            name: name, steps: 10, settings: [("rate", "<1>")], entries: entries
        ).page().document
    }

    @Test func theLatestStepIsATable() throws {
        let text = try page([
            .init(step: 1, loss: 2, metrics: ["psnr": 20]),
            .init(step: 4, loss: 1.5, metrics: ["psnr": 21.5, "validation": 1.75]),
        ])
        #expect(text.contains("Step 4 of 10"))
        #expect(text.contains("<th>loss</th><td>1.5</td>"))
        #expect(text.contains("<th>psnr</th><td>21.5</td>"))
        #expect(text.contains("<th>validation</th><td>1.75</td>"))
        #expect(text.components(separatedBy: "<svg viewBox").count == 3, "losses and psnr")
    }

    @Test func textIsEscaped() throws {
        let text = try page(
            [.init(step: 1, loss: 2, metrics: ["<b>": 1])], name: "<script>alert('1')</script>")
        #expect(!text.contains("<script") && !text.contains("<b>") && !text.contains("<1>"))
        #expect(text.contains("<title>Training of &lt;script&gt;alert(&#39;1&#39;)"))
    }

    @Test func aRunWithoutStepsHasAPage() throws {
        let text = try page([])
        #expect(text.contains("<h2>Settings</h2>") && !text.contains("<h2>Loss</h2>"))
    }
}
