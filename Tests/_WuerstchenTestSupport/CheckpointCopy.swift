package import Foundation
package import TensorCore

/// A copy of a checkpoint for one test to damage, removed with the object.
package final class CheckpointCopy {
    /// A stored tensor as it lies in its file.
    package struct Record {
        package var elementType: Safetensors.ElementType
        package var shape: [Int]
        package var bytes: [UInt8]

        package init(elementType: Safetensors.ElementType, shape: [Int], bytes: [UInt8]) {
            self.elementType = elementType
            self.shape = shape
            self.bytes = bytes
        }

        /// All bits set, which is not a number in every type of float.
        package mutating func becomeNaN() {
            bytes = Array(repeating: 0xFF, count: bytes.count)
        }
    }

    package let url: URL

    package init(of checkpoint: URL) throws {
        url = FileManager.default.temporaryDirectory
            .appendingPathComponent("checkpoint-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: checkpoint, to: url)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    package func file(_ path: String) -> URL {
        url.appendingPathComponent(path)
    }

    package func bytes(of path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: file(path)))
    }

    /// Replaces a file. Mappings of the old one keep showing it.
    package func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: file(path), options: .atomic)
    }

    package func write(_ text: String, to path: String) throws {
        try write(Array(text.utf8), to: path)
    }

    package func remove(_ path: String) throws {
        try FileManager.default.removeItem(at: file(path))
    }

    package func rename(_ path: String, to other: String) throws {
        try FileManager.default.moveItem(at: file(path), to: file(other))
    }

    /// Sets a field of a JSON file to what the text stands for in JSON, or removes it.
    package func setField(_ name: String, to value: String?, in path: String) throws {
        let whole = try JSONSerialization.jsonObject(with: Data(contentsOf: file(path)))
        guard let object = whole as? [String: Any] else {
            throw FixtureProblem("\(path) is not an object")
        }
        func json(_ value: Any) throws -> String {
            String(
                decoding: try JSONSerialization.data(
                    withJSONObject: value, options: [.fragmentsAllowed]), as: UTF8.self)
        }
        var fields: [String] = []
        for (key, old) in object where key != name {
            fields.append("\(try json(key)): \(try json(old))")
        }
        if let value { fields.append("\(try json(name)): \(value)") }
        try write("{\(fields.joined(separator: ", "))}", to: path)
    }

    /// Changes the tensors of a safetensors file.
    package func changeTensors(
        of path: String, _ change: (inout [String: Record]) throws -> Void
    ) throws {
        try changeFile(path) { records, metadata in
            metadata = [:]
            try change(&records)
        }
    }

    /// Changes the tensors and the metadata of a safetensors file.
    package func changeFile(
        _ path: String,
        _ change: (inout [String: Record], inout [String: String]) throws -> Void
    ) throws {
        let old = try Safetensors(contentsOf: file(path))
        var metadata = old.metadata
        var records: [String: Record] = [:]
        for (name, entry) in old.entries {
            records[name] = Record(
                elementType: entry.elementType, shape: entry.shape,
                bytes: try old.withBytes(of: entry) { Array($0) })
        }
        try change(&records, &metadata)
        let sources = records.map { name, record in
            Safetensors.Source(
                name: name, elementType: record.elementType, shape: record.shape
            ) { write in
                try record.bytes.withUnsafeBytes(write)
            }
        }
        try Safetensors.write(sources, metadata: metadata, to: file(path))
    }
}
