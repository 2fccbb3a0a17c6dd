package import Foundation
package import TensorCore
package import WuerstchenNN

/// A directory of golden numbers: `manifest.json`, `cases/`, `checkpoint/`, `extra/` and more.
package struct Fixtures: Sendable {
    /// One case of the manifest.
    package struct Case: Sendable, CustomStringConvertible {
        package let name: String
        package let group: String
        package let fields: JSON
        package let file: URL

        package var description: String { name }

        package var scalars: JSON? { fields["scalars"] }

        /// The tensors of the case's file.
        package func tensors() throws -> CaseTensors { try CaseTensors(contentsOf: file) }
    }

    package let directory: URL
    package let manifest: JSON
    package let cases: [Case]

    package init(_ directory: URL) throws {
        self.directory = directory
        manifest = try JSON(contentsOf: directory.appendingPathComponent("manifest.json"))
        cases = try (manifest["cases"]?.array ?? []).map { fields in
            guard let name = fields["name"]?.string, let group = fields["group"]?.string,
                let file = fields["file"]?.string
            else { throw FixtureProblem("a case of the manifest lacks name, group or file") }
            return Case(
                name: name, group: group, fields: fields,
                file: directory.appendingPathComponent(file))
        }
        if cases.isEmpty { throw FixtureProblem("the manifest has no cases") }
    }
}

/// Something in a fixture directory that the suite cannot run with.
package struct FixtureProblem: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// The tensors of one case: inputs `in.`, parameters `param.` and expected outputs `out.`.
package struct CaseTensors: ParameterSource {
    package let origin: String
    private let file: Safetensors
    private let prefix: String

    package init(contentsOf url: URL) throws {
        file = try Safetensors(contentsOf: url)
        origin = url.lastPathComponent
        prefix = "param."
    }

    /// Parameters as a network asks for them, without the `param.` in front.
    package var names: Set<String>? {
        Set(file.entries.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(6)) })
    }

    package func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let (name, shape) = (request.name, request.shape)
        guard let tensor = try optional(prefix + name) else { return .missing }
        return tensor.shape == shape ? .found(tensor) : .misshapen("\(tensor.shape)")
    }

    package func optional(_ name: String) throws -> Tensor? {
        guard let entry = file.entries[name] else { return nil }
        guard entry.elementType == .f32 else {
            return Tensor(try file.integers(of: entry).map(Float.init), Shape(entry.shape))
        }
        return try file.withBytes(of: entry) { bytes in
            Tensor(Shape(entry.shape)) {
                UnsafeMutableRawBufferPointer($0).copyMemory(from: bytes)
            }
        }
    }

    /// The file's free-form notes.
    package var metadata: [String: String] { file.metadata }

    /// All tensors whose names begin with a prefix, by what follows it.
    package func all(_ prefix: String) throws -> [String: Tensor] {
        try file.entries.keys.filter { $0.hasPrefix(prefix) }.reduce(into: [:]) {
            $0[String($1.dropFirst(prefix.count))] = try self($1)
        }
    }

    package func callAsFunction(_ name: String) throws -> Tensor {
        guard let tensor = try optional(name) else {
            throw FixtureProblem("\(origin) has no tensor \(name)")
        }
        return tensor
    }

    package func integers(_ name: String) throws -> [Int64] {
        guard let entry = file.entries[name] else {
            throw FixtureProblem("\(origin) has no tensor \(name)")
        }
        if entry.elementType == .f32 { return try self(name).elements.map { Int64($0) } }
        return try file.integers(of: entry)
    }

    package func shape(_ name: String) throws -> [Int] {
        guard let entry = file.entries[name] else {
            throw FixtureProblem("\(origin) has no tensor \(name)")
        }
        return entry.shape
    }

    /// A map that is stored channels-first.
    package func map(_ name: String) throws -> Tensor { try self(name).channelsLast() }
}
