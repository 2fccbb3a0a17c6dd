public import Foundation

/// An open `.safetensors` file: named tensors, their types and shapes, and the bytes of each where
/// they lie in the mapped file.
///
/// Opening reads the header alone and checks all of it; the tensors' bytes are read from disk when
/// they are first used. What ``MappedFile`` says about files changed in place holds here too.
///
/// The check is stricter than the reference implementation's: keys must be unique (compared as
/// Unicode, so two spellings of the same accented letter are one), an entry has no fields but the
/// three of the format, and only spaces may pad the header.
public struct Safetensors: Sendable {
    /// What the header says about one tensor.
    public struct Entry: Sendable, Hashable {
        /// The tensor's name, unique in its file.
        public let name: String
        /// The type of the elements.
        public let elementType: ElementType
        /// The dimensions, outermost first; empty for a scalar.
        public let shape: [Int]
        /// Where the elements lie, row-major and little-endian, counted from the start of the file.
        ///
        /// The format promises no alignment, so load elements as unaligned.
        public let byteRange: Range<Int>
    }

    /// Where the file was when it was opened.
    public var url: URL { file.url }
    /// The mapped file; a tensor that points into it keeps it alive by holding on to it.
    public let file: MappedFile
    /// The tensors by name.
    public let entries: [String: Entry]
    /// The free-form notes in the header, empty if there are none.
    public let metadata: [String: String]

    /// Opens a file and checks its header.
    ///
    /// - Parameter url: The file.
    /// - Throws: ``WuerstchenError`` with the code `malformedFile` if the file is not in the
    ///   format, is incomplete or has element types of less than a byte; otherwise as
    ///   ``MappedFile/init(contentsOf:)``.
    public init(contentsOf url: URL) throws {
        file = try MappedFile(contentsOf: url)
        let header: SafetensorsHeader
        do {
            header = try SafetensorsHeader(of: file)
        } catch let error as WuerstchenError where error.code == .malformedFile {
            // What the file is says more than what it lacks.
            throw FileKind.misfit(file, expecting: .safetensors) ?? error
        }
        entries = header.entries
        metadata = header.metadata
    }

    /// Calls a closure with a tensor's bytes, which are valid only until it returns.
    ///
    /// - Parameters:
    ///   - entry: One of this file's ``entries``.
    ///   - body: The closure.
    /// - Returns: What the closure returns.
    /// - Throws: ``WuerstchenError`` with the code `invalidRequest` if the entry is not one of this
    ///   file's, and whatever the closure throws.
    public func withBytes<Result>(
        of entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard entries[entry.name] == entry else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path) has no tensor \(Self.quoted(entry.name)) of that type, shape and "
                    + "place; use an entry of this file")
        }
        return try unsafe file.withBytes {
            try unsafe body(UnsafeRawBufferPointer(rebasing: $0[entry.byteRange]))
        }
    }
}
