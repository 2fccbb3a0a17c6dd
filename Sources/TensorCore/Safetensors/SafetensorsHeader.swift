import Foundation

/// The header of a file: eight bytes of length, then JSON that says which tensor lies where.
struct SafetensorsHeader {
    /// The limit of the reference implementation, so that a damaged length cannot ask for the moon.
    static let maximumByteCount = 100_000_000
    /// The key of the notes, which therefore no tensor may have for a name.
    static let metadataKey = "__metadata__"
    /// The length that precedes the JSON, a little-endian `UInt64`.
    static let prefixByteCount = MemoryLayout<UInt64>.size

    private(set) var entries: [String: Safetensors.Entry] = [:]
    private(set) var metadata: [String: String] = [:]

    init(of file: MappedFile) throws {
        let text = try Self.text(of: file)
        let dataStart = Self.prefixByteCount + text.count
        let dataByteCount = file.byteCount - dataStart
        // A file that starts with something else, white space included, is of another format.
        guard text.first == UInt8(ascii: "{") else {
            throw Safetensors.malformed(
                file.url, "the header does not start with '{', as it must in a safetensors file")
        }
        var json = JSONScanner(text, from: file.url)
        try json.object { json, name in
            if name == Self.metadataKey {
                try json.object { json, key in metadata[key] = try json.string() }
            } else {
                entries[name] = try Self.entry(
                    &json, name: name, dataStart: dataStart, dataByteCount: dataByteCount)
            }
        }
        try json.end(paddedWith: " ")
        try checkCoverage(of: file, dataStart: dataStart)
    }

    /// Copied, so that what was checked stays what it was even if the file changes.
    private static func text(of file: MappedFile) throws -> [UInt8] {
        guard file.byteCount >= prefixByteCount else {
            throw Safetensors.malformed(
                file.url,
                "the file has \(file.byteCount) bytes, but even the length of its header takes "
                    + "\(prefixByteCount)")
        }
        let count = file.copy(of: 0..<prefixByteCount).reversed().reduce(UInt64(0)) {
            $0 << 8 | UInt64($1)
        }
        guard count > 0, count <= maximumByteCount else {
            throw Safetensors.malformed(
                file.url,
                "the header claims \(count) bytes; 1 to \(maximumByteCount) were expected")
        }
        let rest = file.byteCount - prefixByteCount
        guard count <= rest else {
            throw Safetensors.malformed(
                file.url, "the header claims \(count) bytes, but only \(rest) follow")
        }
        return file.copy(of: prefixByteCount..<prefixByteCount + Int(count))
    }
}

extension SafetensorsHeader {
    private static func entry(
        _ json: inout JSONScanner, name: String, dataStart: Int, dataByteCount: Int
    ) throws -> Safetensors.Entry {
        var type: Safetensors.ElementType?
        var shape: [Int]?
        var offsets: [Int]?
        try json.object { json, field in
            switch field {
            case "dtype": type = try elementType(&json)
            case "shape": shape = try naturalNumbers(&json)
            case "data_offsets": offsets = try naturalNumbers(&json)
            default:
                throw json.failure("unknown field; expected dtype, shape and data_offsets alone")
            }
        }
        guard let type else { throw json.failure("the field dtype is missing") }
        guard let shape else { throw json.failure("the field shape is missing") }
        guard let offsets else { throw json.failure("the field data_offsets is missing") }

        guard offsets.count == 2 else {
            throw json.failure("data_offsets has \(offsets.count) numbers; 2 were expected")
        }
        let (begin, end) = (offsets[0], offsets[1])
        guard begin <= end else {
            throw json.failure("data_offsets begins at \(begin), after its end at \(end)")
        }
        guard let expected = type.byteCount(shape: shape) else {
            throw json.failure("the shape is too large to count its bytes")
        }
        guard end - begin == expected else {
            throw json.failure(
                "data_offsets spans \(end - begin) bytes, but \(type.rawValue) elements of shape "
                    + "\(summary(of: shape)) take \(expected)")
        }
        guard end <= dataByteCount else {
            throw json.failure(
                "the tensor ends at byte \(end) of the data, but the file has only "
                    + "\(dataByteCount) bytes of it")
        }
        return Safetensors.Entry(
            name: name, elementType: type, shape: shape,
            byteRange: dataStart + begin..<dataStart + end)
    }

    private static func elementType(
        _ json: inout JSONScanner
    ) throws -> Safetensors.ElementType {
        let name = try json.string()
        guard let type = Safetensors.ElementType(rawValue: name) else {
            let known = Safetensors.ElementType.allCases.map(\.rawValue).joined(separator: ", ")
            throw json.failure(
                "the dtype \(Safetensors.quoted(name)) is not supported; expected one of \(known)")
        }
        return type
    }

    private static func naturalNumbers(_ json: inout JSONScanner) throws -> [Int] {
        var numbers: [Int] = []
        try json.array { json in numbers.append(try json.naturalNumber()) }
        return numbers
    }

    private static func summary(of shape: [Int]) -> String {
        shape.count <= 16 ? "\(shape)" : "\(shape.prefix(16)) and \(shape.count - 16) more"
    }

    /// The format allows neither overlaps nor holes: bytes that no tensor owns could hide anything,
    /// and most often are the sign of a file put together wrongly.
    private func checkCoverage(of file: MappedFile, dataStart: Int) throws {
        let ordered = entries.values.sorted {
            ($0.byteRange.lowerBound, $0.byteRange.upperBound)
                < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
        }
        var covered = dataStart
        for entry in ordered {
            let begin = entry.byteRange.lowerBound
            guard begin == covered else {
                let what = begin < covered ? "overlaps the tensor before it" : "leaves a hole"
                throw Safetensors.malformed(
                    file.url,
                    "the tensor \(Safetensors.quoted(entry.name)) \(what): it begins at byte "
                        + "\(begin - dataStart) of the data; \(covered - dataStart) was expected")
            }
            covered = entry.byteRange.upperBound
        }
        guard covered == file.byteCount else {
            let last = ordered.last.map { "after the tensor \(Safetensors.quoted($0.name))" }
            throw Safetensors.malformed(
                file.url,
                "the last \(file.byteCount - covered) bytes of the file, "
                    + "\(last ?? "which lists no tensors"), belong to no tensor")
        }
    }
}
