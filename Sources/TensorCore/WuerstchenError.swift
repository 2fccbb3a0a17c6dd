public import Foundation

/// What went wrong, where, and what to do about it: the one error type of the package.
///
/// Everything that can be wrong with a file, a request or the machine is thrown as a
/// `WuerstchenError`; cancellation is thrown as `CancellationError`. Compare ``code`` to react to a
/// kind of failure, and show ``description`` to a person.
public struct WuerstchenError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure. More kinds may be added, so a `switch` over them needs a `default`.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The name of the kind, as in ``WuerstchenError/description``.
        public let rawValue: String

        /// A kind of failure with a name of your own.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// A file or folder is not there.
        public static let fileNotFound = Code(rawValue: "file not found")
        /// A file is there but cannot be opened or read.
        public static let unreadableFile = Code(rawValue: "unreadable file")
        /// A file cannot be written; what was there before is untouched.
        public static let unwritableFile = Code(rawValue: "unwritable file")
        /// The contents of a file contradict its format.
        public static let malformedFile = Code(rawValue: "malformed file")
        /// A checkpoint's tensors are not those of the network: missing, surplus or misshapen.
        public static let incompatibleParameters = Code(rawValue: "incompatible parameters")
        /// A network's configuration contradicts itself or is not supported.
        public static let invalidConfiguration = Code(rawValue: "invalid configuration")
        /// A vocabulary, merge table or tokenizer configuration is not usable.
        public static let invalidVocabulary = Code(rawValue: "invalid vocabulary")
        /// A request's size, step count, guidance or similar is out of range.
        public static let invalidRequest = Code(rawValue: "invalid request")
        /// A computation gave values that are not finite.
        public static let notFinite = Code(rawValue: "not finite")
        /// A system library is not installed.
        public static let missingLibrary = Code(rawValue: "missing library")
    }

    /// The kind of failure.
    public let code: Code
    /// What was wrong, with what, and what to do; one line unless it lists several tensors.
    public let message: String
    /// The error of a lower layer that led to this one, if there was one.
    public let underlying: (any Error)?

    /// An error of the given kind.
    ///
    /// - Parameters:
    ///   - code: The kind of failure.
    ///   - message: What was wrong, with what, and what to do.
    ///   - underlying: The error of a lower layer that led to this one.
    public init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// The kind, the message and the cause, for a person to read.
    public var description: String {
        let cause = underlying.map { " (\(WuerstchenError.text(of: $0)))" } ?? ""
        return "\(code.rawValue): \(message)\(cause)"
    }

    /// Foundation's errors describe themselves at length; their localised sentence is what counts.
    private static func text(of error: any Error) -> String {
        error is WuerstchenError ? "\(error)" : error.localizedDescription
    }
}

extension WuerstchenError: LocalizedError {
    /// The same as ``description``.
    public var errorDescription: String? { description }
}
