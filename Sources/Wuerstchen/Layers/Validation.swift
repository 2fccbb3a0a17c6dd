internal import TensorCore

/// Checks that a configuration's numbers can be sizes.
///
/// - Throws: ``WuerstchenError`` with code `invalidConfiguration` that names the first number that
///   is below 1 or absurdly large.
func requirePositive(_ fields: KeyValuePairs<String, Int>) throws {
    for (name, value) in fields where !(1...1 << 20).contains(value) {
        throw WuerstchenError(
            .invalidConfiguration,
            "\(name) is \(value); it must be at least 1 and no more than \(1 << 20)")
    }
}
