/// How a terminal shows images.
public enum TerminalGraphics: String, Sendable, Hashable, CaseIterable {
    /// Characters whose upper and lower half have a 24-bit colour each.
    case halfBlocks = "half-blocks"
    /// Pixels, in the protocol of kitty, which other terminals have too.
    case kitty
    /// Pixels, as DEC's terminals had them.
    case sixel

    /// What a terminal's environment announces; nil for one that shows no images, and half blocks
    /// where nothing is said.
    ///
    /// Within tmux and screen, which pass the other kinds on only where they are told to, that is
    /// half blocks too.
    ///
    /// - Parameter environment: Environment variables; `TERM`, `TERM_PROGRAM`, `KITTY_WINDOW_ID`,
    ///   `TMUX` and `STY` count.
    public init?(environment: [String: String]) {
        let terminal = environment["TERM"] ?? ""
        let program = environment["TERM_PROGRAM"] ?? ""
        if terminal.isEmpty || terminal == "dumb" { return nil }
        if TerminalGraphics.isMultiplexed(environment) {
            self = .halfBlocks
        } else if environment["KITTY_WINDOW_ID"] != nil || terminal == "xterm-kitty"
            || ["ghostty", "WezTerm"].contains(program)
        {
            self = .kitty
        } else if terminal.contains("sixel") || terminal.hasPrefix("foot")
            || terminal.hasPrefix("mlterm") || ["mintty", "iTerm.app"].contains(program)
        {
            self = .sixel
        } else {
            self = .halfBlocks
        }
    }

    /// Whether a program between the terminal and this one draws the screen.
    public static func isMultiplexed(_ environment: [String: String]) -> Bool {
        let terminal = environment["TERM"] ?? ""
        return environment["TMUX"] != nil || environment["STY"] != nil
            || terminal.hasPrefix("screen") || terminal.hasPrefix("tmux")
    }

    /// What a terminal is asked: whether it takes an image of one pixel in kitty's protocol, and
    /// then for its attributes, which every terminal answers.
    public static let question = "\u{1B}_Gi=4211,s=1,v=1,a=q,t=d,f=24;AAAA\u{1B}\\\u{1B}[c"

    /// What a terminal's answer to ``question`` announces; nil for nothing, as of one that has not
    /// answered.
    ///
    /// - Parameter answer: The bytes that it sent.
    public init?(answer: some Sequence<UInt8>) {
        let text = String(decoding: Array(answer), as: UTF8.self)
        if text.contains("\u{1B}_Gi=4211;OK") {
            self = .kitty
        } else if TerminalGraphics.attributes(text)?.contains("4") ?? false {
            self = .sixel
        } else {
            return nil
        }
    }

    /// Whether an answer is complete.
    public static func isComplete(_ answer: some Sequence<UInt8>) -> Bool {
        attributes(String(decoding: Array(answer), as: UTF8.self)) != nil
    }

    /// The terminal's primary device attributes (DA1), of which the first is its class.
    private static func attributes(_ answer: String) -> [Substring]? {
        guard let begin = answer.firstRange(of: "\u{1B}[?") else { return nil }
        let rest = answer[begin.upperBound...]
        guard let end = rest.firstIndex(of: "c") else { return nil }
        return Array(rest[..<end].split(separator: ";").dropFirst())
    }
}

/// The room that a terminal has for an image.
public struct TerminalArea: Sendable, Hashable {
    /// The columns of characters.
    public var columns: Int
    /// The lines of characters.
    public var rows: Int
    /// The size of a character in pixels.
    public var cell: ImageSize

    /// An area.
    ///
    /// - Parameters:
    ///   - columns: The columns of characters.
    ///   - rows: The lines of characters.
    ///   - cell: The size of a character in pixels.
    public init(columns: Int, rows: Int, cell: ImageSize = ImageSize(width: 10, height: 20)) {
        self.columns = columns
        self.rows = rows
        self.cell = cell
    }

    /// The largest size with an image's aspect ratio in a number of pixels, but no more than so
    /// many times the image's own.
    func size(
        of image: Image, in pixels: ImageSize, enlarging most: Double = 2
    ) -> ImageSize {
        let scale = min(
            most, Double(pixels.width) / Double(image.width),
            Double(pixels.height) / Double(image.height))
        func side(_ own: Int, _ most: Int) -> Int {
            min(max(1, Int((Double(own) * scale).rounded())), max(1, most))
        }
        return ImageSize(
            width: side(image.width, pixels.width), height: side(image.height, pixels.height))
    }
}
