internal import TensorCore

/// What the folder of the pipeline from text to semantic latents holds, all of it checked but for
/// the values of weights: files are there, and names, shapes and types of tensors are those of the
/// networks that the configurations describe.
struct PriorContents {
    /// The folder, its weights opened.
    var folder: CheckpointFolder
    let text: PipelineText
    let stageC: StageC.Configuration
    let schedule: NoiseSchedule
    let space: SemanticLatentSpace
    /// The side of the images that the networks were trained at, where it is said.
    let sampleSize: Int?

    /// `wuerstchen-prior/model_index.json`
    private struct Index: Decodable {
        let latentMean: Float?
        let latentStd: Float?
        let resolutionMultiple: Double?
        let sampleSize: Int?

        enum CodingKeys: String, CodingKey {
            case latentMean = "latent_mean"
            case latentStd = "latent_std"
            case resolutionMultiple = "resolution_multiple"
            case sampleSize = "sample_size"
        }

        init(from decoder: any Decoder) throws {
            try decoder.requireClass(
                of: "the prior's pipeline", "WuerstchenPriorPipeline",
                or: "WuerstchenCombinedPipeline")
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            latentMean = try fields.decodeIfPresent(Float.self, forKey: .latentMean)
            latentStd = try fields.decodeIfPresent(Float.self, forKey: .latentStd)
            resolutionMultiple = try fields.decodeIfPresent(
                Double.self, forKey: .resolutionMultiple)
            sampleSize = try fields.decodeIfPresent(Int.self, forKey: .sampleSize)
        }

        var space: SemanticLatentSpace {
            var space = SemanticLatentSpace()
            if let resolutionMultiple { space.pixelsPerPosition = resolutionMultiple }
            if let latentMean { space.scale = latentMean }
            if let latentStd { space.offset = latentStd }
            return space
        }
    }

    /// Reads a folder; nil where something is wrong, which is noted.
    init?(_ folder: CheckpointFolder, noting misfits: inout Misfits) throws {
        let layout = CheckpointLayout.published
        var folder = folder
        let index: Index? = try misfits.collect {
            let index: Index = try folder.index()
            try folder.naming(layout.index) { try index.space.validate() }
            return index
        }
        let stageC = try misfits.collect {
            try folder.configuration(of: layout.stageC) { (c: StageC.Configuration) in
                try c.validate()
            }
        }
        let schedule = try misfits.collect { try folder.schedule() }
        try misfits.collect {
            try folder.open(layout.stageC)
            if let stageC {
                _ = try folder.withoutValues.stageC(stageC, space: SemanticLatentSpace())
            }
        }
        let text = try PipelineText(&folder, layout.priorTextEncoder, noting: &misfits)
        if let stageC, let text {
            try misfits.collect { try stageC.requireFit(text.configuration) }
        }
        guard let index, let stageC, let schedule, let text else { return nil }
        self.folder = folder
        self.text = text
        self.stageC = stageC
        self.schedule = schedule
        (space, sampleSize) = (index.space, index.sampleSize)
    }
}

/// The same of the pipeline from semantic latents to images.
struct DecoderContents {
    /// The folder, its weights opened.
    var folder: CheckpointFolder
    /// Nil for a Stage B that reads no text.
    let text: PipelineText?
    let stageB: StageB.Configuration
    let stageA: StageA.Configuration
    let schedule: NoiseSchedule
    /// Positions of Stage B's latent per position of the semantic latent.
    let latentsPerPosition: Double

    /// `wuerstchen/model_index.json`
    private struct Index: Decodable {
        let latentsPerPosition: Double?

        enum CodingKeys: String, CodingKey {
            case latentsPerPosition = "latent_dim_scale"
        }

        init(from decoder: any Decoder) throws {
            try decoder.requireClass(
                of: "the decoder's pipeline", "WuerstchenDecoderPipeline",
                or: "WuerstchenCombinedPipeline")
            latentsPerPosition = try decoder.container(keyedBy: CodingKeys.self)
                .decodeIfPresent(Double.self, forKey: .latentsPerPosition)
        }
    }

    /// Reads a folder; nil where something is wrong, which is noted.
    init?(_ folder: CheckpointFolder, noting misfits: inout Misfits) throws {
        let layout = CheckpointLayout.published
        var folder = folder
        let scale: Double? = try misfits.collect {
            let index: Index = try folder.index()
            var space = SemanticLatentSpace()
            if let number = index.latentsPerPosition { space.latentsPerPosition = number }
            try folder.naming(layout.index) { try space.validate() }
            return space.latentsPerPosition
        }
        let stageB = try misfits.collect {
            try folder.configuration(of: layout.stageB) { (c: StageB.Configuration) in
                try c.validate()
            }
        }
        let stageA = try misfits.collect {
            try folder.configuration(of: layout.stageA) { (c: StageA.Configuration) in
                try c.validate()
            }
        }
        let schedule = try misfits.collect { try folder.schedule() }
        try misfits.collect {
            try folder.open(layout.stageB)
            if let stageB {
                _ = try folder.withoutValues.stageB(stageB, space: SemanticLatentSpace())
            }
        }
        try misfits.collect {
            try folder.open(layout.stageA)
            if let stageA { _ = try folder.withoutValues.stageA(stageA) }
        }
        let readsText = stageB?.hasAttention ?? false
        let text =
            readsText
            ? try PipelineText(&folder, layout.decoderTextEncoder, noting: &misfits) : nil
        if let stageB, let text {
            try misfits.collect { try stageB.requireFit(text.configuration) }
        }
        if let stageB, let stageA { try misfits.collect { try stageB.requireFit(stageA) } }
        guard let scale, let stageB, let stageA, let schedule, text != nil || !readsText else {
            return nil
        }
        self.folder = folder
        self.text = text
        (self.stageB, self.stageA) = (stageB, stageA)
        self.schedule = schedule
        latentsPerPosition = scale
    }
}

/// A pipeline's tokenizer and what its text encoder is.
struct PipelineText {
    let tokenizer: CLIPTokenizer
    let configuration: CLIPTextModel.Configuration

    /// Reads them and opens the weights; nil where something is wrong, which is noted.
    init?(
        _ folder: inout CheckpointFolder, _ network: CheckpointLayout.Network,
        noting misfits: inout Misfits
    ) throws {
        let configuration = try misfits.collect {
            try folder.configuration(of: network) { (c: CLIPTextModel.Configuration) in
                try c.validate()
            }
        }
        let tokenizer = try misfits.collect { try folder.tokenizer() }
        if let configuration, let tokenizer {
            try misfits.collect { try tokenizer.requireFit(configuration) }
        }
        try misfits.collect {
            try folder.open(network)
            if let configuration { _ = try folder.withoutValues.textModel(configuration) }
        }
        guard let configuration, let tokenizer else { return nil }
        self.configuration = configuration
        self.tokenizer = tokenizer
    }
}
