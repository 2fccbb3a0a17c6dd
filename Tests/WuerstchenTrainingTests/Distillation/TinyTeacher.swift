import TensorCore
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

/// A very small Stage C with its text encoder, and what can be made of them.
struct TinyTeacher {
    let folder: TemporaryFolder
    let stage: StageC
    let textConfiguration: CLIPTextModel.Configuration
    let textEncoder: TextEncoder<StageC>
    let values: [String: Tensor]
    static let latentShape = (rows: 3, columns: 3, channels: 4)

    init() throws {
        folder = try TemporaryFolder()
        try SceneTokenizer.write(to: folder.url)
        var text = CLIPTextModel.Configuration(
            channels: 8, hiddenChannels: 16, layers: 1, heads: 2)
        (text.positions, text.vocabularySize) = (32, 810)
        textConfiguration = text
        textEncoder = try TextEncoder(
            tokenizer: CLIPTokenizer(contentsOf: folder.url),
            model: CLIPTextModel(configuration: text, parameters: RandomParameters(seed: 9)))
        var parameters = TrainableParameters()
        try parameters.add("c", from: RandomParameters(seed: 5)) {
            _ = try StageC(configuration: TinyStageC.configuration, parameters: $0)
        }
        values = parameters.scope("c")
        stage = try StageC(
            configuration: TinyStageC.configuration, parameters: ParameterValues(values))
    }

    var context: StageCContext { StageCContext(textEncoder: textEncoder) }

    func record(seed: UInt64 = 3, teacher: String = "tiny") -> CouplingRecord {
        CouplingRecord(
            stage: "stage-c", teacher: teacher, seed: seed, guidance: 2, captionDropout: 0.25,
            conditions: CouplingRecord.Conditions(
                source: "three captions", size: ImageSize(width: 96, height: 96)),
            solver: CouplingRecord.Solver(.heun, steps: 3, precision: .float32), shardSize: 8)
    }

    func maker(
        _ record: CouplingRecord? = nil, captions: [String] = ["a red house", "a tree", "at night"]
    ) throws -> PairGenerator {
        var maker = PairGenerator(
            record ?? self.record(), conditions: try CaptionConditions(captions),
            teacher: try CouplingTeacher(
                stage, in: context, rows: TinyTeacher.latentShape.rows,
                columns: TinyTeacher.latentShape.columns))
        maker.largest = 1e6
        return maker
    }

    /// The student, beginning as the teacher but for the last layer.
    func student() throws -> (student: FlowStudent<StageC>, start: [String: Tensor]) {
        let student = FlowStudent(
            stage.blueprint, flow: FlowConfiguration(guidance: 2), in: context)
        var initial = TrainableParameters()
        try initial.add(student.blueprint, seed: 0)
        let start = try WarmStart(
            values, scope: StageC.scope, in: initial, renewing: ["out.1"], from: "the teacher")
        return (student, start.parameters)
    }
}
