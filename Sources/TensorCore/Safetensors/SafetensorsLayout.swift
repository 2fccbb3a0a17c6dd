/// Where each tensor will lie in a file to be written, and the header that says so.
struct SafetensorsLayout {
    struct Part {
        let source: Safetensors.Source
        let byteCount: Int
    }

    /// The start of the data is a multiple of this, the width of a cache line.
    private static let alignment = 64

    let parts: [Part]
    /// The length prefix and the JSON, padded.
    let header: [UInt8]

    init(_ sources: [Safetensors.Source], metadata: [String: String], file: String) throws {
        parts = try sources.map { try Self.part($0, file: file) }.sorted {
            ($1.source.elementType.byteCount, $0.source.name)
                < ($0.source.elementType.byteCount, $1.source.name)
        }
        header = try Self.header(parts, metadata: metadata, file: file)
    }

    private static func part(_ source: Safetensors.Source, file: String) throws -> Part {
        let name = Safetensors.quoted(source.name)
        guard source.name != SafetensorsHeader.metadataKey else {
            throw WuerstchenError(
                .invalidRequest,
                "\(file): the name \(name) is reserved by the format; rename the tensor")
        }
        guard let byteCount = source.elementType.byteCount(shape: source.shape) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(file): the tensor \(name) has the shape \(source.shape), which is negative or "
                    + "too large to count its bytes; give its true shape")
        }
        return Part(source: source, byteCount: byteCount)
    }

    private static func header(
        _ parts: [Part], metadata: [String: String], file: String
    ) throws -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let notes = metadata.sorted { $0.key < $1.key }.map {
                "\(json($0.key)):\(json($0.value))"
            }
            members.append(
                "\(json(SafetensorsHeader.metadataKey)):{\(notes.joined(separator: ","))}")
        }
        var names: Set<String> = []
        var begin = 0
        for part in parts {
            let (end, overflow) = begin.addingReportingOverflow(part.byteCount)
            let name = part.source.name
            guard names.insert(name).inserted, !overflow else {
                let problem = overflow ? "makes the file too large" : "is given twice"
                throw WuerstchenError(
                    .invalidRequest,
                    "\(file): the tensor \(Safetensors.quoted(name)) \(problem); give it once and "
                        + "with its true shape")
            }
            let shape = part.source.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(json(name)):{\"dtype\":\"\(part.source.elementType.rawValue)\","
                    + "\"shape\":[\(shape)],\"data_offsets\":[\(begin),\(end)]}")
            begin = end
        }
        let text = Array("{\(members.joined(separator: ","))}".utf8)
        let unpadded = SafetensorsHeader.prefixByteCount + text.count
        let padding = (alignment - unpadded % alignment) % alignment
        let count = text.count + padding
        guard count <= SafetensorsHeader.maximumByteCount else {
            throw WuerstchenError(
                .invalidRequest,
                "\(file): the header would take \(count) bytes, and the format allows "
                    + "\(SafetensorsHeader.maximumByteCount); shorten the names or the metadata")
        }
        let prefix = unsafe withUnsafeBytes(of: UInt64(count).littleEndian, Array.init)
        return prefix + text + [UInt8](repeating: UInt8(ascii: " "), count: padding)
    }

    private static func json(_ string: String) -> String {
        var literal = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                literal.append("\\")
                literal.unicodeScalars.append(scalar)
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                literal += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default:
                literal.unicodeScalars.append(scalar)
            }
        }
        return literal + "\""
    }
}
