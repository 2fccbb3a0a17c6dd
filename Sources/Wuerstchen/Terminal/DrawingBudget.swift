/// How often something is drawn that must not hold up the work: so rarely that it takes no more
/// than a share of the time, however long it takes.
public struct DrawingBudget: Sendable {
    /// The share of the time that may be spent.
    public let share: Double
    /// The least time from one drawing to the next.
    public let interval: Duration
    private var spent = Duration.zero
    private var last: Duration?

    /// A budget.
    ///
    /// - Parameters:
    ///   - share: The share of the time that may be spent.
    ///   - interval: The least time from one drawing to the next.
    public init(share: Double = 0.005, interval: Duration = .milliseconds(200)) {
        self.share = share
        self.interval = interval
    }

    /// Whether it is time to draw.
    ///
    /// - Parameter now: The time since the work began.
    /// - Returns: Whether it is; the first time it always is.
    public func allowsDrawing(at now: Duration) -> Bool {
        guard let last else { return true }
        return now - last >= interval && spent <= now * share
    }

    /// Notes a drawing.
    ///
    /// - Parameters:
    ///   - begin: When it began, since the work began.
    ///   - end: When it ended.
    public mutating func note(from begin: Duration, to end: Duration) {
        spent += end - begin
        last = begin
    }
}
