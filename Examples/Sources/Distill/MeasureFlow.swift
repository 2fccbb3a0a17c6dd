import ArgumentParser
import ExampleSupport
import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

struct MeasureFlow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure",
        abstract: "How straight a stage's flow is, and how far few steps of it end from many.",
        discussion: """
            Distances are relative to the deviation of the latents: 1 is as far as the mean of all.
            """)

    @OptionGroup var teacher: TeacherArguments

    @Option(help: "Couplings whose noise and conditions are taken; their latents do not count.")
    var couplings: String

    @Option(help: "Guidance.")
    var guidance: Float = 1

    @Option(help: "How many.")
    var count = 64

    func validate() throws {
        guard (1...100_000).contains(count) else {
            throw ValidationError("--count must be 1 to 100000")
        }
    }

    func run() async throws {
        let command = self
        try await interruptible { try command.measure() }
    }

    private func measure() throws {
        let cascade = try teacher.run.cascade()
        let pairs = try Couplings(contentsOf: URL(fileURLWithPath: couplings)).first(count)
        let field = try CouplingTeacher(
            teacher.stage.type, of: cascade, size: cascade.defaultSize
        ).field(pairs.conditions, guidance: guidance)
        let straightness = try field.straightness(from: pairs.noise)
        print(
            "straightness \(straightness.curvature.rounded(to: 4)), cost "
                + "\(straightness.cost.rounded(to: 4)), ratio \(straightness.ratio.rounded(to: 4))")
        let fine = try field.solve(
            from: pairs.noise, timesteps: field.map.timesteps(count: 64), solver: .heun
        ).latent
        print("couplings as they are: \(distance(pairs.clean, fine))")
        for steps in [1, 2, 4, 8, 16, 32] {
            var row = "\(steps) steps:"
            for (name, solver) in [("euler", FlowSolver.euler), ("heun", .heun)] {
                for (grid, times) in [
                    ("equal", try Timesteps(count: steps)),
                    ("straight", try field.map.timesteps(count: steps)),
                ] {
                    let end = try field.solve(
                        from: pairs.noise, timesteps: times, solver: solver
                    ).latent
                    row += "  \(name) \(grid) \(distance(end, fine))"
                }
            }
            print(row)
        }
        let adaptive = try field.solve(from: pairs.noise, tolerance: 1e-2)
        print(
            "adaptive, 0.01: \(adaptive.evaluations) evaluations, "
                + "\(distance(adaptive.latent, fine))")
    }

    private func distance(_ latents: Tensor, _ fine: Tensor) -> String {
        Double(relativeDistance(latents, fine)).rounded(to: 3)
    }
}
