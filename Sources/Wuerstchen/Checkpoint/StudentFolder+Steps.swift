public import Foundation

extension StudentFolder {
    /// What of a configuration says how many steps a student takes.
    private struct Student: Decodable {
        let flow: FlowConfiguration?
    }

    /// The student in a folder that takes some number of steps.
    ///
    /// A progressive distillation writes several students to one folder, each to a folder in it
    /// such as `4-steps/student`. A folder that holds a single stage itself is that stage, however
    /// many steps it takes.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - steps: The steps; nil for the student of the most.
    /// - Returns: The student's folder.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` that says which steps there are,
    ///   and what reading configurations throws.
    public static func student(in folder: URL, steps: Int? = nil) throws -> StudentFolder {
        guard !isStage(folder) else { return StudentFolder(folder) }
        let students = try students(in: folder)
        // Reading the folder as a stage says best what is missing there.
        guard !students.isEmpty else { return StudentFolder(folder) }
        guard let steps else { return students[0].folder }
        let found =
            students.first { $0.steps == steps }
            ?? students.first { $0.isMultiple && steps.isMultiple(of: $0.steps) }
        guard let found else { throw missing(students, in: folder, steps) }
        return found.folder
    }

    /// The student that is best where some number of steps is wanted, and how many it takes: the
    /// one that takes so many, or else the one that takes the most of those that take fewer.
    ///
    /// - Parameters:
    ///   - steps: The steps that are wanted.
    ///   - folder: The folder of several students, or of a single stage.
    /// - Returns: The student's folder and its steps; nil where so many are wanted that the teacher
    ///   is better, since every student takes fewer.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` where all students take more, and
    ///   what reading configurations throws.
    public static func best(
        for steps: Int, in folder: URL
    ) throws -> (folder: StudentFolder, steps: Int)? {
        let students = try students(in: folder)
        guard let most = students.first else {
            // A stage of any number of steps, or what reading it says is wrong with it.
            return (StudentFolder(folder), steps)
        }
        // How many of the steps each can take.
        let fits = students.map { student in
            student.isMultiple
                ? steps / student.steps * student.steps
                : student.steps <= steps ? student.steps : 0
        }
        guard let fit = fits.max(), fit > 0, let place = fits.firstIndex(of: fit) else {
            throw missing(students, in: folder, steps)
        }
        let isBeyondAll = steps > most.steps && !students.contains { $0.isMultiple }
        return isBeyondAll ? nil : (students[place].folder, fit)
    }

    private static func isStage(_ folder: URL) -> Bool {
        FileManager.default.fileExists(
            atPath: folder.appendingPathComponent(CheckpointLayout.published.configuration).path)
    }

    private typealias Found = (steps: Int, isMultiple: Bool, folder: StudentFolder)

    /// The students in a folder, or the one that it is, with the most steps first.
    private static func students(in folder: URL) throws -> [Found] {
        var students: [Found] = []
        func add(_ student: StudentFolder) throws {
            guard let flow = try student.configuration(Student.self).flow,
                let count = flow.steps ?? flow.windows
            else { return }
            do {
                try flow.validate()
            } catch let error as WuerstchenError {
                throw WuerstchenError(error.code, "\(student.url.path): \(error.message)")
            }
            students.append((count, flow.windows != nil, student))
        }
        guard !isStage(folder) else {
            try add(StudentFolder(folder))
            return students
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for name in names.sorted() {
            let inner = folder.appendingPathComponent(name)
            for place in [inner, inner.appendingPathComponent("student")] where isStage(place) {
                try add(StudentFolder(place))
            }
        }
        students.sort { $0.steps > $1.steps }
        return students
    }

    private static func missing(
        _ students: [Found], in folder: URL, _ steps: Int
    ) -> WuerstchenError {
        WuerstchenError(
            .invalidRequest,
            "\(folder.path) has no student of \(FlowConfiguration.words(steps: steps)); there are "
                + "students of "
                + students.map { $0.isMultiple ? "a multiple of \($0.steps)" : "\($0.steps)" }
                .joined(separator: ", "))
    }
}

extension StageFolders {
    /// The same stages, each chosen from its folder by its steps; see
    /// ``StudentFolder/student(in:steps:)``.
    ///
    /// - Parameters:
    ///   - stepsC: Stage C's steps; nil for the most that there are.
    ///   - stepsB: Stage B's steps; nil for the most that there are.
    /// - Returns: Folders of single stages.
    /// - Throws: What choosing throws.
    public func choosing(stageC stepsC: Int?, stageB stepsB: Int?) throws -> StageFolders {
        func chosen(_ folder: URL?, _ steps: Int?) throws -> URL? {
            try folder.map { try StudentFolder.student(in: $0, steps: steps).url }
        }
        return StageFolders(
            stageC: try chosen(stageC, stepsC), stageB: try chosen(stageB, stepsB),
            stageA: stageA)
    }

    /// The same stages, Stage C being the best student for a number of steps, or the checkpoint's
    /// own; see ``StudentFolder/best(for:in:)``.
    ///
    /// - Parameter steps: Stage C's steps.
    /// - Returns: Folders of single stages, and the steps that Stage C takes.
    /// - Throws: What choosing throws.
    public func best(for steps: Int) throws -> (stages: StageFolders, steps: Int) {
        guard let stageC else { return (self, steps) }
        var result = self
        let found = try StudentFolder.best(for: steps, in: stageC)
        result.stageC = found?.folder.url
        return (result, found?.steps ?? steps)
    }
}
