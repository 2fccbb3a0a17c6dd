import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen

/// An image that is made again as its file says.
struct Repetition {
    let record: GenerationRecord
    let file: URL
    private let original: Image

    init(_ path: String) throws {
        file = URL(fileURLWithPath: path)
        (record, original) = try GenerationRecord.read(contentsOf: file)
        guard record.decoder != .other else {
            throw WuerstchenError(
                .invalidRequest,
                "\(path) was decoded by something else than this command has")
        }
    }

    /// The request, if the cascade has the weights that made the image.
    func request(
        _ cascade: Cascade, _ edit: EditArguments, embeddings: PromptEmbeddings?
    ) throws -> GenerationRequest {
        let image = try edit.source.map { try Image(contentsOf: $0) }
        let mask = try edit.mask.map { try ImageMask(contentsOf: URL(fileURLWithPath: $0)) }
        let transparency =
            record.hasMask && mask == nil
            ? try edit.source.flatMap { try ImageMask(transparencyOf: $0) } : nil
        let request: GenerationRequest
        do {
            request = try record.request(
                image: image, mask: mask ?? transparency, embeddings: embeddings)
        } catch let error as WuerstchenError {
            let sources = [
                ("--image", record.startsFromImage, image != nil),
                ("--mask", record.hasMask, mask != nil),
                ("--embeddings", record.readsEmbeddings, embeddings != nil),
            ]
            let options =
                sources.first { $0.1 != $0.2 }.map { [$0.0] }
                ?? sources.filter(\.1).map(\.0)
            throw WuerstchenError(
                error.code,
                "\(file.path): \(error.message) (\(options.joined(separator: ", ")))")
        }
        do {
            try record.requireWeights(of: cascade, for: request)
        } catch let error as WuerstchenError {
            throw WuerstchenError(
                error.code,
                "\(file.path): \(error.message). Name the image's weights as they were named then, "
                    + "with --checkpoint, --fast, --stage-c, --stage-b, --stage-a and --lora")
        }
        return request
    }

    /// Says whether an image is the same.
    ///
    /// - Parameters:
    ///   - image: The image.
    ///   - progress: Where it is said.
    ///   - isOriginal: Whether it was to go where the other is, which is left as it was.
    /// - Throws: `ExitCode` when it is not.
    func compare(_ image: Image, _ progress: Progress, _ isOriginal: Bool) throws {
        guard image != original else {
            progress.note("the same image as \(file.path), bit for bit")
            return
        }
        let kernels = KernelLevel.active.rawValue
        StatusLine().note(
            "not the same image as \(file.path): "
                + (kernels == record.kernels
                    ? "it was changed, or made by another version or build (debug or release)"
                    : "it was computed with \(record.kernels) kernels, and here they are \(kernels), "
                        + "which round differently")
                + (isOriginal ? "; that one was left as it is, and --output keeps another" : ""))
        throw ExitCode.failure
    }
}
