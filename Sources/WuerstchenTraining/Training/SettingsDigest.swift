private import Foundation
internal import TensorCore
internal import Wuerstchen

/// A number that tells values apart by all that they are made of: weights, settings, vocabularies.
///
/// It is a sum over all parts, so that it depends neither on their order nor on what properties are
/// called, and it is the same for a weight in whatever form a processor multiplies it.
package struct SettingsDigest: CustomStringConvertible {
    private var sum: UInt64 = 0

    /// The number of a value.
    package init(of value: Any) {
        add(value, depth: 0)
    }

    /// Sixteen hexadecimal digits.
    package var description: String { String(format: "%016llx", sum) }

    private mutating func add(_ value: Any, depth: Int) {
        // Objects may hold each other.
        if value is any AnyIncidental || depth > TrainingSettings.maximumDepth { return }
        if let tensor = value as? Tensor { return add(tensor) }
        if let weight = value as? PackedWeight {
            if let values = weight.unpacked() { add(values) }
            for update in weight.updates { add(update, depth: depth + 1) }
            return
        }
        if let leaf = TrainingSettings.Value(leaf: value) { return add(text: leaf.description) }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .dictionary:
            for entry in mirror.children {
                // Not its description, which for some types holds where this process has them, and
                // of tensors only the beginning.
                let parts = Mirror(reflecting: entry.value).children
                add(text: parts.map { "\(SettingsDigest(of: $0.value))" }.joined(separator: ":"))
            }
        case .collection:
            if let first = mirror.children.first, TrainingSettings.Value(leaf: first.value) != nil {
                return add(text: "\(value)")
            }
            for child in mirror.children { add(child.value, depth: depth + 1) }
        case .enum where mirror.children.isEmpty: add(text: "\(value)")
        default:
            for child in mirror.children { add(child.value, depth: depth + 1) }
        }
    }

    private mutating func add(_ tensor: Tensor) {
        var hash = FNV1a()
        hash.add("\(tensor.shape)".utf8)
        tensor.withUnsafeElements { hash.addWords(UnsafeRawBufferPointer($0)) }
        sum &+= SplitMix64.mixed(hash.value)
    }

    private mutating func add(text: String) {
        var hash = FNV1a()
        hash.add(text.utf8)
        sum &+= SplitMix64.mixed(hash.value)
    }
}

extension StageA: DigestedSetting {}
extension StageB: DigestedSetting {}
extension StageC: DigestedSetting {}
extension SemanticCompressor: DigestedSetting {}
extension CLIPTextModel: DigestedSetting {}
extension CLIPTokenizer: DigestedSetting {}
