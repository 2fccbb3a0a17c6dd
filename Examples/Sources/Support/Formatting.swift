private import Foundation

extension Double {
    /// The number with so many digits after the point, in any locale.
    public func rounded(to digits: Int) -> String {
        formatted(
            .number.precision(.fractionLength(digits)).locale(Locale(identifier: "en_US_POSIX")))
    }
}
