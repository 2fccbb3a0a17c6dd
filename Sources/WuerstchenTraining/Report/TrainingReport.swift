/// How far a training is and how it is going.
public struct TrainingReport: Sendable, Hashable {
    /// A measured value with its name.
    public struct Metric: Sendable, Hashable {
        /// What was measured, such as "psnr".
        public var name: String
        /// What came out; any number, also one that is not finite.
        public var value: Double

        /// A measured value.
        public init(_ name: String, _ value: Double) {
            self.name = name
            self.value = value
        }
    }

    /// How many steps have been made.
    public var step: Int
    /// How many steps there will be.
    public var total: Int
    /// The loss of this step.
    public var loss: Double
    /// What else was measured, in the order to show it in.
    public var metrics: [Metric]
    /// How many images are learnt from in a second; nil where that is not known yet.
    public var imagesPerSecond: Double?
    /// How long the other steps will take; nil where that is not known yet.
    public var timeLeft: Duration?

    /// A report.
    public init(
        step: Int, total: Int, loss: Double, metrics: [Metric] = [],
        imagesPerSecond: Double? = nil, timeLeft: Duration? = nil
    ) {
        self.step = step
        self.total = total
        self.loss = loss
        self.metrics = metrics
        self.imagesPerSecond = imagesPerSecond
        self.timeLeft = timeLeft
    }
}
