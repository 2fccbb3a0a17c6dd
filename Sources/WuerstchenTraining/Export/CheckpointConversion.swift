public import Foundation
internal import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// Writes a checkpoint anew, in another layout or with other numbers, and reads what it wrote.
///
/// Weights that are stored as the same numbers are copied byte for byte, so a conversion to another
/// layout and back gives the very weights. So does one to numbers that hold all of the others and
/// back: float16 or bfloat16 to float32.
///
/// In 8 bits a network's matrices are written as it multiplies them, with their scales, and what it
/// computes from their parameters once. Loaded in `Precision.int8` such a checkpoint makes the
/// images that the first makes in that precision, bit for bit and on every processor, and takes the
/// time of reading a quarter of it.
public struct CheckpointConversion: Sendable {
    /// How the parts of a checkpoint are laid out.
    public enum Layout: String, Sendable, CaseIterable {
        /// `wuerstchen-prior` and `wuerstchen`, as published.
        case published
        /// One folder, as diffusers saves the combined pipeline.
        case combined
        /// The same with a file for each stage, under the names of the original repository's code.
        case original
    }

    /// The numbers that weights are written as.
    public enum ElementType: String, Sendable, CaseIterable {
        /// 32-bit floats.
        case float32
        /// Half the size, and eleven significant bits; up to 65504.
        case float16
        /// Half the size, and eight significant bits; as large as float32's.
        case bfloat16
        /// A quarter of the size: the matrices of `Precision.int8`, and everything else as it is.
        /// They are not converted to other numbers again.
        case int8

        /// The floats that exported weights can be.
        public init(_ floats: WeightElementType) {
            self =
                switch floats {
                case .float32: .float32
                case .float16: .float16
                case .bfloat16: .bfloat16
                }
        }

        /// Nil for numbers that are no floats.
        fileprivate var floats: WeightElementType? { WeightElementType(rawValue: rawValue) }
    }

    /// What was found when a network was read again.
    public struct Verification: Sendable, CustomStringConvertible {
        /// The network's place in the published layout.
        public let network: String
        /// Its parameters.
        public let parameters: Int
        /// Its elements.
        public let elements: Int
        /// Those of them that are not what they were, because the numbers hold less.
        public let rounded: Int
        /// How much they are off, relative to the root mean square of their parameter, at most.
        public let largestError: Double

        /// A line for a person.
        public var description: String {
            "\(network): \(parameters) parameters, \(elements) elements, "
                + (rounded == 0
                    ? "all as they were"
                    : "\(rounded) rounded, by \(String(format: "%.2g", largestError)) of their "
                        + "parameter's scale at most")
        }
    }

    private let contents: CheckpointContents
    /// The layout that is written.
    public let layout: Layout
    /// The numbers that are written; nil for those that there are.
    public let elementType: ElementType?

    /// A conversion of a checkpoint, whose parts are found to belong together first.
    ///
    /// - Parameters:
    ///   - checkpoint: The checkpoint's folder, in any layout.
    ///   - variant: Which of several variants of the weights to take.
    ///   - layout: The layout to write.
    ///   - elementType: The numbers to write; nil for those that each parameter is stored as.
    /// - Throws: `WuerstchenError` that names everything that is missing or does not fit; with code
    ///   `invalidRequest` for 8 bits in the original layout, and with `incompatibleParameters` for
    ///   8 bits as other numbers.
    public init(
        of checkpoint: URL, variant: String? = nil, to layout: Layout,
        elementType: ElementType? = nil
    ) throws {
        contents = try CheckpointContents(checkpoint, variant: variant)
        (self.layout, self.elementType) = (layout, elementType)
        for network in contents.networks where elementType?.floats != nil {
            try network.parameters.requireValues()
        }
        let isPacked =
            elementType == .int8 || contents.networks.contains { $0.parameters.isPacked }
        if isPacked, layout == .original {
            throw WuerstchenError(
                .invalidRequest,
                "the original layout has no weights in int8; write the published or the combined "
                    + "one")
        }
    }

    /// Writes the checkpoint.
    ///
    /// - Parameters:
    ///   - target: Its folder, which is made if it is not there.
    ///   - replaces: Whether to write into a folder that has something in it.
    ///   - progress: Called with the result for each network.
    /// - Throws: `WuerstchenError` with code `unwritableFile`; `notFinite` for a number that the
    ///   element type cannot hold, which names the parameter; `malformedFile` if what was written
    ///   is not what is read again.
    public func write(
        to target: URL, replaces: Bool = false, progress: (Verification) -> Void = { _ in }
    ) throws {
        try requireSameLayout(in: target)
        try CheckpointExport.fill(target, replaces: replaces) {
            try convert(to: target)
            try verify(target, progress)
        }
    }

