private import Foundation
internal import TensorCore
internal import WuerstchenNN

extension LoRAFile {
    /// Reads the file and puts its adapters to the networks of a checkpoint.
    ///
    /// - Returns: A sentence for each network whose weights are others than those that the adapters
    ///   were trained beside.
    /// - Throws: As ``CascadeLoRA/init(contentsOf:for:)``.
    func attach(to prior: inout PriorContents?, _ main: inout DecoderContents?) throws -> [String] {
        guard scale.value.isFinite else {
            throw WuerstchenError(
                .invalidRequest, "the scale of \(file.path) is \(scale.value); it must be a number")
        }
        let layout = CheckpointLayout.published
        var layers: [CascadeLoRA.Network: [String: Shape]] = [:]
        if let prior {
            layers[.stageC] = try StageBlueprint<StageC>(configuration: prior.stageC)
                .adaptableLayers()
            layers[.textEncoder] = try prior.text.configuration.adaptableLayers()
        }
        if let main {
            layers[.stageB] = try StageBlueprint<StageB>(configuration: main.stageB)
                .adaptableLayers()
        }
        let read = try CascadeLoRA(contentsOf: file, for: layers)
        let parameters = try CheckpointParameters(contentsOf: file)
        let record = PartWeights.Adapter(
            lora: self, digest: try hexadecimalDigest { try parameters.add(to: &$0) })
        var notes: [String] = []
        func attach(
            _ network: CascadeLoRA.Network, _ place: CheckpointLayout.Network,
            _ folder: inout CheckpointFolder
        ) throws {
            guard let lora = read.networks[network] else { return }
            try folder.parameters(place).requireValues()
            let adapter = AdaptedParameters.Adapter(lora, scale: scale)
            folder.adapterRecords[place.folder, default: []].append(record)
            if isMerged {
                folder.adapters[place.folder, default: NetworkAdapters()].merged.append(adapter)
            } else {
                folder.adapters[place.folder, default: NetworkAdapters()].beside.append(adapter)
            }
            if let base = read.bases[network],
                try !folder.fingerprints(of: place).contains(base)
            {
                notes.append(
                    "\(file.path) was trained beside other weights than those of "
                        + "\(folder.url.appendingPathComponent(place.folder).path); it may do less "
                        + "than it was made for")
            }
        }
        if var contents = prior {
            try attach(.stageC, layout.stageC, &contents.folder)
            try attach(.textEncoder, layout.priorTextEncoder, &contents.folder)
            prior = contents
        }
        if var contents = main {
            try attach(.stageB, layout.stageB, &contents.folder)
            main = contents
        }
        return notes
    }
}

extension CLIPTextModel.Configuration {
    /// As ``StageBlueprint/adaptableLayers()``.
    package func adaptableLayers() throws -> [String: Shape] {
        try LoRA.layers { _ = try CLIPTextModel(configuration: self, parameters: $0) }
    }
}
