import Foundation

/// The index of a sharded checkpoint: which tensor is in which file of the folder.
struct SafetensorsIndex {
    private(set) var fileNames: [String: String] = [:]

    init(contentsOf url: URL) throws {
        let file = try MappedFile(contentsOf: url)
        guard file.byteCount <= SafetensorsHeader.maximumByteCount else {
            throw Safetensors.malformed(
                url,
                "the index has \(file.byteCount) bytes; at most "
                    + "\(SafetensorsHeader.maximumByteCount) were expected")
        }
        do {
            try read(file)
        } catch let error as WuerstchenError where error.code == .malformedFile {
            throw FileKind.misfit(file, expecting: .json) ?? error
        }
    }

    private mutating func read(_ file: MappedFile) throws {
        let url = file.url
        var isMapped = false
        var json = JSONScanner(
            Array(withoutByteOrderMark(Data(file.copy(of: 0..<file.byteCount)))), from: url)
        try json.object { json, key in
            guard key == "weight_map" else { return try json.skipValue() }
            isMapped = true
            try json.object { json, name in fileNames[name] = try Self.fileName(&json) }
        }
        try json.end(paddedWith: " \n\r\t")
        guard isMapped, !fileNames.isEmpty else {
            throw Safetensors.malformed(
                url, "the index lists no tensors; expected an object \"weight_map\" that does")
        }
    }

    /// An index may name files beside it and nothing else, or a downloaded one could have any file
    /// of the machine opened.
    private static func fileName(_ json: inout JSONScanner) throws -> String {
        let name = try json.string()
        guard SafetensorsFileNames.isFileName(name) else {
            throw json.failure(
                "\(Safetensors.quoted(name)) is not the name of a file in the index's own folder, as "
                    + "was expected")
        }
        return name
    }
}