    /// Refuses a folder that has a checkpoint in another layout, which would stay beside the new
    /// one and might be what is read.
    private func requireSameLayout(in target: URL) throws {
        let marks: [Layout: [String]] = [
            .published: [published.prior, published.decoder],
            .combined: [
                combinedName(published.stageC.folder, published.prior),
                combinedName(published.stageB.folder, published.decoder),
            ],
            .original: Self.originalNames.values.map { "\($0).safetensors" },
        ]
        let inside = (try? FileManager.default.contentsOfDirectory(atPath: target.path)) ?? []
        for (other, names) in marks where other != layout {
            guard let name = names.first(where: inside.contains) else { continue }
            throw WuerstchenError(
                .unwritableFile,
                "\(target.path) has a checkpoint in the \(other.rawValue) layout (\(name)), beside "
                    + "which one in the \(layout.rawValue) layout would not be found; choose another "
                    + "folder, or remove that one")
        }
    }

    /// What stages are called in the original layout.
    private static var originalNames: [CheckpointLayout.Network: String] {
        let published = CheckpointLayout.published
        return [
            published.stageC: "stage_c", published.stageB: "stage_b", published.stageA: "vqgan",
        ]
    }

    private func convert(to target: URL) throws {
        for network in contents.networks { try write(network, to: target) }
        try writePipelines(to: target)
        let format = ["format": "pt"]
        if let compressor = contents.compressor {
            try Safetensors.write(
                compressor.sources(as: elementType?.floats), metadata: format,
                to: target.appendingPathComponent(CheckpointLayout.published.compressor))
        }
        if let preview = contents.preview {
            try Safetensors.write(
                CheckpointParameters(contentsOf: preview).sources(as: elementType?.floats),
                metadata: format,
                to: target.appendingPathComponent(CheckpointLayout.published.previews[0]))
        }
    }

    // MARK: -

    private var published: CheckpointLayout { .published }

    private func write(_ network: CheckpointContents.Network, to target: URL) throws {
        let place = network.place
        let isStage = place.stem != published.priorTextEncoder.stem
        var metadata = try network.parameters.metadata.merging(
            WeightsOrigin.metadata(convertedFrom: network.files)
        ) { $1 }
        guard layout == .original, isStage else {
            let path =
                layout == .published ? place.path : combinedName(place.folder, place.pipeline)
            let sources: [Safetensors.Source]
            if packs(network) {
                sources = try network.packedSources()
                metadata.merge(MatrixRecorder.metadata) { $1 }
            } else {
                sources = network.parameters.sources(as: elementType?.floats)
            }
            return try NetworkFolder(target.appendingPathComponent(path)).write(
                sources, network.configuration, stem: place.stem, metadata: metadata)
        }
        let file = target.appendingPathComponent(Self.originalNames[place] ?? place.folder)
        try Safetensors.write(
            network.parameters.sources(as: elementType?.floats, isOriginal: true),
            metadata: metadata.merging(["format": "pt"]) { $1 },
            to: file.appendingPathExtension("safetensors"))
        // Not all of it can be told from the shapes.
        try encodeJSON(network.configuration, to: file.appendingPathExtension("json"))
    }

    /// The name of a part in the combined pipeline.
    private func combinedName(_ part: String, _ pipeline: String) -> String {
        pipeline == published.prior ? "prior_\(part)" : part
    }

    /// Writes tokenizers, schedules and indices.
    private func writePipelines(to target: URL) throws {
        let export = CheckpointExport(to: target)
        if layout == .published {
            try export.writePriorIndex(
                space: contents.space, side: contents.side, schedule: contents.prior.schedule)
            try export.writeDecoderIndex(
                space: contents.space, schedule: contents.decoder.schedule)
        } else {
            try export.writeCombinedIndex(
                space: contents.space, side: contents.side,
                schedules: (contents.prior.schedule, contents.decoder.schedule))
        }
        for (pipeline, name) in [
            (contents.prior, published.prior), (contents.decoder, published.decoder),
        ] {
            guard let tokenizer = pipeline.tokenizer else { continue }
            let folder =
                layout == .published
                ? "\(name)/\(published.tokenizer)" : combinedName(published.tokenizer, name)
            try copyFiles(of: tokenizer, to: target.appendingPathComponent(folder))
        }
    }

    /// Whether a network's parameters become matrices in 8 bits. If it has such they are copied.
    private func packs(_ network: CheckpointContents.Network) -> Bool {
        elementType == .int8 && !network.parameters.isPacked
    }

    /// Reads everything again and compares it.
    private func verify(_ target: URL, _ progress: (Verification) -> Void) throws {
        let written = try CheckpointContents(target)
        for (network, other) in zip(contents.networks, written.networks) {
            let comparison = WeightComparison(
                network.parameters, other.parameters, elementType?.floats, in: target)
            let packed = packs(network) ? try comparison.comparePacked(network) : []
            try comparison.compareStored(leavingOut: packed)
            progress(
                Verification(
                    network: network.place.path,
                    parameters: network.parameters.names?.count ?? 0,
                    elements: comparison.elements, rounded: comparison.rounded,
                    largestError: comparison.largestError))
        }
    }
}
