/// How the time for training a cascade is divided among its pieces.
///
/// It begins with measured speeds. Before each piece, what is left of the time is divided anew
/// among those to come, by how fast those before really were: looks at samples and other work on
/// the machine take their share. The steps of a piece are settled when it begins and stay.
public struct CascadeSchedule: Sendable, Hashable, Codable {
    /// What is known of a piece.
    public struct Entry: Sendable, Hashable, Codable {
        /// Seconds of a step, as measured before anything was trained; nil where nothing was.
        public var secondsPerStep: Double?
        /// The steps: settled when the piece has begun, and otherwise what is expected.
        public var steps: Int
        /// Whether the piece has begun.
        public var isBegun = false
        /// Whether the piece is done.
        public var isDone = false
        /// Seconds that it has taken so far.
        public var seconds = 0.0
        /// Bytes of memory that a step needs; nil where that was not found out.
        public var memory: Int?

        /// What is expected of the piece as a whole, at the measured speed.
        var expected: Double? { secondsPerStep.map { $0 * Double(steps) } }
    }

    /// The seconds that there are in all; nil to take as many steps as the recipe does.
    public private(set) var limit: Double?
    /// The pieces.
    public private(set) var entries: [CascadePiece: Entry]
    /// Seconds that everything else is expected to take, such as making latents and samples.
    public private(set) var otherExpected: Double
    /// Seconds that it has taken so far.
    public private(set) var otherSeconds = 0.0

    /// A piece takes at least so many steps.
    static let fewestSteps = 8

    /// A schedule before training begins.
    ///
    /// - Parameters:
    ///   - limit: The seconds that there are in all; nil to take as many steps as the recipe does.
    ///   - pieces: What is trained, with the measured seconds of a step; nil for what was not
    ///     measured.
    ///   - other: The seconds that everything else is expected to take.
    public init(limit: Double?, pieces: [CascadePiece: Double?], other: Double = 0) {
        self.limit = limit
        otherExpected = other
        entries = pieces.reduce(into: [:]) { entries, piece in
            entries[piece.key] = Entry(
                secondsPerStep: piece.value, steps: piece.key.options.steps)
        }
        divide()
    }

    /// Notes the memory that steps of a piece need.
    mutating func note(memory: Int, of piece: CascadePiece) { entries[piece]?.memory = memory }

    /// The pieces in their order.
    public var pieces: [CascadePiece] { CascadePiece.allCases.filter { entries[$0] != nil } }

    /// How much slower than measured the pieces so far were.
    public var slowdown: Double {
        let done = entries.values.filter { $0.isDone && $0.expected != nil }
        let expected = done.reduce(0) { $0 + ($1.expected ?? 0) }
        return expected > 0 ? done.reduce(0) { $0 + $1.seconds } / expected : 1
    }

    /// The seconds that a piece takes in all; nil where nothing was measured.
    public func seconds(of piece: CascadePiece) -> Double? {
        guard let entry = entries[piece] else { return nil }
        return entry.isDone ? entry.seconds : entry.expected.map { $0 * slowdown }
    }

    /// The seconds until everything is done; nil where nothing was measured.
    public var secondsLeft: Double? {
        let left = pieces.map { piece -> Double? in
            guard let entry = entries[piece], !entry.isDone else { return 0 }
            return seconds(of: piece).map { max(0, $0 - entry.seconds) }
        }
        guard !left.contains(nil) else { return nil }
        return left.compactMap(\.self).reduce(0, +) + max(0, otherExpected - otherSeconds)
    }

    /// What to say where the fewest steps that mean anything take longer than there is time; nil
    /// where it is enough, or nothing was measured.
    public var warning: String? {
        guard let limit, let secondsLeft else { return nil }
        let needed = entries.values.reduce(otherSeconds + secondsLeft) { $0 + $1.seconds }
        guard needed > 1.05 * limit else { return nil }
        return "this takes \(Duration.seconds(needed).readable) and not "
            + "\(Duration.seconds(limit).readable), as some pieces already have as few steps as mean "
            + "anything; give it more time, or choose a smaller size or batch"
    }

    /// Divides the time that is left among the pieces that have not begun.
    private mutating func divide() {
        guard let limit else { return }
        let open = pieces.filter { entries[$0]?.isBegun == false }
        let shares = open.reduce(0) { $0 + $1.share }
        let taken = pieces.reduce(0.0) { sum, piece in
            guard let entry = entries[piece], entry.isBegun else { return sum }
            return sum + max(entry.seconds, seconds(of: piece) ?? 0)
        }
        let left = limit - taken - max(otherExpected, otherSeconds)
        for piece in open {
            guard let seconds = entries[piece]?.secondsPerStep, seconds > 0 else { continue }
            let steps = max(0, left) * piece.share / shares / (seconds * slowdown)
            entries[piece]?.steps = max(Self.fewestSteps, Int(min(steps, 1e9)))
        }
    }

    /// Settles the steps of a piece that is about to begin; one that has begun keeps its own.
    ///
    /// - Returns: The steps.
    public mutating func begin(_ piece: CascadePiece) -> Int {
        if entries[piece]?.isBegun == false {
            divide()
            entries[piece]?.isBegun = true
        }
        return entries[piece]?.steps ?? 0
    }

    /// Counts time that a piece took.
    public mutating func add(seconds: Double, to piece: CascadePiece) {
        entries[piece]?.seconds += seconds
    }

    /// Counts time that was no training.
    public mutating func add(otherSeconds seconds: Double) { self.otherSeconds += seconds }

    /// Notes that a piece is done.
    public mutating func finish(_ piece: CascadePiece) { entries[piece]?.isDone = true }

    /// Gives the pieces to come another amount of time in all.
    public mutating func setLimit(_ seconds: Double) {
        limit = seconds
        divide()
    }
}

extension CascadeSchedule: CustomStringConvertible {
    /// A table of the pieces with their steps and minutes.
    public var description: String {
        var rows = pieces.map { piece in
            let entry = entries[piece]
            let state = entry?.isDone == true ? "done" : entry?.isBegun == true ? "begun" : ""
            return (
                piece.title, "\(entry?.steps ?? 0) steps", seconds(of: piece),
                entry?.memory?.bytesInWords ?? "", state
            )
        }
        rows.append(("latents, samples", "", otherExpected, "", ""))
        return rows.map { name, steps, seconds, memory, state in
            let time = seconds.map { Duration.seconds($0).readable } ?? "not measured"
            let line =
                "  " + name.padded(to: 18) + steps.padded(to: 14) + time.padded(to: 14)
                + (memory.isEmpty ? "" : memory.padded(to: 11)) + state
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

extension String {
    fileprivate func padded(to count: Int) -> String {
        self + String(repeating: " ", count: max(1, count - self.count))
    }
}
