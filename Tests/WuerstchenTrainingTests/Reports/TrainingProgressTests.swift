import Testing
import WuerstchenTraining

@Suite struct TrainingProgressTests {
    private let start = ContinuousClock.now

    private func report(_ step: Int, metrics: [TrainingReport.Metric] = []) -> TrainingReport {
        TrainingReport(
            step: step, total: 100, loss: 0.123456, metrics: metrics, imagesPerSecond: 8,
            timeLeft: .seconds(75))
    }

    @Test func aPipeGetsALineNowAndThen() {
        let messages = Messages()
        var progress = TrainingProgress(isTerminal: false) { messages.add($0) }
        for step in 1...100 {
            progress.show(report(step), at: start + .seconds(step))
        }
        progress.finish()
        #expect(messages.all.count == 11, "one in ten seconds, and the last")
        #expect(messages.all.allSatisfy { $0.hasSuffix("\n") && !$0.contains("\u{1B}") })
        #expect(
            messages.all.first
                == "step 1/100, loss 0.1235, 1 min 15 s left, 8 images/s\n")
        #expect(messages.all.last == "step 100/100, loss 0.1235, 8 images/s\n")
    }

    @Test func aTerminalHasOneLineThatChanges() {
        let messages = Messages()
        var progress = TrainingProgress(isTerminal: true, columns: { 60 }) { messages.add($0) }
        for step in 1...100 {
            progress.show(
                report(step, metrics: [.init("psnr", 23.5), .init("a long name", .nan)]),
                at: start + .milliseconds(500 * step))
        }
        #expect(messages.all.count == 100)
        #expect(messages.all.allSatisfy { $0.hasPrefix("\r\u{1B}[K") })
        #expect(messages.all.dropLast().allSatisfy { !$0.contains("\n") && $0.count <= 59 + 4 })
        #expect(messages.all.last?.hasSuffix("\n") == true)
        #expect(messages.all[49].contains("████████········ 50/100  loss 0.1235"))
        #expect(messages.all[49].contains("1 min 15 s left"))
    }

    @Test func fastStepsDoNotFloodATerminal() {
        let messages = Messages()
        var progress = TrainingProgress(isTerminal: true) { messages.add($0) }
        for step in 1..<100 { progress.show(report(step), at: start + .milliseconds(step)) }
        #expect(messages.all.count == 1)
        progress.show(report(100), at: start + .milliseconds(100))
        #expect(messages.all.count == 2)
    }

    @Test func notesDoNotMixWithTheLine() {
        let messages = Messages()
        var progress = TrainingProgress(isTerminal: true) { messages.add($0) }
        progress.note("before")
        progress.show(report(1), at: start)
        progress.note("a.png is skipped")
        progress.show(report(2), at: start + .seconds(1))
        progress.finish()
        progress.finish()
        let all = messages.all
        #expect(all.count == 5)
        #expect(all[0] == "before\n")
        #expect(all[2] == "\r\u{1B}[Ka.png is skipped\n")
        #expect(all[4] == "\n")
    }

    @Test(arguments: [
        (5, "5 s"), (65, "1 min 5 s"), (7260, "2 h 1 min"), (200_000, "2 d 7 h"),
    ])
    func timesAreReadable(seconds: Int, text: String) {
        let messages = Messages()
        var progress = TrainingProgress(isTerminal: false) { messages.add($0) }
        progress.show(
            TrainingReport(step: 1, total: 2, loss: .infinity, timeLeft: .seconds(seconds)))
        #expect(messages.all == ["step 1/2, loss inf, \(text) left\n"])
    }

    @Test func strangeNumbersAreShown() {
        for isTerminal in [false, true] {
            let messages = Messages()
            var progress = TrainingProgress(isTerminal: isTerminal) { messages.add($0) }
            progress.show(TrainingReport(step: 0, total: 0, loss: .nan))
            progress.show(TrainingReport(step: 9, total: 3, loss: 0))
            progress.show(TrainingReport(step: -5, total: 3, loss: 0), at: start + .seconds(99))
            #expect(messages.all.count == 3)
        }
    }
}

@Suite struct TrainingPaceTests {
    private let start = ContinuousClock.now

    @Test func aSteadyPaceIsFound() throws {
        var pace = TrainingPace(from: start)
        #expect(pace.imagesPerSecond == nil)
        #expect(pace.time(for: 10) == nil)
        for step in 1...50 { pace.countStep(images: 8, at: start + .seconds(2 * step)) }
        #expect(abs(try #require(pace.imagesPerSecond) - 4) < 1e-9)
        #expect(pace.time(for: 30)?.components.seconds == 60)
        #expect(pace.time(for: -3) == .zero)
    }

    @Test func interruptionsDoNotCount() throws {
        var pace = TrainingPace(from: start)
        pace.countStep(images: 8, at: start + .seconds(1))
        pace.skip(to: start + .seconds(1000))
        pace.countStep(images: 8, at: start + .seconds(1001))
        #expect(abs(try #require(pace.imagesPerSecond) - 8) < 1e-9)
    }

    @Test func aChangeOfSpeedShows() throws {
        var pace = TrainingPace(from: start)
        for step in 1...100 { pace.countStep(images: 1, at: start + .seconds(step)) }
        for step in 1...100 {
            pace.countStep(images: 1, at: start + .seconds(100) + .seconds(10 * step))
        }
        #expect(try #require(pace.imagesPerSecond) < 0.11)
    }
}
