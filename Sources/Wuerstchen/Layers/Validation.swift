internal import TensorCore

/// Checks that a configuration's numbers can be sizes.
///
/// - Throws: ``WuerstchenError`` with code `invalidConfiguration` that names the first number that
///   is below 1 or absurdly large.
func requirePositive(
    _ fields: KeyValuePairs<String, Int>, upTo limit: Int = 1 << 20
) throws {
    for (name, value) in fields where !(1...limit).contains(value) {
        throw WuerstchenError(
            .invalidConfiguration,
            "\(name) is \(value); it must be at least 1 and no more than \(limit)")
    }
}

/// The largest number of blocks or layers, and of pixels along a patch or a kernel.
let deepest = 1024
let widestPatch = 64
