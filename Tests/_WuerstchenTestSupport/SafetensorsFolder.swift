package import Foundation
package import TensorCore
private import Testing

/// A folder for one test's files, removed with the object.
package final class SafetensorsFolder {
    package let url: URL

    package init() throws {
        url = FileManager.default.temporaryDirectory
            .appendingPathComponent("safetensors-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    package func file(_ name: String) -> URL {
        url.appendingPathComponent(name)
    }

    @discardableResult
    package func write(_ bytes: [UInt8], as name: String = "x.safetensors") throws -> URL {
        try Data(bytes).write(to: file(name))
        return file(name)
    }

    package func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
    }

    /// Writes a well-formed file of float tensors, each with one element.
    package func writeTensors(_ names: String..., as file: String) throws {
        try Safetensors.write(
            names.map { .init(name: $0, elementType: .f32, shape: [1], bytes: [0, 0, 128, 63]) },
            to: self.file(file))
    }
}

extension Safetensors.Source {
    package init(name: String, elementType: Safetensors.ElementType, shape: [Int], bytes: [UInt8]) {
        self.init(name: name, elementType: elementType, shape: shape) { write in
            try bytes.withUnsafeBytes(write)
        }
    }
}

extension Safetensors {
    package func bytes(_ name: String) throws -> [UInt8] {
        try withBytes(of: #require(entries[name])) { Array($0) }
    }
}

/// The bytes of a file with the given header and a body of counting bytes.
package func safetensorsBytes(
    _ header: String, length: UInt64? = nil, data: Int = 0
) -> [UInt8] {
    safetensorsBytes(Array(header.utf8), length: length, data: data)
}

package func safetensorsBytes(
    _ header: [UInt8], length: UInt64? = nil, data: Int = 0
) -> [UInt8] {
    let prefix = withUnsafeBytes(
        of: (length ?? UInt64(header.count)).littleEndian, Array.init)
    return prefix + header + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}
