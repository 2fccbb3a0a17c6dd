import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Folders of students")
struct StudentFolderTests {
    private let base = [
        "a.weight": Tensor([1, 2], [2]), "b.weight": Tensor([0.1, 70], [2]),
    ]
    private let configuration = FlowConfiguration(steps: 1, guidance: 4)

    @Test(
        "what is written as differences is what is read, and holds no more than it must",
        arguments: WeightElementType.allCases)
    func differences(_ type: WeightElementType) throws {
        let folder = try TemporaryFolder()
        let (teacher, student) = (
            folder.url.appendingPathComponent("teacher"),
            StudentFolder(folder.url.appendingPathComponent("student"))
        )
        try StudentFolder(teacher).write(base, FlowConfiguration(), elementType: .float32)
        // A change that only float32 can tell.
        var learnt = base
        learnt["b.weight"] = Tensor([Float(0.1).nextUp, 70], [2])
        try student.write(
            learnt, configuration, base: teacher, storesDifferences: true, elementType: type)
        #expect(student.holdsDifferences)
        func stored() throws -> Set<String> {
            let file = student.url.appendingPathComponent("differences.safetensors")
            return Set(try Safetensors(contentsOf: file).entries.keys)
        }
        #expect(try stored() == (type == .float32 ? ["b.weight"] : []))
        learnt["a.weight"] = Tensor([1, 3], [2])
        try student.write(
            learnt, configuration, base: teacher, storesDifferences: true, elementType: type)
        #expect(try stored().contains("a.weight"))
        let read = try student.parameters(over: teacher).values()
        #expect(read.mapValues(\.elements) == learnt.mapValues(\.elements) || type != .float32)
        #expect(read["a.weight"]?.elements == [1, 3])
        #expect(read["b.weight"]?.elements[1] == 70)
        #expect(try student.configuration(FlowConfiguration.self) == configuration)
    }

    /// A teacher and another stage, and where a student goes.
    private func stages(
        in folder: TemporaryFolder
    ) throws -> (teacher: URL, other: URL, student: StudentFolder) {
        let (teacher, other) = (
            folder.url.appendingPathComponent("teacher"), folder.url.appendingPathComponent("other")
        )
        try StudentFolder(teacher).write(base, FlowConfiguration())
        try StudentFolder(other).write(base, configuration)
        return (teacher, other, StudentFolder(folder.url.appendingPathComponent("student")))
    }

    @Test("differences are refused over other weights, and for other parameters")
    func refused() throws {
        let folder = try TemporaryFolder()
        let (teacher, other, student) = try stages(in: folder)
        try student.write(base, configuration, base: teacher, storesDifferences: true)
        expectError(.incompatibleParameters, "differences.safetensors", "other", "made from") {
            _ = try student.parameters(over: other)
        }
        for wrong in [
            ["a.weight": Tensor([1, 2], [2])], base.merging(["c": Tensor([1], [1])]) { $1 },
        ] {
            expectError(.incompatibleParameters, "other parameters", "store it whole") {
                try student.write(wrong, configuration, base: teacher, storesDifferences: true)
            }
        }
        #expect(try student.parameters(over: teacher).values().count == 2)
    }

    @Test("a whole student is refused over other weights, and a stage that is no student is not")
    func whole() throws {
        let folder = try TemporaryFolder()
        let (teacher, other, student) = try stages(in: folder)
        try student.write(base, configuration, base: teacher)
        #expect(!student.holdsDifferences)
        #expect(try student.parameters(over: teacher).values().count == 2)
        expectError(
            .incompatibleParameters, student.url.path, try weightsFingerprint(of: teacher),
            try weightsFingerprint(of: other), "made from"
        ) {
            _ = try student.parameters(over: other)
        }
        // One that became a checkpoint's own is the base of its students.
        #expect(try student.parameters(over: student.url).values().count == 2)
        try student.write(base, configuration)
        #expect(try student.parameters(over: other).values().count == 2)
    }

    @Test("a folder holds the weights of its last writing alone")
    func replaced() throws {
        let folder = try TemporaryFolder()
        let teacher = folder.url.appendingPathComponent("teacher")
        let student = StudentFolder(folder.url.appendingPathComponent("student"))
        try StudentFolder(teacher).write(base, FlowConfiguration())
        for over in [teacher, nil, teacher] {
            try student.write(base, configuration, base: over, storesDifferences: true)
            let files = try FileManager.default.contentsOfDirectory(atPath: student.url.path)
            let stem = over == nil ? "diffusion_pytorch_model" : "differences"
            #expect(files.sorted() == ["config.json", "\(stem).safetensors"])
        }
        // What others put there is theirs, and a base does not lose its weights to differences.
        let own = student.url.appendingPathComponent("mine.safetensors")
        try Data("mine".utf8).write(to: own)
        try student.write(base, configuration)
        #expect(FileManager.default.fileExists(atPath: own.path))
        expectError(.invalidRequest, "is the base itself") {
            try StudentFolder(teacher).write(
                base, configuration, base: teacher, storesDifferences: true)
        }
        #expect(try StudentFolder(teacher).parameters(over: teacher).values().count == 2)
    }
}
