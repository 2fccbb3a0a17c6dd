extension FeatureAdversary {
    /// The metric of the discriminator's loss on both sides together.
    public var lossName: String { "adversary" }
    /// The metric of the share of the teacher's latents that it recognises.
    public var realName: String { "adversary, real recognised" }
    /// The metric of the share of the student's latents that it recognises.
    public var fakeName: String { "adversary, fake recognised" }
    /// The metric of the length of the gradient that the student learns from.
    public var gradientName: String { "adversary, gradient" }

    /// Whether student and discriminator have stopped to teach each other anything, by the latest
    /// entries of a log, all of which must show it.
    public func warnings(_ log: [MetricsLog.Entry]) -> [String] {
        let latest = log.suffix(5).map(\.metrics).filter { $0[lossName] != nil }
        guard latest.count == 5 else { return [] }
        func all(_ name: String, _ isMet: (Double) -> Bool) -> Bool {
            latest.allSatisfy { $0[name].map(isMet) ?? false }
        }
        if all(lossName, { $0 < 0.1 }) {
            return [
                "the discriminator has won: its loss stays below 0.1, and the student learns nothing from "
                    + "it any more. Train anew with a lower rate, or a lower one of the discriminator"
            ]
        }
        for (name, other, word) in [
            (realName, fakeName, "the teacher's"), (fakeName, realName, "the student's"),
        ] where all(name, { $0 > 0.98 }) && all(other, { $0 < 0.02 }) {
            return [
                "the discriminator has collapsed: it takes all latents for \(word). Train anew with a "
                    + "lower rate"
            ]
        }
        if all(gradientName, { $0 < 1e-9 }) {
            return [
                "the discriminator has gone flat: its gradient has vanished, and the student learns from "
                    + "its error alone. Train anew with a lower rate"
            ]
        }
        return []
    }
}
