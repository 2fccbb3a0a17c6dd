internal import TensorCore

/// The name of a field of any kind.
private struct AnyField: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) {
        self.stringValue = stringValue
    }

    init?(intValue: Int) { nil }
}

extension Decoder {
    /// Refuses the configuration of another model, which would be read as defaults where its fields
    /// have other names.
    ///
    /// - Parameters:
    ///   - name: What is configured, for messages.
    ///   - className: The class in the reference implementation (`_class_name`).
    ///   - fields: The fields that are read.
    ///   - passedOver: Fields of the reference implementation that inference does not depend on.
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`, in words that follow the
    ///   file's name.
    func requireConfiguration<Field: CodingKey & CaseIterable>(
        of name: String, _ className: String, _ fields: Field.Type,
        passingOver passedOver: Set<String> = []
    ) throws {
        try requireClass(of: name, className)
        let known = passedOver.union(Field.allCases.map(\.stringValue))
        let unknown = try container(keyedBy: AnyField.self).allKeys.map(\.stringValue)
            .filter { !known.contains($0) && !$0.hasPrefix("_") }.sorted()
        guard unknown.isEmpty else {
            let shown = unknown.prefix(6).joined(separator: ", ")
            throw WuerstchenError(
                .invalidConfiguration,
                "has fields that \(name) does not have (\(shown)\(unknown.count > 6 ? ", …" : "")); "
                    + "it may be another model's. Its own are "
                    + Field.allCases.map(\.stringValue).joined(separator: ", "))
        }
    }

    /// Refuses a file that names another class than it should; one that names none may pass.
    ///
    /// - Parameters:
    ///   - name: What is described, for messages.
    ///   - className: The class.
    ///   - other: Another class that will do.
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`, in words that follow the
    ///   file's name.
    func requireClass(of name: String, _ className: String, or other: String? = nil) throws {
        let fields = try container(keyedBy: AnyField.self)
        let found = try fields.decodeIfPresent(
            String.self, forKey: AnyField(stringValue: "_class_name"))
        guard let found, found != className, found != other else { return }
        throw WuerstchenError(
            .invalidConfiguration,
            "describes a \(found) (_class_name); \(name) is a \(className). Check which file is "
                + "which, or whether this is a checkpoint of Würstchen")
    }
}
