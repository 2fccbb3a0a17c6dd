private import Foundation
internal import Synchronization
public import TensorCore
internal import WuerstchenNN

/// Some weights that made an image, as the image's record names them.
public struct WeightsRecord: Sendable, Hashable, Codable, CustomStringConvertible {
    /// What they are of, such as `Stage C`, or `LoRA windmill.safetensors`.
    public let part: String
    /// Sixteen hexadecimal digits that tell them from others: a hash of configurations, of the
    /// names, types and shapes of tensors, and of samples of each tensor's bytes. It takes
    /// milliseconds, whatever the size of the files, and finds mistakes, not attacks.
    public let digest: String
    /// The numbers that the large matrices were stored in and multiplied with; nil where that is
    /// always the same.
    public let precision: Precision?
    /// How much of a LoRA counted; nil for others.
    public let scale: Float?

    /// All in one line.
    public var description: String {
        ([part, digest] + [precision?.rawValue, scale.map { "× \($0)" }].compactMap(\.self))
            .joined(separator: " ")
    }
}

/// What the weights of a part are told from others by.
struct PartWeights: Sendable {
    /// A LoRA of the part.
    struct Adapter: Sendable {
        let lora: LoRAFile
        let digest: String
    }

    private let precision: Precision?
    private let digest: LazyDigest
    private let adapters: [Adapter]

    /// The weights that a closure adds to a hash, which is called once and only if it is needed.
    init(
        _ precision: Precision?, adapters: [Adapter] = [],
        _ add: @escaping @Sendable (inout FNV1a) throws -> Void
    ) {
        self.precision = precision
        self.adapters = adapters
        digest = LazyDigest(add)
    }

    func records(as part: String) throws -> [WeightsRecord] {
        [
            WeightsRecord(
                part: part, digest: try digest(), precision: precision, scale: nil)
        ]
            + adapters.map { adapter in
                let way = adapter.lora.isMerged ? "" : " beside the weights"
                return WeightsRecord(
                    part: "LoRA \(adapter.lora.file.lastPathComponent)\(way)",
                    digest: adapter.digest, precision: nil, scale: adapter.lora.scale.value)
            }
    }
}

/// A digest that is computed when somebody asks for it.
private final class LazyDigest: Sendable {
    private let known = Mutex<String?>(nil)
    private let add: @Sendable (inout FNV1a) throws -> Void

    init(_ add: @escaping @Sendable (inout FNV1a) throws -> Void) {
        self.add = add
    }

    func callAsFunction() throws -> String {
        try known.withLock { known in
            if let known { return known }
            let digest = try hexadecimalDigest(add)
            known = digest
            return digest
        }
    }
}

/// Sixteen hexadecimal digits of a hash.
func hexadecimalDigest(_ add: (inout FNV1a) throws -> Void) rethrows -> String {
    var hash = FNV1a()
    try add(&hash)
    return hash.digits
}
