public import Foundation
public import Wuerstchen

/// Losses or other values over the steps of a training, as an image.
///
/// Each series is a line of its trend over its faint raw values. Values that are not finite, and on
/// a logarithmic axis those not above zero, leave a gap; the legend counts them.
public struct LossCurve: Sendable {
    /// A value at a step.
    public struct Point: Sendable, Hashable {
        /// The training step.
        public var step: Int
        /// The value; any, also one that is not finite.
        public var value: Double

        /// A value at a step.
        public init(step: Int, value: Double) {
            self.step = step
            self.value = value
        }
    }

    /// Values with a name.
    public struct Series: Sendable, Hashable {
        /// What the legend calls them.
        public var name: String
        /// The values, in any order.
        public var points: [Point]

        /// Values with a name.
        public init(_ name: String, _ points: [Point]) {
            self.name = name
            self.points = points
        }
    }

    /// What stands above everything; empty for nothing.
    public var title: String
    /// What is drawn, the first below the others.
    public var series: [Series]
    /// Whether the values have a logarithmic axis.
    public var isLogarithmic: Bool
    /// How many neighbouring values the trend averages over, about; nil for a fortieth of them,
    /// and 0 to draw the values alone.
    public var smoothing: Int?

    /// A curve of some series.
    ///
    /// - Parameters:
    ///   - title: What stands above everything.
    ///   - series: What is drawn.
    ///   - isLogarithmic: Whether the values have a logarithmic axis.
    ///   - smoothing: How many neighbouring values the trend averages over; nil to choose.
    public init(
        title: String = "", series: [Series] = [], isLogarithmic: Bool = false,
        smoothing: Int? = nil
    ) {
        self.title = title
        self.series = series
        self.isLogarithmic = isLogarithmic
        self.smoothing = smoothing
    }

    /// The curves as an image.
    ///
    /// - Parameter size: The size of the image, in pixels; at least 320 × 200 to be readable.
    /// - Returns: The image.
    /// - Throws: ``WuerstchenError`` when an image cannot have the size.
    public func image(
        size: ImageSize = ImageSize(width: 960, height: 540)
    ) throws -> Image {
        var canvas = try Canvas(width: size.width, height: size.height)
        let curves = series.enumerated().map { number, series in
            Curve(
                series, ink: Ink.series[number % Ink.series.count], isLogarithmic: isLogarithmic,
                smoothing: smoothing)
        }
        LossPlot(title: title, curves: curves, isLogarithmic: isLogarithmic).draw(on: &canvas)
        return try canvas.image()
    }

    /// Writes the curves as a PNG file, whole or not at all.
    ///
    /// - Parameters:
    ///   - url: Where the file goes, in a folder that exists.
    ///   - size: The size of the image, in pixels.
    /// - Throws: The errors of ``image(size:)`` and of `Image.write(to:text:)`.
    public func write(
        to url: URL, size: ImageSize = ImageSize(width: 960, height: 540)
    ) throws {
        try image(size: size).write(to: url)
    }
}
