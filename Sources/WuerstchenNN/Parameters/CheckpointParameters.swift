public import Foundation
private import Synchronization
public import TensorCore

/// The parameters in a safetensors checkpoint, as 32-bit floats.
///
/// 32-bit parameters are used where they lie in the mapped file; halves (F16, BF16) are widened,
/// and F64 is rounded, into memory when a network takes them.
public struct CheckpointParameters: ParameterSource, Sendable {
    /// The checkpoint's path.
    public let origin: String
    private let tensors: [String: Stored]
    /// Matrices that stand in for some of the parameters.
    private(set) var packed: PackedMatrices?
    private var blank: BlankParameters?

    /// A tensor of a file, or some of its rows.
    private struct Stored {
        let tensor: SafetensorsCheckpoint.Tensor
        var rows: Range<Int>?

        var shape: [Int] {
            rows.map { [$0.count] + tensor.entry.shape.dropFirst() } ?? tensor.entry.shape
        }

        /// The elements in a shape of as many.
        func floats(as shape: Shape) throws -> Tensor {
            guard let rows else { return try tensor.file.floats(of: tensor.entry, as: shape) }
            return try tensor.file.floats(of: tensor.entry, as: Shape(tensor.entry.shape))[rows]
                .reshaped(to: shape)
        }
    }

    /// The parameters in a single file.
    ///
    /// - Throws: As ``Safetensors/init(contentsOf:)``.
    public init(contentsOf file: URL) throws {
        let file = try Safetensors(contentsOf: file)
        try self.init(
            origin: file.url.path,
            file.entries.mapValues { SafetensorsCheckpoint.Tensor(file: file, entry: $0) })
    }

    /// The parameters in a folder: a file of the given stem, its variant, or its shards.
    ///
    /// - Throws: As ``SafetensorsCheckpoint/init(directory:stem:variant:)``.
    public init(directory: URL, stem: String, variant: String? = nil) throws {
        try self.init(
            origin: directory.path,
            SafetensorsCheckpoint(directory: directory, stem: stem, variant: variant).tensors)
    }

    private init(origin: String, _ tensors: [String: SafetensorsCheckpoint.Tensor]) throws {
        self.origin = origin
        self.tensors = tensors.mapValues { Stored(tensor: $0) }
        packed = try PackedMatrices(tensors)
    }

    /// The same parameters without their values, for finding out from the headers of files alone
    /// whether a network can be built of them.
    public var withoutValues: CheckpointParameters {
        var result = self
        result.blank = BlankParameters()
        return result
    }

    /// Whether the values can be had.
    public var hasValues: Bool { blank == nil }

    private init(origin: String, tensors: [String: Stored]) {
        self.origin = origin
        self.tensors = tensors
    }

    /// The same parameters under other names.
    ///
    /// - Parameter names: The names for a name: one; none to leave the parameter out; or several,
    ///   for equal parts of its rows in order. What cannot be cut so keeps its name, and of two
    ///   that come to one name the one counts whose own name is last.
    /// - Returns: The parameters, which are read when they are asked for, as before. Those of a
    ///   network in 8 bits keep their names.
    public func renamed(_ names: (String) -> [String]) -> CheckpointParameters {
        guard packed == nil else { return self }
        var result: [String: Stored] = [:]
        for (name, stored) in tensors.sorted(by: { $0.key < $1.key }) {
            let others = names(name)
            guard others.count > 1 else {
                if let other = others.first { result[other] = stored }
                continue
            }
            guard stored.rows == nil, let rows = stored.shape.first, rows > 0,
                rows % others.count == 0, stored.shape.count <= Shape.maximumRank
            else {
                result[name] = stored
                continue
            }
            let length = rows / others.count
            for (part, other) in others.enumerated() {
                result[other] = Stored(
                    tensor: stored.tensor, rows: part * length..<(part + 1) * length)
            }
        }
        return CheckpointParameters(origin: origin, tensors: result)
    }

