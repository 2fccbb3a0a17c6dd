/// Prompts on a command line.
enum Prompts {
    /// The options that take no value.
    static let flags: Set = [
        "--fast", "--quiet", "--force", "--clean-end", "--json", "--prompt-weights", "--wildcards",
        "--watch", "--resume",
        "--help", "-h", "--version",
    ]

    /// Arguments in which a prompt that begins with a dash stands behind `--`, as the parser needs
    /// it. A prompt is what no option can be: it begins with a single dash, or has white space in
    /// its name.
    static func separated(_ arguments: [String]) -> [String] {
        guard !arguments.contains("--") else { return arguments }
        let place = arguments.indices.first { index in
            let argument = arguments[index]
            guard argument.hasPrefix("-"), argument != "-", !flags.contains(argument) else {
                return false
            }
            let name = argument.prefix { $0 != "=" }
            guard !argument.hasPrefix("--") || name.contains(where: \.isWhitespace) else {
                return false
            }
            // The value of an option that stands before it.
            guard let previous = index > 0 ? arguments[index - 1] : nil else { return true }
            return !previous.hasPrefix("--") || previous.contains("=") || flags.contains(previous)
        }
        guard let place else { return arguments }
        var others = arguments
        let prompt = others.remove(at: place)
        return others + ["--", prompt]
    }
}
