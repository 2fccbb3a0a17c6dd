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
    let tensors: [String: SafetensorsCheckpoint.Tensor]
    private var blank: BlankParameters?

    /// The parameters in a single file.
    ///
    /// - Throws: As ``Safetensors/init(contentsOf:)``.
    public init(contentsOf file: URL) throws {
        let file = try Safetensors(contentsOf: file)
        origin = file.url.path
        tensors = file.entries.mapValues { SafetensorsCheckpoint.Tensor(file: file, entry: $0) }
    }

    /// The parameters in a folder: a file of the given stem, its variant, or its shards.
    ///
    /// - Throws: As ``SafetensorsCheckpoint/init(directory:stem:variant:)``.
    public init(directory: URL, stem: String, variant: String? = nil) throws {
        origin = directory.path
        tensors = try SafetensorsCheckpoint(directory: directory, stem: stem, variant: variant)
            .tensors
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

    private init(origin: String, tensors: [String: SafetensorsCheckpoint.Tensor]) {
        self.origin = origin
        self.tensors = tensors
    }

    /// These parameters, and those of another checkpoint where there are none: a network that
    /// shares layers with another need not store them.
    public func merging(over base: CheckpointParameters) -> CheckpointParameters {
        CheckpointParameters(
            origin: "\(origin) over \(base.origin)", tensors: base.tensors.merging(tensors) { $1 })
    }

    /// The names of all parameters.
    public var names: Set<String>? { Set(tensors.keys) }

    /// The shape of a parameter, or nil when there is none of that name.
    public func shape(of name: String) -> Shape? {
        guard let shape = tensors[name]?.entry.shape, shape.count <= Shape.maximumRank else {
            return nil
        }
        return Shape(shape)
    }

    /// Whether there is a parameter of that name without elements.
    public func isEmpty(_ name: String) -> Bool { tensors[name]?.entry.shape.contains(0) ?? false }

    /// All parameters by name, such as for training to begin with. What is not stored as floats is
    /// left out.
    ///
    /// - Throws: ``WuerstchenError`` when the file cannot be read.
    public func values() throws -> [String: Tensor] {
        var values: [String: Tensor] = [:]
        for (name, tensor) in tensors
        where [.f16, .bf16, .f32, .f64].contains(tensor.entry.elementType) {
            guard let shape = shape(of: name) else { continue }
            values[name] = try tensor.file.floats(of: tensor.entry, as: shape)
        }
        return values
    }

    /// The parameter of a name.
    ///
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` when the parameter is not
    ///   stored as floats.
    public func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let (name, shape) = (request.name, request.shape)
        guard let tensor = tensors[name] else { return .missing }
        guard tensor.entry.shape == shape.array else {
            return .misshapen("\(tensor.entry.shape)")
        }
        if let blank {
            try tensor.file.requireFloats(tensor.entry)
            return .found(blank.tensor(shape))
        }
        return .found(try tensor.file.floats(of: tensor.entry, as: shape))
    }
}

/// Stands in for parameters whose values are not wanted: all are parts of one tensor, whose memory
/// nobody has written to and which therefore hardly takes any.
private final class BlankParameters: Sendable {
    private let largest = Mutex(Tensor([0], [1]))

    func tensor(_ shape: Shape) -> Tensor {
        largest.withLock { largest in
            if largest.count < shape.count {
                largest = unsafe Tensor([shape.count]) { _ in }
            }
            return largest[0..<shape.count].reshaped(to: shape)
        }
    }
}
