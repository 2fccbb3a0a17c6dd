package import Foundation
internal import TensorCore

/// Decodes a JSON file.
///
/// - Throws: ``WuerstchenError`` that names the file and the field at fault.
package func decodeJSON<Value: Decodable>(_ type: Value.Type, from file: URL) throws -> Value {
    guard let data = try readSmallFile(file) else {
        throw MissingFile.error(file, "a checkpoint needs this configuration file")
    }
    return try decodeJSON(type, data, name: file.path)
}

/// The bytes of a file that is not weights; nil where there is neither a file nor a link of its
/// name.
///
/// - Throws: ``WuerstchenError`` with code `unreadableFile`, or `fileNotFound` for a link that
///   leads nowhere.
func readSmallFile(_ file: URL) throws -> Data? {
    guard FileManager.default.fileExists(atPath: file.path) else {
        guard (try? FileManager.default.destinationOfSymbolicLink(atPath: file.path)) == nil else {
            throw MissingFile.error(file)
        }
        return nil
    }
    do {
        return try Data(contentsOf: file)
    } catch {
        throw WuerstchenError(
            .unreadableFile, "\(file.path) cannot be read; expected a file", underlying: error)
    }
}

/// Decodes the contents of a JSON file; `name` is what messages call it.
///
/// - Throws: ``WuerstchenError`` that names the file and the field at fault.
func decodeJSON<Value: Decodable>(_ type: Value.Type, _ data: Data, name: String) throws -> Value {
    do {
        return try JSONDecoder().decode(type, from: withoutByteOrderMark(data))
    } catch {
        if let misfit = FileKind.misfit(data, of: data.count, name: name, expecting: .json) {
            throw misfit
        }
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
