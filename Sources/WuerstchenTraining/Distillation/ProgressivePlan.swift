internal import TensorCore

/// Which students a progressive distillation makes, one after the other.
public struct ProgressivePlan: Sendable, Hashable {
    /// The steps of each student, each a part of those of the one before.
    public let steps: [Int]
    /// Whether the steps are windows of time, of which there is one student only.
    public let hasWindows: Bool
    /// The steps of the first teacher, a multiple of the first student's; nil for four times as
    /// many, or for those of a teacher that is a student itself.
    public let teacherSteps: Int?
    /// The weight of the first teacher's guidance, which its student then has in it.
    public let guidance: Float

    /// Students of fewer and fewer steps.
    ///
    /// - Parameters:
    ///   - steps: The steps of each student, such as 8, 4, 2, 1.
    ///   - teacherSteps: The steps of the first teacher; nil for four times those of its student.
    ///   - guidance: The weight of the first teacher's guidance.
    /// - Throws: `WuerstchenError` with code `invalidRequest` where a student's steps are not a
    ///   part of those before.
    public init(steps: [Int], teacherSteps: Int? = nil, guidance: Float = 1) throws {
        try self.init(steps, teacherSteps, guidance, hasWindows: false)
    }

    /// One student that is straight in each of some windows of time (Yan et al., "PeRFlow", 2024),
    /// and takes any multiple of so many steps.
    ///
    /// - Parameters:
    ///   - windows: The number of windows, such as 4.
    ///   - teacherSteps: The steps of the teacher; nil for four in each window.
    ///   - guidance: The weight of the teacher's guidance.
    /// - Throws: `WuerstchenError` with code `invalidRequest` where the teacher's steps are no
    ///   multiple.
    public init(windows: Int, teacherSteps: Int? = nil, guidance: Float = 1) throws {
        try self.init([windows], teacherSteps, guidance, hasWindows: true)
    }

    private init(
        _ steps: [Int], _ teacherSteps: Int?, _ guidance: Float, hasWindows: Bool
    ) throws {
        guard let first = steps.first, steps.allSatisfy({ (1...250).contains($0) }) else {
            throw WuerstchenError(
                .invalidRequest,
                "students of \(Self.list(steps)) steps; give one or more numbers from 1 to 250")
        }
        for (before, after) in zip(steps, steps.dropFirst()) {
            guard before > after, before.isMultiple(of: after) else {
                throw WuerstchenError(
                    .invalidRequest,
                    "a student of \(before) steps cannot teach \(after): each number of "
                        + "\(Self.list(steps)) must be a part of the one before, as in 8,4,2,1")
            }
        }
        if let teacherSteps {
            guard teacherSteps <= 1000, teacherSteps > (hasWindows ? first - 1 : first),
                teacherSteps.isMultiple(of: first)
            else {
                throw WuerstchenError(
                    .invalidRequest,
                    "a teacher of \(teacherSteps) steps cannot teach \(first): it must be a multiple, "
                        + "such as \(4 * first)")
            }
        }
        guard guidance.isFinite, abs(guidance) <= 1000 else {
            throw WuerstchenError(
                .invalidRequest, "guidance is \(guidance); it must be of ordinary size, such as 4")
        }
        self.steps = steps
        self.hasWindows = hasWindows
        self.teacherSteps = teacherSteps
        self.guidance = guidance
    }

    /// The usual way to a student of some steps: from eight, by halves.
    public static func steps(downTo target: Int) -> [Int] {
        let usual = [8, 4, 2, 1]
        return usual.contains(target) ? usual.filter { $0 >= target } : [target]
    }

    private static func list(_ numbers: [Int]) -> String {
        numbers.isEmpty ? "no" : numbers.map(String.init).joined(separator: ",")
    }
}
