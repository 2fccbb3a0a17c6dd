package import Foundation

/// What a file's contents show it to be, where another kind of file was expected: what comes of
/// interrupted downloads, of links that were saved in place of files, and of other programs.
package struct FileKind: Sendable {
    /// What was expected.
    package enum Expectation: String, Sendable {
        case safetensors = "a safetensors file"
        case json = "a JSON file"
        case text = "a text file"
    }

    /// What it is, to follow "it is".
    let finding: String
    /// What to do about it.
    let advice: String

    private init(_ finding: String, _ advice: String) {
        (self.finding, self.advice) = (finding, advice)
    }

    /// How much of a file is looked at.
    private static let reach = 1 << 16

    /// The error for a file of another kind than was expected; nil where its contents do not give
    /// away what it is.
    package static func misfit(
        _ file: MappedFile, expecting expected: Expectation
    ) -> WuerstchenError? {
        let start = file.copy(of: 0..<min(reach, file.byteCount))
        return misfit(start, of: file.byteCount, name: file.url.path, expecting: expected)
    }

    /// The same for a file that has been read, or its beginning.
    package static func misfit(
        _ bytes: some Collection<UInt8>, of byteCount: Int, name: String,
        expecting expected: Expectation
    ) -> WuerstchenError? {
        let start = Array(bytes.prefix(reach))
        guard let kind = kind(start, of: byteCount, expected) else { return nil }
        return WuerstchenError(
            .malformedFile,
            "\(name) is not \(expected.rawValue): it is \(kind.finding); \(kind.advice)")
    }

    private static func kind(
        _ start: [UInt8], of byteCount: Int, _ expected: Expectation
    ) -> FileKind? {
        guard !start.isEmpty else {
            return FileKind(
                "empty (0 bytes)", "its download did not begin or was undone; download it again")
        }
        if start.allSatisfy({ $0 == 0 }) {
            return FileKind(
                byteCount == start.count ? "nothing but zeros" : "zeros where it should begin",
                "its download was interrupted, or its disk lost it; download it again")
        }
        return binary(start, expected) ?? text(start, of: byteCount, expected)
    }

    // MARK: Binary formats

    /// Formats that begin with bytes of their own, and what to do with one.
    private static let magics: [(String, [UInt8], String)] = [
        ("a GGUF file", Array("GGUF".utf8), noQuantised),
        ("a GGML file", Array("lmgg".utf8), noQuantised),
        ("compressed with gzip", [0x1F, 0x8B], "decompress it with gunzip"),
        ("compressed with Zstandard", [0x28, 0xB5, 0x2F, 0xFD], "decompress it with unzstd"),
        ("compressed with xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A], "decompress it with unxz"),
        ("compressed with bzip2", Array("BZh".utf8), "decompress it with bunzip2"),
        ("a 7z archive", [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "unpack it"),
        ("a RAR archive", Array("Rar!".utf8), "unpack it"),
        ("an HDF5 file, as Keras writes", [0x89, 0x48, 0x44, 0x46], noFormat),
        ("a NumPy array", [0x93] + Array("NUMPY".utf8), noFormat),
        ("an image", [0x89, 0x50, 0x4E, 0x47], "check which file is which"),
        ("an image", [0xFF, 0xD8, 0xFF], "check which file is which"),
    ]

    private static let noFormat = "get the model's weights as safetensors"
    private static let noQuantised =
        "that format is not read; get the model's weights as safetensors, and choose a precision "
        + "when they are loaded"
    private static let noPickle =
        "pickles are not read, since reading one runs the code in it; get the weights as "
        + "safetensors, or convert them with the Python package safetensors"

    private static func binary(_ start: [UInt8], _ expected: Expectation) -> FileKind? {
        let zip: [UInt8] = [0x50, 0x4B, 3, 4]
        // The length of a safetensors header may look like anything.
        let hasHeader =
            start.count > 8 && start[8] == UInt8(ascii: "{") && start[4..<8].allSatisfy { $0 == 0 }
        if hasHeader {
            return expected == .safetensors
                ? nil : FileKind("a safetensors file", "check which file is which")
        }
        if start.starts(with: zip) {
            return start.prefix(1 << 10).firstRange(of: "data.pkl".utf8) == nil
                ? FileKind("a ZIP archive", "unpack it")
                : FileKind("a pickle that PyTorch wrote (.bin, .pt, .ckpt)", noPickle)
        }
        if start[0] == 0x80, start.count > 1, (2...5).contains(start[1]) {
            return FileKind("a Python pickle (.bin, .pt, .ckpt, .pkl)", noPickle)
        }
        if start.count > 262, start[257..<262].elementsEqual("ustar".utf8) {
            return FileKind("a tar archive", "unpack it")
        }
        if expected == .text || expected == .json,
            start.starts(with: [0xFF, 0xFE])
                || start.starts(with: [0xFE, 0xFF])
        {
            return FileKind("text in UTF-16", "save it as UTF-8")
        }
        return magics.first { start.starts(with: $0.1) }.map { FileKind($0.0, $0.2) }
    }

    // MARK: Text

    private static func text(
        _ start: [UInt8], of byteCount: Int, _ expected: Expectation
    ) -> FileKind? {
        let head = start.prefix(1 << 12)
        let begin = head.starts(with: byteOrderMark) ? byteOrderMark.count : 0
        // The end may cut a character in two.
        let words = String(decoding: head.dropFirst(begin), as: UTF8.self)
            .drop { $0.isWhitespace }
        if words.hasPrefix("version https://git-lfs.github.com/spec/") {
            let size = words.split(whereSeparator: \.isNewline).first { $0.hasPrefix("size ") }
            let bytes = size.flatMap { Int($0.dropFirst(5)) }
            return FileKind(
                "a pointer that git-lfs left in place of the file"
                    + (bytes.map { " of \($0) bytes" } ?? ""),
                "run `git lfs install` and then `git lfs pull` in the cloned folder, or download "
                    + "the file itself")
        }
        let lower = words.prefix(64).lowercased()
        if lower.hasPrefix("<!doctype html") || lower.hasPrefix("<html") {
            return FileKind(
                "a web page",
                "download the file itself: on Hugging Face its address has /resolve/ in place of "
                    + "/blob/, and a model that asks for consent needs a token")
        }
        if lower.hasPrefix("<?xml") || lower.hasPrefix("<error") {
            return FileKind("a server's answer in XML", download)
        }
        if words.hasPrefix("{") || words.hasPrefix("[") {
            return json(Data(start.dropFirst(begin)), isWhole: start.count == byteCount, expected)
        }
        let isText =
            !words.isEmpty
            && words.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && $0.value != 0xFFFD || $0.properties.isWhitespace
            }
        guard isText, expected != .text, !(expected == .json && isJSON(start)) else { return nil }
        let isAnswer = byteCount < 1 << 10
        return FileKind("text (\(quoted(words)))", isAnswer ? download : "check which file it is")
    }

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
    private static let download =
        "the server did not give the file out; check the address and the permission, and download "
        + "it again"

    private static func json(
        _ data: Data, isWhole: Bool, _ expected: Expectation
    ) -> FileKind? {
        if isWhole, let words = answer(data) {
            return FileKind("a server's answer (\(quoted(words[...])))", download)
        }
        guard expected == .safetensors else { return nil }
        return FileKind("JSON", "check which file is which, or download it again")
    }

    /// What a server says in place of a file, in JSON; nil for other contents.
    package static func answer(_ data: Data) -> String? {
        guard data.count < 1 << 14,
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return nil }
        func words(_ value: Any?) -> String? {
            switch value {
            case let text as String: text
            case let list as [Any]: words(list.first)
            case let object as [String: Any]: words(in: object)
            default: nil
            }
        }
        func words(in object: [String: Any]) -> String? {
            // A tokenizer's settings may have `errors` too, which is then a word.
            ["error", "message", "detail"].lazy.compactMap { words(object[$0]) }.first
                ?? words(object["errors"] as? [Any])
        }
        return words(in: object)
    }

    /// Whether the whole file is JSON, such as a lone number, and wrong for another reason.
    private static func isJSON(_ start: [UInt8]) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(start), options: .fragmentsAllowed)) != nil
    }

    private static func quoted(_ words: Substring) -> String {
        let line = words.prefix { !$0.isNewline }
        return String(line.prefix(80)).debugDescription + (line.count > 80 ? "…" : "")
    }
}

/// The bytes of a text without the mark that some editors write in front of UTF-8.
package func withoutByteOrderMark(_ data: Data) -> Data {
    data.starts(with: [0xEF, 0xBB, 0xBF]) ? Data(data.dropFirst(3)) : data
}
