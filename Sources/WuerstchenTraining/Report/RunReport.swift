import Foundation
import TensorCore

/// The page about a training run: the curves of its log, its latest numbers, images of what it
/// makes, and its settings.
struct RunReport {
    /// What is trained.
    var name: String
    /// How many steps there will be.
    var steps: Int
    /// Settings to list, by name.
    var settings: [(name: String, value: String)]
    /// The run's log.
    var entries: [MetricsLog.Entry]
    /// What the run makes; nil where there is nothing to see.
    var sheet: ContactSheet?
    /// What a person should know of the numbers.
    var warnings: [String] = []

    /// The page.
    ///
    /// - Throws: `WuerstchenError` when an image cannot be encoded.
    func page() throws -> HTMLPage {
        let latest = entries.last
        var parts: [String] = []
        if let latest {
            parts.append(
                "<p>Step \(latest.step) of \(steps)</p>\n"
                    + "<progress max=\"\(steps)\" value=\"\(latest.step)\"></progress>")
        }
        parts += warnings.map { "<p><strong>\($0.escapedForHTML)</strong></p>" }
        let losses = [series("loss"), series("validation")].filter { !$0.points.isEmpty }
        if !losses.isEmpty { parts.append("<h2>Loss</h2>\n" + LineChart(losses).html) }
        if let sheet {
            parts.append("<h2>\(sheet.title.escapedForHTML)</h2>\n" + (try sheet.html()))
        }
        let others = Set(entries.flatMap(\.metrics.keys)).subtracting(["validation"]).sorted()
            .map(series).filter { $0.points.count > 1 }
        if !others.isEmpty {
            let charts = others.map { LineChart([$0], width: 380, height: 180).html }
            parts.append(
                "<h2>Metrics</h2>\n<div class=\"charts\">\n" + charts.joined(separator: "\n")
                    + "\n</div>")
        }
        parts.append("<div class=\"columns\">")
        if let latest {
            parts.append(
                "<section><h2>Latest step</h2>\n" + HTMLPage.table(Self.rows(latest))
                    + "</section>")
        }
        parts.append("<section><h2>Settings</h2>\n" + HTMLPage.table(settings) + "</section>")
        parts.append("</div>")
        return HTMLPage(title: "Training of \(name)", body: parts.joined(separator: "\n"))
    }

    /// The values over the steps: "loss" or the name of a metric.
    private func series(_ metric: String) -> LineChart.Series {
        LineChart.Series(
            name: metric,
            points: entries.compactMap { entry in
                let value = metric == "loss" ? entry.loss : entry.metrics[metric]
                return value.map { (entry.step, $0) }
            })
    }

    private static func rows(_ entry: MetricsLog.Entry) -> [(name: String, value: String)] {
        func text(_ value: Double) -> String { String(format: "%.5g", value) }
        var rows = [("step", "\(entry.step)"), ("loss", text(entry.loss))]
        rows += entry.metrics.sorted { $0.key < $1.key }.map { ($0.key, text($0.value)) }
        if let speed = entry.imagesPerSecond { rows.append(("images per second", text(speed))) }
        return rows
    }

    /// Settings in words, in the order of their names.
    static func settings(_ settings: TrainingSettings) -> [(name: String, value: String)] {
        settings.values.sorted { $0.key < $1.key }.map {
            (TrainingSettings.words($0.key), $0.value.description)
        }
    }
}
