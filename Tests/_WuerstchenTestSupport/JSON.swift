package import Foundation

/// A JSON document whose structure is looked at, not decoded into a type: manifests describe cases
/// of many kinds.
package struct JSON: Sendable {
    private enum Value: Sendable {
        case object([String: JSON])
        case array([JSON])
        case string(String)
        case number(Double)
        case bool(Bool)
        case null
    }

    private let value: Value

    package init(contentsOf file: URL) throws {
        self.init(try JSONSerialization.jsonObject(with: Data(contentsOf: file)))
    }

    private init(_ any: Any) {
        switch any {
        case let object as [String: Any]: value = .object(object.mapValues(JSON.init))
        case let array as [Any]: value = .array(array.map(JSON.init))
        case let string as String: value = .string(string)
        case let number as NSNumber:
            // Foundation makes true and false numbers of type char.
            let isBool = String(cString: number.objCType) == "c"
            value = isBool ? .bool(number.boolValue) : .number(number.doubleValue)
        default: value = .null
        }
    }

    package subscript(key: String) -> JSON? {
        if case .object(let object) = value { object[key] } else { nil }
    }

    package var object: [String: JSON]? {
        if case .object(let object) = value { object } else { nil }
    }

    package var array: [JSON]? {
        if case .array(let array) = value { array } else { nil }
    }

    package var string: String? {
        if case .string(let string) = value { string } else { nil }
    }

    package var double: Double? {
        if case .number(let number) = value { number } else { nil }
    }

    package var int: Int? { double.map { Int($0) } }

    package var bool: Bool? {
        if case .bool(let bool) = value { bool } else { nil }
    }

    /// The document as Foundation's objects, to be written out again.
    package var any: Any {
        switch value {
        case .object(let object): object.mapValues(\.any)
        case .array(let array): array.map(\.any)
        case .string(let string): string
        case .number(let number): number == number.rounded() ? Int(number) as Any : number
        case .bool(let bool): bool
        case .null: NSNull()
        }
    }
}
