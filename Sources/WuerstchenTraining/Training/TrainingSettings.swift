private import Foundation
internal import TensorCore

/// Everything that the steps of a training depend on besides its state, by name: a state records
/// it, and a training is only resumed with the same.
///
/// Settings are read off a value's stored properties, and those of structures within it by their
/// path, such as `rate.peak`: what is added to an objective is recorded without being listed
/// anywhere. Weights are recorded as a digest of their elements. A property marked ``Incidental``
/// is left out, as functions are, which cannot be compared.
public struct TrainingSettings: Sendable, Hashable {
    /// The value of a setting.
    public enum Value: Sendable, Hashable {
        /// Yes or no.
        case flag(Bool)
        /// A number.
        case number(Double)
        /// Anything else in words.
        case text(String)
    }

    /// The settings by their path.
    public private(set) var values: [String: Value] = [:]

    /// No settings.
    public init() {}

    /// The settings that a value is made of.
    public init(of value: Any) {
        add(value, at: "")
    }

    /// A setting; nil where there is none of the name.
    public subscript(path: String) -> Value? {
        get { values[path] }
        set { values[path] = newValue }
    }

    /// Adds the settings that a value is made of under a path.
    public mutating func add(_ value: Any, at path: String) {
        add(value, at: path, depth: 0)
    }

    /// Objects may hold each other; a training's settings are nowhere as deep.
    static let maximumDepth = 32

    private mutating func add(_ value: Any, at path: String, depth: Int) {
        if value is any AnyIncidental || depth > Self.maximumDepth { return }
        if let own = value as? any CustomTrainingSettings {
            for (name, value) in own.trainingSettings.values { values[join(path, name)] = value }
        } else if value is any DigestedSetting || value is Tensor || value is PackedWeight {
            values[path] = .text(SettingsDigest(of: value).description)
        } else if let leaf = Value(leaf: value) {
            values[path] = leaf
        } else {
            addParts(of: value, at: path, depth: depth + 1)
        }
    }

    private mutating func addParts(of value: Any, at path: String, depth: Int) {
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional:
            if let child = mirror.children.first {
                add(child.value, at: path, depth: depth)
            } else {
                values[path] = .text("none")
            }
        case .collection, .set, .dictionary:
            addElements(mirror.children.map(\.value), of: value, at: path, depth: depth)
        case .enum:
            guard let child = mirror.children.first else {
                values[path] = .text("\(value)")
                return
            }
            values[path] = .text(child.label ?? "\(value)")
            add(child.value, at: join(path, child.label ?? "value"), depth: depth)
        case .struct, .class, .tuple:
            if mirror.children.isEmpty { values[path] = .text("\(type(of: value))") }
            for child in mirror.children {
                add(child.value, at: join(path, child.label ?? ""), depth: depth)
            }
        default: break
        }
    }

    /// Few elements by their values, many by a digest.
    private mutating func addElements(
        _ elements: [Any], of value: Any, at path: String, depth: Int
    ) {
        let leaves = elements.compactMap { Value(leaf: $0)?.description }
        if elements.isEmpty {
            values[path] = .text("none")
        } else if elements.count > 16 || Mirror(reflecting: value).displayStyle != .collection {
            values[path] = .text("\(elements.count) of \(SettingsDigest(of: value))")
        } else if leaves.count == elements.count {
            values[path] = .text(leaves.joined(separator: ","))
        } else {
            for (index, element) in elements.enumerated() {
                let place = join(path, "\(index + 1)")
                values[place] = .text("\(type(of: element))")
                add(element, at: place, depth: depth)
            }
        }
    }

    private func join(_ path: String, _ name: String) -> String {
        path.isEmpty ? name : name.isEmpty ? path : "\(path).\(name)"
    }

    /// Settings that differ from others, in words and with both values.
    ///
    /// - Parameters:
    ///   - asked: The other settings.
    ///   - isCompared: Whether a setting of some path counts; by default all do.
    /// - Returns: A text such as "batch size 8 (not 16)" for each.
    func differences(
        from asked: TrainingSettings, where isCompared: (String) -> Bool = { _ in true }
    ) -> [String] {
        Set(values.keys).union(asked.values.keys).sorted()
            .filter { isCompared($0) && values[$0] != asked.values[$0] }
            .map { path in
                func text(_ value: Value?) -> String { value?.description ?? "nothing" }
                return "\(Self.words(path)) \(text(values[path])) (not \(text(asked.values[path])))"
            }
    }

    /// "rate.warmUp" as "rate, warm up".
    static func words(_ path: String) -> String {
        path.replacing(".", with: ", ").reduce(into: "") { words, letter in
            words += letter.isUppercase ? " " + letter.lowercased() : String(letter)
        }
    }
}

/// A type whose settings are something else than its stored properties.
public protocol CustomTrainingSettings {
    /// The settings of a value.
    var trainingSettings: TrainingSettings { get }
}

/// A type whose values are compared as a whole, by a digest of all that they are made of, such as a
/// network that stays as it is.
public protocol DigestedSetting {}

extension TrainingSettings.Value: CustomStringConvertible {
    /// The value in words.
    public var description: String {
        switch self {
        case .flag(let value): value ? "yes" : "no"
        // Shortest, and whole numbers without a point.
        case .number(let value): Int(exactly: value).map { "\($0)" } ?? "\(value)"
        case .text(let value): value
        }
    }

    /// The value of something that is not made of parts.
    init?(leaf value: Any) {
        switch value {
        case let value as Bool: self = .flag(value)
        case let value as any BinaryInteger:
            // What JSON's numbers hold exactly.
            let isSmall = (-1 << 53)...(1 << 53) ~= Int(clamping: value)
            self = isSmall ? .number(Double(Int(clamping: value))) : .text("\(value)")
        // Through its shortest text, so that 0.1 stays 0.1.
        case let value as Float: self.init(Double("\(value)") ?? Double(value))
        case let value as Double: self.init(value)
        case let value as String: self = .text(value)
        case let value as URL: self = .text(value.path)
        default: return nil
        }
    }

    private init(_ number: Double) {
        self = number.isFinite ? .number(number) : .text("\(number)")
    }
}

extension TrainingSettings: Codable {
    /// Settings as they were encoded.
    public init(from decoder: any Decoder) throws {
        values = try [String: Value](from: decoder)
    }

    /// Encodes the values by their paths.
    public func encode(to encoder: any Encoder) throws { try values.encode(to: encoder) }
}

extension TrainingSettings.Value: Codable {
    /// A value of one of the three types.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    /// Encodes the value alone.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .flag(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        }
    }
}
