public import Foundation
internal import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// Writes a checkpoint anew, in another layout or with other numbers, and reads what it wrote.
///
/// Weights that are stored as the same numbers are copied byte for byte, so a conversion to another
/// layout and back gives the very weights. So does one to numbers that hold all of the others and
/// back: float16 or bfloat16 to float32.
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
    public let elementType: WeightElementType?

    /// A conversion of a checkpoint, whose parts are found to belong together first.
    ///
    /// - Parameters:
    ///   - checkpoint: The checkpoint's folder, in any layout.
    ///   - variant: Which of several variants of the weights to take.
    ///   - layout: The layout to write.
    ///   - elementType: The numbers to write; nil for those that each parameter is stored as.
    /// - Throws: `WuerstchenError` that names everything that is missing or does not fit.
    public init(
        of checkpoint: URL, variant: String? = nil, to layout: Layout,
        elementType: WeightElementType? = nil
    ) throws {
        contents = try CheckpointContents(checkpoint, variant: variant)
        (self.layout, self.elementType) = (layout, elementType)
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
        if !replaces { try CheckpointExport.requireEmpty(target) }
        try makeFolder(target)
        for network in contents.networks { try write(network, to: target) }
        try writePipelines(to: target)
        let format = ["format": "pt"]
        if let compressor = contents.compressor {
            try Safetensors.write(
                compressor.sources(as: elementType), metadata: format,
                to: target.appendingPathComponent(CheckpointLayout.published.compressor))
        }
        if let preview = contents.preview {
            try Safetensors.write(
                CheckpointParameters(contentsOf: preview).sources(as: elementType),
                metadata: format,
                to: target.appendingPathComponent(CheckpointLayout.published.previews[0]))
        }
        try verify(target, progress)
    }

    // MARK: -

    private var published: CheckpointLayout { .published }

    private func write(_ network: CheckpointContents.Network, to target: URL) throws {
        let place = network.place
        let isStage = place.stem != published.priorTextEncoder.stem
        let metadata = network.parameters.metadata
        guard layout == .original, isStage else {
            let path =
                layout == .published ? place.path : combinedName(place.folder, place.pipeline)
            return try NetworkFolder(target.appendingPathComponent(path)).write(
                network.parameters.sources(as: elementType), network.configuration,
                stem: place.stem, metadata: metadata)
        }
        let names = [
            published.stageC: "stage_c", published.stageB: "stage_b", published.stageA: "vqgan",
        ]
        let file = target.appendingPathComponent(names[place] ?? place.folder)
        try Safetensors.write(
            network.parameters.sources(as: elementType, isOriginal: true),
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

    /// Reads everything again and compares it.
    private func verify(_ target: URL, _ progress: (Verification) -> Void) throws {
        let written = try CheckpointContents(target)
        for (network, other) in zip(contents.networks, written.networks) {
            let names = network.parameters.names ?? []
            guard names == other.parameters.names else {
                throw mismatch(target, network.place.path)
            }
            var (elements, rounded, largest) = (0, 0, 0.0)
            for name in names.sorted() {
                guard let before = try network.parameters.floats(of: name),
                    let after = try other.parameters.floats(of: name)
                else { continue }
                guard before.shape == after.shape, elementType?.isSame(before, after) ?? true else {
                    throw mismatch(target, name)
                }
                let (count, error) = Self.differences(before, after)
                guard elementType != nil || count == 0 else { throw mismatch(target, name) }
                elements += before.count
                rounded += count
                largest = max(largest, error)
            }
            progress(
                Verification(
                    network: network.place.path, parameters: names.count, elements: elements,
                    rounded: rounded, largestError: largest))
        }
    }

    private func mismatch(_ target: URL, _ name: String) -> WuerstchenError {
        WuerstchenError(
            .malformedFile,
            "\(name) in \(target.path) is not what was written; check the disk and convert again")
    }

    /// How many elements differ, and the largest difference relative to the root mean square.
    private static func differences(_ a: Tensor, _ b: Tensor) -> (count: Int, error: Double) {
        a.withUnsafeElements { a in
            b.withUnsafeElements { b in
                var (count, largest, squares) = (0, 0.0, 0.0)
                for index in a.indices {
                    squares += Double(a[index]) * Double(a[index])
                    guard a[index].bitPattern != b[index].bitPattern else { continue }
                    count += 1
                    largest = max(largest, abs(Double(a[index]) - Double(b[index])))
                }
                let scale = (squares / Double(max(1, a.count))).squareRoot()
                return (count, count == 0 ? 0 : largest / max(scale, .leastNormalMagnitude))
            }
        }
    }
}
