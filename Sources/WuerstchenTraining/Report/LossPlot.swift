import Foundation

/// A series made ready to be drawn.
struct Curve {
    /// A run of values without a gap.
    struct Run {
        let steps: [Double]
        let values: [Double]
        /// The trend at each value; nil where the values are few enough to be it themselves.
        let trend: [Double]?
    }

    let label: String
    let ink: Ink
    let runs: [Run]

    init(_ series: LossCurve.Series, ink: Ink, isLogarithmic: Bool, smoothing: Int?) {
        let points = series.points.sorted { $0.step < $1.step }
        // Sums of larger values might overflow; nobody can read them from an axis anyway.
        let isShown = { (value: Double) in
            abs(value) < 1e100 && (!isLogarithmic || value > 1e-100)
        }
        let shownCount = points.count { isShown($0.value) }
        let reach = Double(smoothing ?? shownCount / 40) / 2
        runs = points.split { !isShown($0.value) }.map { run in
            let values = run.map(\.value)
            // On a logarithmic axis the trend goes through the middle of what one sees.
            let places = isLogarithmic ? values.map { log($0) } : values
            let trend = smoothed(places, reach: reach, first: run.startIndex)
                .map { isLogarithmic ? exp($0) : $0 }
            return Run(
                steps: run.map { Double($0.step) }, values: values,
                trend: reach > 0 ? trend : nil)
        }
        self.ink = ink

        var label = series.name
        if let last = runs.last.flatMap({ ($0.trend ?? $0.values).last }) {
            label += String(format: " %.3g", last)
        }
        let missing = points.count - shownCount
        if missing > 0 { label += " (\(missing) not shown)" }
        self.label = label
    }

    /// The values that the axis must show: all of the trend, and of the raw values all but the
    /// highest and lowest few, so that one outlier does not flatten the rest.
    var important: [Double] {
        let raw = runs.flatMap(\.values).sorted()
        guard runs.contains(where: { $0.trend != nil }) else { return raw }
        let cut = raw.count / 100
        return runs.flatMap { $0.trend ?? [] } + raw.dropFirst(cut).dropLast(cut)
    }
}

/// The axes, the curves between them, and the legend.
struct LossPlot {
    let title: String
    let curves: [Curve]
    let isLogarithmic: Bool

    private static let margin = 16

    func draw(on canvas: inout Canvas) {
        let margin = Self.margin
        let horizontal = AxisScale(
            showing: curves.flatMap { $0.runs.flatMap(\.steps) }, padding: 0)
        let vertical = AxisScale(
            showing: curves.flatMap(\.important), isLogarithmic: isLogarithmic, padding: 0.04)

        let top = margin + (title.isEmpty ? 0 : TextSize.large.lineHeight + 8)
        let bottom = canvas.height - margin - TextSize.large.lineHeight - 8
        let levels = vertical.ticks(about: max(2, (bottom - top) / 70))
        let labelWidth = levels.map { TextSize.large.width(of: $0.label) }.max() ?? 0
        let left = margin + labelWidth + 10
        let plot = Area(
            x: left, y: top, width: max(1, canvas.width - margin - left),
            height: max(1, bottom - top))
        let steps = horizontal.ticks(about: max(2, plot.width / 110), wholeNumbers: true)

        if !title.isEmpty { canvas.text(title, x: left, y: margin, .large, .text) }
        for level in levels {
            let y = plot.y + Int(place(vertical.place(of: level.value), in: plot.height, up: true))
            canvas.fill(Area(x: plot.x, y: y, width: plot.width, height: 1), .rule)
            canvas.text(
                level.label, x: left - 10, y: y - TextSize.large.capitalHeight / 2, .large,
                .faintText, .right)
        }
        for step in steps {
            let x = plot.x + Int(place(horizontal.place(of: step.value), in: plot.width))
            canvas.fill(Area(x: x, y: plot.y, width: 1, height: plot.height), .rule)
            // A number at the edge moves inwards rather than lose a digit.
            let half = TextSize.large.width(of: step.label) / 2
            canvas.text(
                step.label, x: min(x, canvas.width - margin / 2 - half), y: plot.maxY + 10,
                .large, .faintText, .center)
        }
        var drawn: [(x: Double, y: Double)] = []
        for curve in curves {
            drawn += draw(curve, horizontal, vertical, in: plot, on: &canvas)
        }
        canvas.frame(plot, .frame)
        drawLegend(in: plot, avoiding: drawn, on: &canvas)
    }

    /// A place from 0 to 1 as pixels. Values far outside stay near enough to be numbers.
    private func place(_ fraction: Double, in length: Int, up: Bool = false) -> Double {
        min(max(up ? 1 - fraction : fraction, -100), 100) * Double(length - 1)
    }

    /// Draws a curve; returns the points of its bold line.
    private func draw(
        _ curve: Curve, _ horizontal: AxisScale, _ vertical: AxisScale, in plot: Area,
        on canvas: inout Canvas
    ) -> [(x: Double, y: Double)] {
        func points(_ steps: [Double], _ values: [Double]) -> [(x: Double, y: Double)] {
            let points = zip(steps, values).map { step, value in
                (
                    x: Double(plot.x) + place(horizontal.place(of: step), in: plot.width) + 0.5,
                    y: Double(plot.y)
                        + place(vertical.place(of: value), in: plot.height, up: true) + 0.5
                )
            }
            return thinned(points)
        }
        return curve.runs.flatMap { run in
            let raw = points(run.steps, run.values)
            guard let trend = run.trend.map({ points(run.steps, $0) }) else {
                canvas.stroke(raw, width: raw.count == 1 ? 7 : 2.6, curve.ink, within: plot)
                return raw
            }
            canvas.stroke(raw, width: 1.2, curve.ink, opacity: 0.25, within: plot)
            canvas.stroke(trend, width: 2.6, curve.ink, within: plot)
            return trend
        }
    }

    /// Of the points in each column of pixels the first, the lowest, the highest and the last:
    /// the line through them looks the same and is drawn sooner.
    private func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
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

    /// What the colours mean, in the corner where the least is drawn: the one that falling losses
    /// leave free, if there is a choice.
    private func drawLegend(
        in plot: Area, avoiding points: [(x: Double, y: Double)], on canvas: inout Canvas
    ) {
        guard let widest = curves.map({ TextSize.large.width(of: $0.label) }).max() else { return }
        let lineHeight = TextSize.large.lineHeight
        let (width, height) = (widest + 48, curves.count * lineHeight + 8)
        let (left, right) = (plot.x + 12, plot.maxX - 12 - width)
        let (top, bottom) = (plot.y + 12, plot.maxY - 12 - height)
        let corners = [(right, top), (right, bottom), (left, top), (left, bottom)].map {
            Area(x: $0, y: $1, width: width, height: height)
        }
        func covered(_ area: Area) -> Int {
            points.count {
                (Double(area.x)...Double(area.maxX)).contains($0.x)
                    && (Double(area.y)...Double(area.maxY)).contains($0.y)
            }
        }
        guard let box = corners.min(by: { covered($0) < covered($1) }) else { return }
        canvas.fill(box, .paper, opacity: 0.85)
        for (number, curve) in curves.enumerated() {
            let y = box.y + 8 + number * lineHeight
            canvas.fill(
                Area(x: box.x + 8, y: y + 5, width: 22, height: 4), curve.ink)
            canvas.text(curve.label, x: box.x + 38, y: y, .large, .text)
        }
    }
}
