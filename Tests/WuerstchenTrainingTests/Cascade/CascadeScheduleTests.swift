import Foundation
import Testing
import WuerstchenTraining

@Suite("The plan of a cascade's training") struct CascadeScheduleTests {
    /// A plan for pieces of one second a step.
    private func plan(_ limit: Double? = 10_000, other: Double = 0) -> CascadeSchedule {
        let pieces = CascadePiece.allCases.map { ($0, 1.0 as Double?) }
        return CascadeSchedule(
            limit: limit, pieces: Dictionary(uniqueKeysWithValues: pieces), other: other)
    }

    /// The seconds of all pieces, when each is as much slower than measured as said.
    private func total(
        _ plan: CascadeSchedule, slowdown: (CascadePiece) -> Double
    ) -> Double {
        var plan = plan
        for piece in plan.pieces {
            let steps = plan.begin(piece)
            plan.add(seconds: Double(steps) * slowdown(piece), to: piece)
            plan.finish(piece)
        }
        return plan.pieces.reduce(0) { $0 + (plan.entries[$1]?.seconds ?? 0) }
    }

    @Test("shares the time that is left after everything else")
    func shares() throws {
        let plan = plan(10_000, other: 1000)
        for piece in plan.pieces {
            let steps = try #require(plan.entries[piece]).steps
            #expect(abs(Double(steps) - 9000 * piece.share) <= 1)
        }
        let left = try #require(plan.secondsLeft)
        #expect(abs(left - 10_000) <= 6)
        #expect(abs(CascadePiece.allCases.reduce(0) { $0 + $1.share } - 1) < 1e-9)
    }

    @Test("says so where the fewest steps take longer than there is time")
    func warning() throws {
        #expect(plan(10_000, other: 1000).warning == nil && plan(nil).warning == nil)
        let warning = try #require(plan(20, other: 30).warning)
        #expect(warning.contains("20 s") && warning.contains("more time"), "\(warning)")
    }

    @Test("takes fewer steps where a step takes longer")
    func speeds() throws {
        let plan = CascadeSchedule(
            limit: 1000, pieces: [.stageB: 0.5, .stageC: 2])
        let (b, c) = (try #require(plan.entries[.stageB]), try #require(plan.entries[.stageC]))
        #expect(
            abs(
                Double(b.steps) * 0.5 / CascadePiece.stageB.share
                    - Double(c.steps) * 2 / CascadePiece.stageC.share) < 10)
    }

    @Test("keeps to the time when everything is slower or faster than measured")
    func slower() {
        for factor in [0.7, 1, 1.6] {
            let total = total(plan()) { _ in factor }
            // Nothing is known before the first piece.
            #expect(abs(total - 10_000) < 2000, "\(factor): \(total)")
        }
        let uneven = total(plan()) { $0 == .stageA ? 2 : 1 }
        #expect(abs(uneven - 10_000) < 2000, "\(uneven)")
    }

    @Test("leaves a piece that has begun its steps")
    func begun() throws {
        var plan = plan()
        let steps = plan.begin(.stageA)
        plan.add(seconds: 5000, to: .stageA)
        #expect(plan.begin(.stageA) == steps)
        plan.finish(.stageA)
        let later = plan.begin(.compressor)
        #expect(later < 300 && later >= 8)
        #expect(plan.entries[.stageA]?.steps == steps)
        plan.setLimit(100_000)
        #expect(plan.entries[.compressor]?.steps == later)
        #expect(try #require(plan.entries[.stageC]).steps > 1000)
    }

    @Test("takes the recipe's steps where there is no limit, and survives its file")
    func recipe() throws {
        var plan = plan(nil)
        #expect(plan.begin(.stageC) == CascadePiece.stageC.options.steps)
        plan.add(otherSeconds: 7)
        let data = try JSONEncoder().encode(plan)
        #expect(try JSONDecoder().decode(CascadeSchedule.self, from: data) == plan)
        #expect(
            "\(plan)".contains("Stage C           18000 steps   5 h 0 min     begun"), "\(plan)")
    }
}
