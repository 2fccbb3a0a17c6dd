package import Foundation
internal import TensorCore

/// Decodes a JSON file.
///
/// - Throws: ``WuerstchenError`` that names the file and the field at fault.
package func decodeJSON<Value: Decodable>(_ type: Value.Type, from file: URL) throws -> Value {
    guard FileManager.default.fileExists(atPath: file.path) else {
        throw WuerstchenError(
            .fileNotFound, "\(file.path) is not there; a checkpoint needs this configuration file")
    }
    let data: Data
    do {
        data = try Data(contentsOf: file)
    } catch {
        throw WuerstchenError(.unreadableFile, "\(file.path) cannot be read", underlying: error)
    }
    do {
        return try JSONDecoder().decode(type, from: data)
    } catch let error as DecodingError {
        throw WuerstchenError(.malformedFile, "\(file.path): \(error.explanation)")
    }
}

extension DecodingError {
    /// The field at fault and what is wrong with it.
    fileprivate var explanation: String {
        func path(_ context: Context) -> String {
            let names = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return names.isEmpty ? "the file" : names.joined(separator: ".")
        }
        switch self {
        case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
        case .typeMismatch(let type, let context):
            let name = context.codingPath.isEmpty ? "a JSON object" : "of type \(type)"
            return "\(path(context)) is not \(name)"
        case .valueNotFound(let type, let context):
            return "\(path(context)) is null where a \(type) is needed"
        case .dataCorrupted(let context):
            return "\(path(context)) is not valid: \(context.debugDescription)"
        @unknown default: return "\(self)"
        }
    }
}