    /// These parameters, and those of another checkpoint where there are none: a network that
    /// shares layers with another need not store them.
    ///
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` for matrices in 8 bits.
    public func merging(over base: CheckpointParameters) throws -> CheckpointParameters {
        try requireValues()
        try base.requireValues()
        return CheckpointParameters(
            origin: "\(origin) over \(base.origin)", tensors: base.tensors.merging(tensors) { $1 })
    }

    /// The names of all parameters, those included for which matrices in 8 bits stand in.
    public var names: Set<String>? {
        let stored = storedNames
        return packed?.parameters(among: stored) ?? stored
    }

    /// The names of all tensors in the files.
    package var storedNames: Set<String> { Set(tensors.keys) }

    /// Whether the files hold the matrices of a network in 8 bits rather than its parameters.
    package var isPacked: Bool { packed != nil }

    /// Refuses matrices in 8 bits where parameters are wanted.
    package func requireValues() throws {
        if let packed, let name = packed.parameters.min() {
            throw packed.noValues(of: name, in: origin)
        }
    }

    /// The shape of a parameter, or nil when there is none of that name.
    public func shape(of name: String) -> Shape? {
        guard let shape = tensors[name]?.shape, shape.count <= Shape.maximumRank else {
            return nil
        }
        return Shape(shape)
    }

    /// Whether there is a parameter of that name without elements.
    public func isEmpty(_ name: String) -> Bool { tensors[name]?.shape.contains(0) ?? false }

    /// The type that a parameter is stored as; nil where there is none of that name.
    package func elementType(of name: String) -> Safetensors.ElementType? {
        tensors[name]?.tensor.entry.elementType
    }

    /// The shape of a parameter of any rank; nil where there is none of that name.
    package func storedShape(of name: String) -> [Int]? { tensors[name]?.shape }

    /// Calls a closure with a parameter's bytes as they are stored.
    ///
    /// - Throws: What reading the file throws, and the closure.
    package func withBytes(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard let stored = tensors[name] else { return }
        let entry = stored.tensor.entry
        try unsafe stored.tensor.file.reading(entry) { bytes in
            guard let rows = stored.rows, let count = entry.shape.first, count > 0 else {
                return try unsafe body(bytes)
            }
            let length = bytes.count / count
            try unsafe body(
                UnsafeRawBufferPointer(
                    rebasing: bytes[rows.lowerBound * length..<rows.upperBound * length]))
        }
    }

    /// A parameter as floats; nil where there is none, or none of floats.
    ///
    /// - Throws: What reading the file throws.
    package func floats(of name: String) throws -> Tensor? {
        guard let stored = tensors[name], let shape = shape(of: name),
            [.f16, .bf16, .f32, .f64].contains(stored.tensor.entry.elementType)
        else { return nil }
        return try stored.floats(as: shape)
    }

    /// What the files say of themselves.
    package var metadata: [String: String] {
        var files: [URL: [String: String]] = [:]
        for stored in tensors.values {
            files[stored.tensor.file.url] = stored.tensor.file.metadata
        }
        return files.sorted { $0.key.path < $1.key.path }.reduce(into: [:]) {
            $0.merge($1.value) { $1 }
        }
    }

    /// All parameters by name, such as for training to begin with. What is not stored as floats is
    /// left out.
    ///
    /// - Throws: ``WuerstchenError`` when the file cannot be read, or with code
    ///   `incompatibleParameters` if it holds matrices in 8 bits.
    public func values() throws -> [String: Tensor] {
        try requireValues()
        var values: [String: Tensor] = [:]
        for (name, stored) in tensors
        where [.f16, .bf16, .f32, .f64].contains(stored.tensor.entry.elementType) {
            guard let shape = shape(of: name) else { continue }
            values[name] = try stored.floats(as: shape)
        }
        return values
    }

    /// A weight that is stored in the numbers of a precision, which need not be widened and rounded
    /// again; nil for others.
    func stored(_ request: ParameterRequest, _ precision: Precision) throws -> StoredMatrix? {
        guard precision == .bfloat16, hasValues, packed == nil, let stored = tensors[request.name],
            stored.rows == nil, stored.tensor.entry.elementType == .bf16,
            stored.shape == request.shape.array, stored.shape.count >= 2,
            stored.shape.dropFirst(2).allSatisfy({ $0 == 1 }), !stored.shape.contains(0)
        else { return nil }
        return try StoredMatrix(
            stored.tensor.entry, of: stored.tensor.file, followedBy: stored.shape.count - 2)
    }

    /// The parameter of a name.
    ///
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` when the parameter is not
    ///   stored as floats, or is packed in 8 bits: networks that are built from the checkpoint take
    ///   that as it is.
    public func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let (name, shape) = (request.name, request.shape)
        if let packed, packed.parameters.contains(name) {
            throw packed.noValues(of: name, in: origin)
        }
        guard let stored = tensors[name] else { return .missing }
        guard stored.shape == shape.array else { return .misshapen("\(stored.shape)") }
        if let blank {
            try stored.tensor.file.requireFloats(stored.tensor.entry)
            return .found(blank.tensor(shape))
        }
        return .found(try stored.floats(as: shape))
    }
}

/// Stands in for parameters whose values are not wanted: all are parts of one tensor, whose memory
/// nobody has written to and which therefore hardly takes any.
private final class BlankParameters: Sendable {
    private let largest = Mutex(Tensor([0], [1]))

    func tensor(_ shape: Shape) -> Tensor {
        largest.withLock { largest in
            if largest.count < shape.count {
                largest = MemoryMeter.withoutCounting { unsafe Tensor([shape.count]) { _ in } }
            }
            return largest[0..<shape.count].reshaped(to: shape)
        }
    }
}
