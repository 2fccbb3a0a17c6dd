public import Foundation

extension StudentFolder {
    /// What of a configuration says how many steps a student takes.
    private struct Student: Decodable {
        let flow: FlowConfiguration?
    }

    /// The student in a folder that takes some number of steps.
    ///
    /// A progressive distillation writes several students to one folder, each to a folder in it such
    /// as `4-steps/student`. A folder that holds a single stage itself is that stage, however many
    /// steps it takes.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - steps: The steps; nil for the student of the most.
    /// - Returns: The student's folder.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` that says which steps there are,
    ///   and what reading configurations throws.
    public static func student(in folder: URL, steps: Int? = nil) throws -> StudentFolder {
        let configuration = CheckpointLayout.published.configuration
        func isStage(_ folder: URL) -> Bool {
            FileManager.default.fileExists(
                atPath: folder.appendingPathComponent(configuration).path)
        }
        guard !isStage(folder) else { return StudentFolder(folder) }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        var students: [(steps: Int, isMultiple: Bool, folder: StudentFolder)] = []
        for name in names.sorted() {
            let inner = folder.appendingPathComponent(name)
            for place in [inner, inner.appendingPathComponent("student")] where isStage(place) {
                let student = StudentFolder(place)
                guard let flow = try student.configuration(Student.self).flow,
                    let count = flow.steps ?? flow.windows
                else { continue }
                students.append((count, flow.windows != nil, student))
            }
        }
        // Reading the folder as a stage says best what is missing there.
        guard !students.isEmpty else { return StudentFolder(folder) }
        students.sort { $0.steps > $1.steps }
        guard let steps else { return students[0].folder }
        let found =
            students.first { $0.steps == steps }
            ?? students.first { $0.isMultiple && steps.isMultiple(of: $0.steps) }
        guard let found else {
            throw WuerstchenError(
                .invalidRequest,
                "\(folder.path) has no student of \(FlowConfiguration.words(steps: steps)); there are "
                    + "students of "
                    + students.map { $0.isMultiple ? "a multiple of \($0.steps)" : "\($0.steps)" }
                    .joined(separator: ", "))
        }
        return found.folder
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
}
