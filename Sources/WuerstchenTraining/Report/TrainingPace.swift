/// How fast a training is, from the times of its latest steps.
public struct TrainingPace: Sendable {
    private var last: ContinuousClock.Instant
    /// Sums over steps of their seconds, images and number, the older the lighter.
    private var seconds = 0.0
    private var images = 0.0
    private var steps = 0.0

    /// After a few dozen steps a change of speed shows.
    private static let decay = 0.95

    /// A pace that is measured from now on.
    public init(from start: ContinuousClock.Instant = .now) {
        last = start
    }

    /// Counts a step that has ended. Steps after an interruption, such as a validation, are counted
    /// right when ``skip(to:)`` is called at its end.
    ///
    /// - Parameters:
    ///   - images: How many images the step learnt from.
    ///   - now: When it ended.
    public mutating func countStep(images: Int, at now: ContinuousClock.Instant = .now) {
        seconds = seconds * Self.decay + (now - last).seconds
        self.images = self.images * Self.decay + Double(images)
        steps = steps * Self.decay + 1
        last = now
    }

    /// Leaves the time since the last step out of account.
    public mutating func skip(to now: ContinuousClock.Instant = .now) {
        last = now
    }

    /// How many images are learnt from in a second; nil before the first step.
    public var imagesPerSecond: Double? {
        seconds > 0 ? images / seconds : nil
    }

    /// How long some steps will take; nil before the first step.
    public func time(for count: Int) -> Duration? {
        steps > 0 ? .seconds(seconds / steps * Double(max(0, count))) : nil
    }
}

extension Duration {
    /// The duration as a number of seconds.
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
