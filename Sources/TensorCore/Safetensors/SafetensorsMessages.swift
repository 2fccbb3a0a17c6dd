import Foundation

extension Safetensors {
    /// The error for contents that contradict the format.
    static func malformed(_ url: URL, _ problem: String) -> WuerstchenError {
        WuerstchenError(
            .malformedFile,
            "\(url.path): \(problem). The file is damaged or incomplete; download it again")
    }

    /// A name out of a file, made fit for a message: on one line and of bounded length.
    static func quoted(_ name: String) -> String {
        let scalars = name.unicodeScalars
        guard scalars.count > 200 else { return name.debugDescription }
        return String(String.UnicodeScalarView(scalars.prefix(200))).debugDescription + "…"
    }

    /// The path that a URL gives to the system's own functions.
    static func path(of url: URL) throws -> String {
        let path = url.path
        guard url.isFileURL, !path.isEmpty else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.absoluteString) does not name a file on this machine; give a file URL")
        }
        // C functions stop at a NUL and would open another file than the one asked for.
        guard !path.utf8.contains(0) else {
            throw WuerstchenError(
                .invalidRequest, "the path \(quoted(path)) contains a NUL character; remove it")
        }
        return path
    }
}
