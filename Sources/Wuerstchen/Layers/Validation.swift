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

/// Checks noisy latents from a caller, and that there is a time for each.
///
/// - Throws: ``WuerstchenError`` with code `invalidRequest` that says what was given and what is
///   taken.
func requireLatents(
    _ x: Tensor, channels: Int, times: [Float], _ stage: String
) throws {
    guard x.shape.rank == 4, x.shape[3] == channels, x.count > 0, times.count == x.shape[0] else {
        throw WuerstchenError(
            .invalidRequest,
            "\(stage) takes latents [batch, height, width, \(channels)] and a time for each, not "
                + "\(x.shape) and \(times.count) times")
    }
}

/// Checks hidden states of texts from a caller.
///
/// - Throws: ``WuerstchenError`` with code `invalidRequest` that says what was given and what is
///   taken.
func requireText(_ text: Tensor, channels: Int, _ stage: String) throws {
    guard text.shape.rank == 3, text.shape[2] == channels, text.count > 0 else {
        throw WuerstchenError(
            .invalidRequest,
            "\(stage) takes texts [texts, tokens, \(channels)], not \(text.shape)")
    }
}
