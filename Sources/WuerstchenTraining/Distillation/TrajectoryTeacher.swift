internal import TensorCore
public import Wuerstchen

/// A stage whose steps a student learns to take several of at once: one that was trained, which
/// takes any number of steps under guidance, or a student itself, which takes its own.
public struct TrajectoryTeacher<Stage: TrainableStage>: Sendable {
    /// The stage.
    public let stage: Stage
    /// Its steps from noise to latents.
    public let steps: Int
    /// The weight of its guidance; up to 1 there is none.
    public let guidance: Float

    /// A teacher.
    ///
    /// - Parameters:
    ///   - stage: The stage.
    ///   - steps: Its steps, equal in the flow's time; a student has its own.
    ///   - guidance: The weight of its guidance; a student has its teacher's in it.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for steps or guidance that a student
    ///   was not made for, or that make no sense.
    public init(_ stage: Stage, steps: Int, guidance: Float = 1) throws {
        let description = stage.description
        guard (1...1000).contains(steps), guidance.isFinite, abs(guidance) <= 1000 else {
            throw WuerstchenError(
                .invalidRequest,
                "a teacher of \(steps) steps under guidance \(guidance); steps must be 1 to 1000 and "
                    + "guidance of ordinary size")
        }
        if let own = description.flow?.steps {
            guard steps == own, !SamplingOptions.isGuided(by: guidance) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "this teacher was distilled to \(FlowConfiguration.words(steps: own)) without "
                        + "guidance and does nothing else, not \(steps) under guidance \(guidance)")
            }
        }
        self.stage = stage
        self.steps = steps
        self.guidance = guidance
    }

    /// Where its steps lead from some latents.
    ///
    /// - Parameters:
    ///   - y: Latents of a student's flow, `[batch, height, width, channels]`.
    ///   - times: For each sample the flow's time.
    ///   - ends: For each sample the time to stop at.
    ///   - map: The variables of the student's flow.
    ///   - conditions: What they are conditioned on.
    ///   - context: What makes the stage's conditioning.
    /// - Returns: Latents of the student's flow at the ends.
    /// - Throws: What the networks throw.
    func follow(
        _ y: Tensor, from times: [Double], to ends: [Double], in map: FlowMap,
        under conditions: CouplingConditions, _ context: any StageContext<Stage>
    ) throws -> Tensor {
        let field = try context.field(of: stage, under: conditions, guidance: guidance)
        let grid = StepGrid(steps: steps)
        let stops = zip(times, ends).map { grid.stops(from: $0, to: $1) }
        // The same times of diffusion's in the teacher's own flow. A clamped schedule neither
        // begins with nothing but noise nor ends with nothing but data; its last step still does.
        func own(_ time: Double) -> FlowMap.Point {
            time >= 1 ? field.map.end : field.map.point(time: map.point(flowTime: time).time)
        }
        let isSame = field.map == map
        var here = times.map(own)
        var latents =
            isSame
            ? y
            : field.map.flowState(
                map.diffusionState(y, at: times.map { map.point(flowTime: $0) }), at: here)
        for round in 0..<(stops.map(\.count).max() ?? 0) {
            // Samples that have arrived stay where they are.
            let there = stops.indices.map { sample in
                round < stops[sample].count ? own(stops[sample][round]) : here[sample]
            }
            let seen = try field(latents, at: here.map { min(1, $0.flowTime) })
            let widths = zip(here, there).map { Float($1.flowTime - $0.flowTime) }
            latents = latents + seen.velocity.scaled(bySample: widths)
            here = there
        }
        guard latents.isFinite else {
            throw WuerstchenError(
                .notFinite,
                "the teacher's steps lead to values that are not numbers; its weights are damaged or "
                    + "the guidance of \(guidance) is too strong")
        }
        guard !isSame else { return latents }
        return map.flowState(
            field.map.diffusionState(latents, at: here),
            at: ends.map { $0 >= 1 ? map.end : map.point(flowTime: $0) })
    }
}
