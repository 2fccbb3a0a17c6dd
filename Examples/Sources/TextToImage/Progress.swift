import ExampleSupport
import Wuerstchen

/// Shows on standard error how far the work is: a bar with the time left on a terminal, a plain
/// line now and then elsewhere.
final class Progress {
    private let isQuiet: Bool
    /// Whether a stage's last line stays where it is until the next stage's, as below an image.
    private let keepsLine: Bool
    private let line = StatusLine()
    private let clock = ContinuousClock()
    private var stage: GenerationStep.Stage?
    private var start: ContinuousClock.Instant
    private var done = 0
    private var lastTenth = -1
    private var said: Set<String> = []

    init(isQuiet: Bool, keepsLine: Bool = false) {
        self.isQuiet = isQuiet
        self.keepsLine = keepsLine
        start = clock.now
    }

    func note(_ text: String) {
        guard !isQuiet else { return }
        line.note(text)
    }

    /// Says something the first time that it is found.
    func noteOnce(_ text: String) {
        if said.insert(text).inserted { note(text) }
    }

    /// Says what a prompt has that the model cannot follow.
    func note(_ findings: PromptFindings) {
        for (isTruncated, name, end) in [
            (findings.isPromptTruncated, "prompt", findings.unreadPrompt),
            (
                findings.isNegativePromptTruncated, "negative prompt", findings.unreadNegativePrompt
            ),
        ] where isTruncated {
            note(
                "the \(name) is longer than the text encoder can read; its end is ignored: "
                    + (end.count > 300 ? end.prefix(300) + "…" : end))
        }
        if !findings.unknownWords.isEmpty {
            note("the model does not know: \(findings.unknownWords.joined(separator: ", "))")
        }
    }

    func show(_ step: GenerationStep) {
        guard !isQuiet else { return }
        if step.stage != stage {
            // The first step of a stage includes loading it; time the others.
            stage = step.stage
            start = clock.now
            done = 0
            lastTenth = -1
        } else {
            done += 1
        }
        let (number, count) = (step.stageIndex + 1, step.stageCount)
        let tenth = 10 * number / count
        var left = ""
        if done > 0 {
            let seconds = (clock.now - start) / done * (count - number)
            left = ", \(readable(seconds)) left"
        }
        if line.isTerminal {
            let filled = 24 * number / count
            let bar =
                String(repeating: "█", count: filled) + String(repeating: "·", count: 24 - filled)
            let text = "\(step.stage) \(bar) \(number)/\(count)\(left)"
            if number == count && !keepsLine { line.note(text) } else { line.show(text) }
        } else if tenth != lastTenth {
            line.note("\(step.stage) \(number)/\(count)\(left)")
        }
        lastTenth = tenth
    }

    func finish() {
        if !isQuiet { line.show("") }
    }

    private func readable(_ duration: Duration) -> String {
        let seconds = Int(duration.components.seconds)
        if seconds < 60 { return "\(seconds) s" }
        return seconds < 3600
            ? "\(seconds / 60) min \(seconds % 60) s"
            : "\(seconds / 3600) h \(seconds / 60 % 60) min"
    }
}
