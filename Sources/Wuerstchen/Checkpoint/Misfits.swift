internal import TensorCore

/// What does not fit together, collected before any work is done so that one error says all of it.
package struct Misfits {
    private var errors: [WuerstchenError] = []

    /// Nothing found yet.
    package init() {}

    /// What a function makes, or nil where it throws, which is noted.
    ///
    /// - Throws: What is no ``WuerstchenError``, such as `CancellationError`.
    @discardableResult
    package mutating func collect<Value>(_ make: () throws -> Value) throws -> Value? {
        do {
            return try make()
        } catch let error as WuerstchenError {
            errors.append(error)
            return nil
        }
    }

    /// Throws what was noted, if anything was: a single error as it is, several as one that lists
    /// them and has the first one's code.
    package func report() throws {
        guard let first = errors.first else { return }
        guard errors.count > 1 else { throw first }
        throw WuerstchenError(
            first.code,
            "\(errors.count) things do not fit:"
                + errors.map { "\n- \($0.message)" }.joined(),
            underlying: first.underlying)
    }
}
