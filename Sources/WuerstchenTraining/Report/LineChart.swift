import Foundation

/// Values over the steps of a training, as an SVG element with a legend.
///
/// Each series is a line of its trend over its faint raw values. Values that are not finite leave a
/// gap; the legend counts them.
struct LineChart {
    /// Values with a name.
    struct Series {
        let name: String
        /// The values, in any order.
        let points: [(step: Int, value: Double)]
    }

    /// A series made ready to be drawn.
    private struct Curve {
        let label: String
        let runs: [Run]
    }

    /// Values without a gap.
    private struct Run {
        let steps: [Double]
        let values: [Double]
        /// The trend at each value; nil where the values are few enough to be it themselves.
        let trend: [Double]?
    }

    /// Whether equal ratios get equal room.
    let isLogarithmic: Bool
    private let curves: [Curve]
    private let width: Double
    private let height: Double

    /// A chart of some series, with a logarithmic axis where their values fall by a large factor.
    ///
    /// - Parameters:
    ///   - series: What is drawn, the first below the others.
    ///   - width: The width that the text is sized for, in CSS pixels.
    ///   - height: The height, in the same unit.
    init(_ series: [Series], width: Double = 1100, height: Double = 380) {
        let values = series.flatMap { $0.points.map(\.value) }.filter(Self.isShown).sorted()
        // One outlier does not decide, nor does a single zero among losses that are none.
        let cut = values.count / 50
        let low = values.dropFirst(cut).first ?? 0
        let high = values.dropLast(cut).last ?? 0
        let isLogarithmic = low > 0 && high > 5 * low && (values.first ?? 0) > 0
        self.isLogarithmic = isLogarithmic
        curves = series.map { Self.curve($0, isLogarithmic: isLogarithmic) }
        self.width = width
        self.height = height
    }

    /// Sums of larger values might overflow; nobody can read them from an axis anyway.
    private static func isShown(_ value: Double) -> Bool { abs(value) < 1e100 }

    private static func curve(_ series: Series, isLogarithmic: Bool) -> Curve {
        let points = series.points.sorted { $0.step < $1.step }
        let shownCount = points.count { isShown($0.value) }
        let reach = Double(shownCount / 40) / 2
        let runs = points.split { !isShown($0.value) }.map { run in
            let values = run.map(\.value)
            // On a logarithmic axis the trend goes through the middle of what one sees.
            let places = isLogarithmic ? values.map { log($0) } : values
            let trend = smoothed(places, reach: reach, first: run.startIndex)
                .map { isLogarithmic ? exp($0) : $0 }
            return Run(
                steps: run.map { Double($0.step) }, values: values,
                trend: reach > 0 ? trend : nil)
        }
        var label = series.name
        if let last = runs.last.flatMap({ ($0.trend ?? $0.values).last }) {
            label += String(format: " %.4g", last)
        }
        let missing = points.count - shownCount
        if missing > 0 { label += " (\(missing) not shown)" }
        return Curve(label: label, runs: runs)
    }

    /// The chart as HTML.
    var html: String {
        let legend = curves.enumerated().map { number, curve in
            "<span><i class=\"s\(number % 2)\"></i>\(curve.label.escapedForHTML)</span>"
        }.joined(separator: "\n")
        return """
            <figure class="chart">
            <figcaption>
            \(legend)
            </figcaption>
            \(svg)
            </figure>
            """
    }

    private var svg: String {
        let horizontal = AxisScale(
            showing: curves.flatMap { $0.runs.flatMap(\.steps) }, padding: 0)
        let vertical = AxisScale(
            showing: curves.flatMap(important), isLogarithmic: isLogarithmic, padding: 0.04)
        let levels = vertical.ticks(about: max(2, Int(height / 70)))
        let (top, bottom, right) = (10.0, height - 28, width - 14)
        let left = 12 + 7.5 * Double(levels.map(\.label.count).max() ?? 0)
        func x(_ step: Double) -> Double {
            left + min(max(horizontal.place(of: step), -1), 2) * (right - left)
        }
        func y(_ value: Double) -> Double {
            bottom - min(max(vertical.place(of: value), -1), 2) * (bottom - top)
        }
        func polyline(_ steps: [Double], _ values: [Double], _ style: String) -> String {
            let points = Self.thinned(zip(steps, values).map { (x: x($0), y: y($1)) })
            // A line of no length is drawn as a dot by its round ends.
            let drawn = points.count == 1 ? points + points : points
            let places = drawn.map { String(format: "%.1f,%.1f", $0.x, $0.y) }
            return "<polyline class=\"\(style)\" points=\"\(places.joined(separator: " "))\"/>"
        }
        var parts: [String] = []
        for level in levels {
            let place = String(format: "%.1f", y(level.value))
            parts.append(
                "<line x1=\"\(left)\" x2=\"\(right)\" y1=\"\(place)\" y2=\"\(place)\"/>"
                    + "<text x=\"\(left - 8)\" y=\"\(place)\" text-anchor=\"end\" "
                    + "dominant-baseline=\"middle\">\(level.label)</text>")
        }
        for step in horizontal.ticks(about: max(2, Int(width / 110)), wholeNumbers: true) {
            parts.append(
                "<text x=\"\(String(format: "%.1f", x(step.value)))\" y=\"\(height - 8)\" "
                    + "text-anchor=\"middle\">\(step.label)</text>")
        }
        // An outlier may leave the axes, but not the frame.
        parts.append("<svg y=\"0\" width=\"\(width)\" height=\"\(bottom + 2)\">")
        for (number, curve) in curves.enumerated() {
            for run in curve.runs {
                let style = "s\(number % 2)"
                parts.append(
                    polyline(run.steps, run.values, run.trend == nil ? style : style + " raw"))
                if let trend = run.trend { parts.append(polyline(run.steps, trend, style)) }
            }
        }
        parts.append("</svg>")
        let names = curves.map(\.label).joined(separator: ", ").escapedForHTML
        return "<svg viewBox=\"0 0 \(width) \(height)\" role=\"img\" aria-label=\"\(names)\">\n"
            + parts.joined(separator: "\n") + "\n</svg>"
    }

    /// The values that the axis must show: all of the trend, and of the raw values all but the
    /// highest and lowest few, so that one outlier does not flatten the rest.
    private func important(_ curve: Curve) -> [Double] {
        let raw = curve.runs.flatMap(\.values).sorted()
        guard curve.runs.contains(where: { $0.trend != nil }) else { return raw }
        let cut = raw.count / 100
        return curve.runs.flatMap { $0.trend ?? [] } + raw.dropFirst(cut).dropLast(cut)
    }

    /// Of the points in each column of pixels the first, the lowest, the highest and the last:
    /// the line through them looks the same, and the page stays small.
    private static func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        var kept: [(x: Double, y: Double)] = []
        var start = 0
        while start < points.count {
            let column = points[start].x.rounded(.down)
            let end = points[start...].firstIndex { $0.x.rounded(.down) != column } ?? points.count
            let range = start..<end
            let low = range.min { points[$0].y < points[$1].y } ?? start
            let high = range.max { points[$0].y < points[$1].y } ?? start
            kept += Set([start, low, high, end - 1]).sorted().map { points[$0] }
            start = end
        }
        return kept
    }
}
