private import Foundation
internal import TensorCore

/// The matrices of a network in a checkpoint that was converted to 8 bits, as they are multiplied,
/// with what the network computes from their parameters once. They stand in for those parameters,
/// whose own values are not there any more.
///
/// Such a checkpoint says so in its metadata. A matrix that is a whole parameter has the
/// parameter's name, such as `blocks.0.attention.to_q.weight`. What is a part of one, or was
/// computed from one, has something behind it: `….weight[0..<320]`, `….weight#absorbed`.
struct PackedMatrices: Sendable {
    /// What stands in for a parameter, or for some of it.
    enum Part {
        case matrix(StoredMatrix)
        case floats(SafetensorsCheckpoint.Tensor)
    }

    /// The key and the value in the metadata of a file.
    static let note = (key: "packing", value: "int8-rows-1")

    /// The parameters that are not there as such.
    let parameters: Set<String>
    private let parts: [String: Part]
    /// What else belongs to the parts.
    private let scales: Set<String>

    /// The parameter that a part is from.
    static func parameter(of part: String) -> String {
        String(part.prefix { !"[# ".contains($0) })
    }

    /// What is packed in a checkpoint's files; nil if nothing is.
    ///
    /// - Throws: ``WuerstchenError`` with code `malformedFile` if it is not what the files say.
    init?(_ tensors: [String: SafetensorsCheckpoint.Tensor]) throws {
        var files: [String: String] = [:]
        for tensor in tensors.values {
            if let packing = tensor.file.metadata[Self.note.key] {
                files[tensor.file.url.path] = packing
            }
        }
        guard !files.isEmpty else { return nil }
        if let (path, packing) = files.sorted(by: { $0.key < $1.key }).first(where: {
            $0.value != Self.note.value
        }) {
            throw WuerstchenError(
                .malformedFile,
                "\(path): its weights are packed as \"\(packing)\", and this "
                    + "version reads \(Self.note.value); convert the checkpoint again")
        }
        var (parts, scales): ([String: Part], Set<String>) = ([:], [])
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            if name.hasSuffix(StoredMatrix.scales(of: "")) {
                scales.insert(name)
            } else if tensor.entry.elementType == .i8 {
                parts[name] = .matrix(try StoredMatrix(tensor.entry, of: tensor.file))
            } else if Self.parameter(of: name) != name {
                parts[name] = .floats(tensor)
            }
        }
        parameters = Set(
            parts.compactMap { name, part in
                if case .matrix = part { Self.parameter(of: name) } else { nil }
            })
        (self.parts, self.scales) = (parts, scales)
        for name in parameters where parts[name] == nil {
            guard let tensor = tensors[name] else { continue }
            throw WuerstchenError(
                .malformedFile,
                "\(tensor.file.url.path): \"\(name)\" is there both whole and in "
                    + "parts; convert the checkpoint again")
        }
    }

    /// What stands in under a name.
    subscript(name: String) -> Part? { parts[name] }

    /// The names of all parts.
    var names: Set<String> { Set(parts.keys) }

    /// What a checkpoint's parameters are called that has tensors of some names.
    func parameters(among tensors: Set<String>) -> Set<String> {
        // Scales without a matrix are left, to be found surplus.
        let owned = scales.intersection(parts.keys.map { StoredMatrix.scales(of: $0) })
        return tensors.subtracting(owned).subtracting(parts.keys).union(parameters)
    }

    /// The refusal to give a parameter's own values.
    func noValues(of name: String, in origin: String) -> WuerstchenError {
        WuerstchenError(
            .incompatibleParameters,
            "\(origin): \(name) is packed in int8, to be multiplied and for nothing else; for "
                + "adapters, students and training take the checkpoint that it was converted from")
    }
}
