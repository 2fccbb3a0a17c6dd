public import Foundation

extension Safetensors {
    /// Writes a file, one tensor at a time, so that no more than a part of one need be in memory.
    ///
    /// The file appears under its name when it is complete; until then, and if anything fails, what
    /// was there before stays as it is. A file that is still mapped may be replaced: the mapping
    /// keeps showing the old one.
    ///
    /// The tensors are laid out by falling size of their elements and then by name, which aligns
    /// each to its element size, and the first to 64 bytes. Bodies are called in that order. The
    /// same tensors and metadata give the same bytes, whatever their order.
    ///
    /// - Parameters:
    ///   - sources: The tensors.
    ///   - metadata: Free-form notes for the header.
    ///   - url: Where to write; the folder must exist. A symbolic link is replaced, not followed.
    /// - Throws: ``WuerstchenError`` with the code `invalidRequest` if two tensors share a name, a
    ///   shape is negative or too large, a body gives more or fewer bytes than its tensor has, or
    ///   the names take more than a header can hold, and with `unwritableFile` if the file cannot
    ///   be written; and whatever a body throws.
    public static func write(
        _ sources: [Source], metadata: [String: String] = [:], to url: URL
    ) throws {
        let layout = try SafetensorsLayout(sources, metadata: metadata, file: url.path)
        try AtomicFile.replace(url) { file in
            try unsafe layout.header.withUnsafeBytes { try unsafe file.append($0) }
            for part in layout.parts {
                try write(part, to: file, at: url)
            }
        }
    }

    private static func write(
        _ part: SafetensorsLayout.Part, to file: AtomicFile, at url: URL
    ) throws {
        var rest = part.byteCount
        try unsafe part.source.body { bytes in
            guard bytes.count <= rest else { throw mismatch(part, "more", at: url) }
            try unsafe file.append(bytes)
            rest -= bytes.count
        }
        guard rest == 0 else { throw mismatch(part, "\(rest) bytes fewer", at: url) }
    }

    private static func mismatch(
        _ part: SafetensorsLayout.Part, _ difference: String, at url: URL
    ) -> WuerstchenError {
        WuerstchenError(
            .invalidRequest,
            "\(url.path): the tensor \(quoted(part.source.name)) of shape \(part.source.shape) was "
                + "given \(difference) than its \(part.byteCount) bytes; write exactly those")
    }
}
