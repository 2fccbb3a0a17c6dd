public import Foundation
internal import TensorCore

/// Decodes a JSON file, such as a network's `config.json`.
///
/// - Throws: ``WuerstchenError`` that names the file and the field at fault.
public func decodeJSON<Value: Decodable>(_ type: Value.Type, from file: URL) throws -> Value {
    guard let data = try readSmallFile(file) else {
        throw MissingFile.error(file, "a checkpoint needs this configuration file")
    }
    return try decodeJSON(type, data, name: file.path)
}

/// No configuration, vocabulary or list of words takes more bytes.
private let mostBytes = 1 << 28

/// The bytes of a file that is not weights; nil where there is neither a file nor a link of its
/// name.
///
/// - Throws: ``WuerstchenError`` with code `unreadableFile`, also for what is no regular file or
///   is too large, or `fileNotFound` for a link that leads nowhere.
func readSmallFile(_ file: URL) throws -> Data? {
    guard FileManager.default.fileExists(atPath: file.path) else {
        guard (try? FileManager.default.destinationOfSymbolicLink(atPath: file.path)) == nil else {
            throw MissingFile.error(file)
        }
        return nil
    }
    let count = try requireRegularFile(file)
    guard count <= mostBytes else {
        throw WuerstchenError(
            .unreadableFile,
            "\(file.path) has \(count) bytes, far more than a file of its kind; check which file is "
                + "which")
    }
    return try contents(of: file)
}

/// The text in a file; nil where there is neither a file nor a link of its name.
///
/// - Throws: As ``readSmallFile(_:)``, and ``WuerstchenError`` with code `malformedFile` for what
///   is no text in UTF-8.
func readText(_ file: URL) throws -> String? {
    guard let data = try readSmallFile(file) else { return nil }
    // A pointer or a web page has lines too.
    if let misfit = FileKind.misfit(data, of: data.count, name: file.path, expecting: .text) {
        throw misfit
    }
    guard let text = String(validating: withoutByteOrderMark(data), as: UTF8.self) else {
        throw WuerstchenError(
            .malformedFile, "\(file.path) is not text in UTF-8; save it as UTF-8")
    }
    return text
}

/// Decodes the contents of a JSON file; `name` is what messages call it.
///
/// - Throws: ``WuerstchenError`` that names the file and the field at fault.
func decodeJSON<Value: Decodable>(_ type: Value.Type, _ data: Data, name: String) throws -> Value {
    let contents = withoutByteOrderMark(data)
    let value = Result { try JSONDecoder().decode(type, from: contents) }
    // Where no field has to be there, a server's answer would be read as defaults.
    if case .success(let value) = value, FileKind.answer(contents) == nil { return value }
    if let misfit = FileKind.misfit(data, of: data.count, name: name, expecting: .json) {
        throw misfit
    }
    do {
        return try value.get()
    } catch {
        if let error = error as? WuerstchenError {
            throw WuerstchenError(error.code, "\(name) \(error.message)")
        }
        let finding = (error as? DecodingError)?.finding ?? "cannot be decoded"
        throw WuerstchenError(.malformedFile, "\(name) \(finding)", underlying: error)
    }
}

extension DecodingError {
    /// What was found in a JSON file where something else was expected, to follow the file's name.
    fileprivate var finding: String {
        switch self {
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .dataCorrupted(let context):
            return "\(Self.place(context.codingPath)): \(context.debugDescription)"
        case .keyNotFound(let key, let context):
            return "\(Self.place(context.codingPath)): '\(key.stringValue)' is missing"
        @unknown default:
            return "cannot be decoded"
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        guard !path.isEmpty else { return "at its top level" }
        return "at " + path.map { $0.intValue.map { "[\($0)]" } ?? "'\($0.stringValue)'" }.joined()
    }
}
