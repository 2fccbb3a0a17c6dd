package import Foundation
package import TensorCore
package import WuerstchenNN

/// All parts of a checkpoint in any layout, read and found to belong together, for whoever writes
/// them in another.
package struct CheckpointContents: Sendable {
    /// A network's parameters, under published names, and its architecture's numbers.
    package struct Network: Sendable {
        /// Where it lies in the published layout.
        package let place: CheckpointLayout.Network
        package let parameters: CheckpointParameters
        package let configuration: any Encodable & Sendable
        /// Where its files are.
        package let files: URL
    }

    /// A tokenizer's folder and the noise schedule.
    package struct Pipeline: Sendable {
        /// Nil for a pipeline that reads no text.
        package let tokenizer: URL?
        package let schedule: NoiseSchedule
    }

    /// All networks.
    package let networks: [Network]
    package let prior: Pipeline
    package let decoder: Pipeline
    /// How latents relate to each other and to images.
    package let space: SemanticLatentSpace
    /// The side of images that the networks were trained at.
    package let side: Int
    package let preview: URL?
    package let compressor: CheckpointParameters?

    /// Reads a checkpoint's folder.
    ///
    /// - Throws: As ``Cascade/init(contentsOf:variant:precision:memory:replacing:loras:)``.
    package init(_ directory: URL, variant: String? = nil) throws {
        // Says what is missing and what does not fit, all of it.
        let cascade = try Cascade(contentsOf: directory, variant: variant, memory: .sequential)
        let places = try CheckpointPlaces(directory)
        let layout = CheckpointLayout.published
        func folder(_ pipeline: CheckpointPlaces.Pipeline) throws -> CheckpointFolder {
            try CheckpointFolder(pipeline, variant: variant, precision: .float32, replacing: [:])
        }
        var misfits = Misfits()
        guard let prior = try PriorContents(folder(places.prior), noting: &misfits),
            let main = try DecoderContents(folder(places.decoder), noting: &misfits)
        else {
            try misfits.report()
            throw MissingFile.error(directory)
        }
        func network(
            _ place: CheckpointLayout.Network, _ configuration: any Encodable & Sendable,
            _ folder: CheckpointFolder
        ) throws -> Network {
            Network(
                place: place, parameters: try folder.parameters(place),
                configuration: configuration, files: folder.location(place.folder))
        }
        var networks = [
            try network(layout.stageC, prior.stageC, prior.folder),
            try network(layout.priorTextEncoder, prior.text.configuration, prior.folder),
            try network(layout.stageB, main.stageB, main.folder),
            try network(layout.stageA, main.stageA, main.folder),
        ]
        if let text = main.text {
            networks.append(
                try network(layout.decoderTextEncoder, text.configuration, main.folder))
        }
        self.networks = networks
        self.prior = Pipeline(tokenizer: prior.folder.tokenizerFolder, schedule: prior.schedule)
        decoder = Pipeline(
            tokenizer: main.text == nil ? nil : main.folder.tokenizerFolder,
            schedule: main.schedule)
        space = cascade.latentSpace
        side = cascade.defaultSize.width
        preview = places.previewFile
        compressor = try places.compressor()
    }
}

extension CheckpointParameters {
    /// The parameters as they are written, those of several in one tensor as the original
    /// repository's code has them.
    ///
    /// - Parameters:
    ///   - elementType: The numbers to store; nil for those that each is stored as now.
    ///   - isOriginal: Whether names are the original ones.
    /// - Returns: What is to be written.
    package func sources(
        as elementType: WeightElementType?, isOriginal: Bool = false
    ) -> [Safetensors.Source] {
        var parts: [String: [(part: Int, name: String)]] = [:]
        for name in storedNames {
            let original = isOriginal ? OriginalNames.original(name) : (name: name, part: nil)
            parts[original.name, default: []].append((original.part ?? 0, name))
        }
        return parts.compactMap { name, parts in
            let parts = parts.sorted { $0.part < $1.part }.map(\.name)
            guard let first = parts.first, var shape = storedShape(of: first),
                let stored = self.elementType(of: first)
            else { return nil }
            if parts.count > 1 {
                shape[0] = parts.compactMap { storedShape(of: $0)?.first }.reduce(0, +)
            }
            // Counts and positions stay integers.
            let target = elementType.flatMap { stored.isFloat ? $0 : nil }
            let type = target?.stored ?? stored
            return Safetensors.Source(name: name, elementType: type, shape: shape) { write in
                for part in parts {
                    guard let target, self.elementType(of: part) != type else {
                        try withBytes(of: part, write)
                        continue
                    }
                    guard let values = try floats(of: part) else { continue }
                    try target.validate(values, part)
                    try target.write(values, write)
                }
            }
        }
    }
}

extension Safetensors.ElementType {
    fileprivate var isFloat: Bool { [.f16, .bf16, .f32, .f64].contains(self) }
}
