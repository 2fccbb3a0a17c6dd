import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenTraining

/// Where the images go: PNG files, or standard output.
struct OutputFiles {
    private let folder: URL
    /// The name without its number and `.png`; nil for standard output.
    private let stem: String?
    private let ending: String
    /// Those of all images.
    private let seeds: [UInt64]
    /// Whether the name itself tells all images apart.
    private let isToldApart: Bool

    private var count: Int { seeds.count }

    /// What stands for something of an image in a name.
    private static let placeholders = ["{number}", "{seed}"]

    /// The files of images of the given seeds.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` for a name of another format or of a
    ///   folder, or for several images on standard output; `unwritableFile` for that of a device.
    init(_ path: String, seeds: [UInt64]) throws {
        self.seeds = seeds
        guard path != "-" else {
            guard seeds.count == 1 else {
                throw WuerstchenError(
                    .invalidRequest,
                    "\(seeds.count) images cannot go to standard output; it takes a single one")
            }
            (folder, stem, ending) = (URL(fileURLWithPath: "."), nil, "png")
            isToldApart = true
            return
        }
        let file = URL(fileURLWithPath: path)
        guard !path.isEmpty else {
            throw WuerstchenError(.invalidRequest, "--output is empty; name a file")
        }
        guard !path.hasSuffix("/") else {
            throw WuerstchenError(
                .invalidRequest,
                "--output \(path) is a folder; name the file in it, such as \(path)image.png")
        }
        let name = file.lastPathComponent
        let ending = Self.ending(of: name)
        guard ending == nil || ending?.lowercased() == "png" else {
            throw WuerstchenError(
                .invalidRequest,
                "--output \(path): images are written as PNG; name a file that ends in .png")
        }
        let known = Self.placeholders.reduce(name) { $0.replacing($1, with: "") }
        if let other = known.firstMatch(of: /\{[^{}]*\}/)?.output {
            throw WuerstchenError(
                .invalidRequest,
                "--output \(path): \(other) stands for nothing in a name; "
                    + "\(Self.placeholders.joined(separator: " and ")) do")
        }
        // A name without a format is not completed if it is that of something.
        if ending == nil, name.utf8.count <= Int(NAME_MAX) {
            try requirePlace(for: file, or: Self.advice)
        }
        folder = file.deletingLastPathComponent()
        stem = ending.map { String(name.dropLast($0.count + 1)) } ?? name
        self.ending = ending ?? "png"
        isToldApart =
            name.contains("{number}") || name.contains("{seed}") && Set(seeds).count == seeds.count
    }

    /// What to do in place of naming a device.
    private static let advice = "--output takes a file's name, or - for standard output"

    /// All files; none for standard output.
    var all: [URL] { (0..<count).compactMap { self[$0] } }

    /// What follows the last point of a name if it looks like a format: a letter, then up to four
    /// letters and digits. `v1.2` and `cat v1.2 best` have none.
    private static func ending(of name: String) -> String? {
        guard let point = name.lastIndex(of: "."), point > name.startIndex else { return nil }
        let ending = name[name.index(after: point)...]
        let isFormat =
            (1...5).contains(ending.count) && ending.first?.isLetter == true
            && ending.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        return isFormat ? String(ending) : nil
    }

    /// `house.png`, or `house-1.png`, `house-2.png` and so on where there are several; nil for
    /// standard output. `{seed}` and `{number}` in the name stand for those of the image, which is
    /// then not numbered behind.
    subscript(index: Int) -> URL? {
        guard let stem else { return nil }
        let name = stem.replacing("{number}", with: "\(index + 1)")
            .replacing("{seed}", with: "\(seeds[index])")
        let number = count > 1 && !isToldApart ? "-\(index + 1)" : ""
        return folder.appendingPathComponent("\(name)\(number).\(ending)")
    }

    /// Writes an image.
    func write(_ image: Image, _ index: Int, text: [(key: String, value: String)]) throws {
        if let file = self[index] {
            try image.write(to: file, text: text)
        } else {
            try FileHandle.standardOutput.write(contentsOf: image.pngData(text: text))
        }
    }

    /// Whether an image is there already.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` where another image is.
    func isMade(
        _ index: Int, _ request: GenerationRequest, _ cascade: Cascade
    ) throws -> Bool {
        guard let file = self[index], FileManager.default.fileExists(atPath: file.path) else {
            return false
        }
        guard try GenerationRecord(contentsOf: file) == cascade.record(of: request) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(file.path) is an image of another request, or of other weights or kernels; choose "
                    + "another name, or make it anew without --resume")
        }
        return true
    }

    /// Finds out before the work, not after it, whether its result can be kept.
    func check(_ replacement: ReplacementArguments) throws {
        guard stem != nil else {
            guard isatty(STDOUT_FILENO) == 0 else {
                throw WuerstchenError(
                    .unwritableFile,
                    "standard output is a terminal, which cannot show a PNG; redirect it to a file")
            }
            return
        }
        try requireWritable(folder)
        let targets = all
        for target in targets { try requirePlace(for: target, or: Self.advice) }
        try replacement.check(targets)
    }
}

/// The folder that the steps' previews go to.
struct PreviewFolder {
    private let folder: URL

    init(_ path: String, _ replacement: ReplacementArguments) throws {
        folder = URL(fileURLWithPath: path)
        // A folder for them is made, but none that it would lie in, as for images.
        if !FileManager.default.fileExists(atPath: path) {
            try requireWritable(folder.deletingLastPathComponent())
        }
        try makeWritable(folder)
        try replacement.check(Self.previews(in: folder))
    }

    private static func previews(in folder: URL) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.lastPathComponent.hasPrefix("step-") && $0.pathExtension == "png" }
    }

    /// Writes the previews of a step. Those of an earlier run go before the first.
    ///
    /// - Returns: Their files.
    func write(_ images: [Image], step: Int) throws -> [URL] {
        if step == 0 {
            for file in try Self.previews(in: folder) where isWrittenByThisPackage(file) {
                try FileManager.default.removeItem(at: file)
            }
        }
        let number = String(step + 1)
        let padded = String(repeating: "0", count: max(0, 3 - number.count)) + number
        return try images.enumerated().map { index, image in
            let suffix = images.count > 1 ? "-\(index + 1)" : ""
            let file = folder.appendingPathComponent("step-\(padded)\(suffix).png")
            try image.write(to: file, text: [Image.software])
            return file
        }
    }
}
