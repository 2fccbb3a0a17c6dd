import ExampleSupport
import Foundation
import Wuerstchen

/// The lines of a file, or of standard input, that have something in them.
enum PromptLines {
    private static let mostBytes = 1 << 26

    /// Reads the lines.
    ///
    /// - Parameter path: The file; nil for standard input.
    /// - Returns: The lines with their numbers, from 1, and what to call all of them.
    /// - Throws: `WuerstchenError` with code `invalidRequest` for input without a prompt, that is
    ///   no UTF-8 or longer than any list of prompts, `fileNotFound` or `unreadableFile`.
    static func read(
        _ path: String?
    ) throws -> (lines: [(number: Int, text: String)], name: String) {
        let name = path ?? "standard input"
        guard path.map(FileManager.default.fileExists) ?? true else {
            throw WuerstchenError(.fileNotFound, "\(name) is not there; check the path")
        }
        let data: Data
        do {
            let handle =
                try path.map { try FileHandle(forReadingFrom: URL(fileURLWithPath: $0)) }
                ?? .standardInput
            data = try handle.read(upToCount: mostBytes + 1) ?? Data()
        } catch {
            throw WuerstchenError(
                .unreadableFile, "\(name) cannot be read; it must be a text file",
                underlying: error)
        }
        guard data.count <= mostBytes else {
            throw WuerstchenError(
                .invalidRequest,
                "\(name) is no list of prompts: it has more than \(mostBytes >> 20) MiB")
        }
        guard var text = String(validating: data, as: UTF8.self) else {
            throw WuerstchenError(
                .invalidRequest, "\(name) is not text in UTF-8; save it as UTF-8")
        }
        // Some editors put a mark in front.
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        // No other character ends a line of JSON.
        let lines = text.split(omittingEmptySubsequences: false) { "\n\r\n\r".contains($0) }
            .map { $0.trimmingCharacters(in: .whitespaces) }
            .enumerated().map { (number: $0 + 1, text: $1) }.filter { !$0.text.isEmpty }
        guard !lines.isEmpty else {
            throw WuerstchenError(
                .invalidRequest, "\(name) has no prompt; write one on each line")
        }
        return (lines, name)
    }
}

/// What a line asks for: a prompt, or a JSON object whose keys are the options of the command with
/// underscores for dashes. What it does not say is as the command line has it.
struct RequestLine {
    private enum Key: String, CodingKey, CaseIterable {
        case prompt, negative, width, height, seed, count, sampler, image, mask, seam, strength
        case vary, reconstruct
        case stageBSeed = "stage_b_seed"
        case stageCSteps = "stage_c_steps"
        case stageCGuidance = "stage_c_guidance"
        case stageBSteps = "stage_b_steps"
        case stageBGuidance = "stage_b_guidance"
        case guidanceInterval = "guidance_interval"
        case guidanceRescale = "guidance_rescale"
        case cleanEnd = "clean_end"
    }

    /// The prompt; empty for none.
    let prompt: String
    /// The seed of its first image; nil where the line names none.
    private(set) var seed: Seed?
    private var fields: Fields?

    /// A prompt.
    init(text: String) {
        prompt = text
    }

    /// Whether a line is meant as JSON, or as the beginning of it: a brace before a quotation mark
    /// or the end, or a bracket before a brace or the end.
    private static func isJSON(_ line: String) -> Bool {
        let next = line.dropFirst().first { !$0.isWhitespace }
        switch line.first {
        case "{": return next == nil || next == "\"" || next == "}"
        case "[": return next == nil || next == "{"
        default: return false
        }
    }

    /// A line: a request in JSON or a prompt.
    ///
    /// - Throws: `WuerstchenError` with code `invalidRequest` that names the field at fault.
    init(line: String) throws {
        guard Self.isJSON(line) else {
            prompt = line
            return
        }
        do {
            let fields = try JSONDecoder().decode(Fields.self, from: Data(line.utf8))
            prompt = fields.prompt ?? ""
            seed = fields.seed
            self.fields = fields
        } catch is DecodingError {
            throw WuerstchenError(
                .invalidRequest,
                "this is no JSON object on one line, such as {\"prompt\": \"…\"}; a prompt that "
                    + "looks like one is written as the text in that")
        }
    }

    /// Puts what the line says in place of what the command line says.
    func apply(to asked: inout RequestArguments) throws {
        guard let fields else { return }
        func set<Value>(_ value: Value?, _ target: inout Value) {
            if let value { target = value }
        }
        func setOptional<Value>(_ value: Value?, _ target: inout Value?) {
            if let value { target = value }
        }
        set(fields.negative, &asked.negative)
        setOptional(fields.width, &asked.width)
        setOptional(fields.height, &asked.height)
        set(fields.count, &asked.count)
        setOptional(fields.stageBSeed, &asked.stageBSeed)
        setOptional(fields.stageCSteps, &asked.stageCSteps)
        setOptional(fields.stageCGuidance, &asked.stageCGuidance)
        setOptional(fields.stageBSteps, &asked.stageBSteps)
        setOptional(fields.stageBGuidance, &asked.stageBGuidance)
        setOptional(fields.sampler, &asked.sampling.sampler)
        setOptional(fields.guidanceInterval, &asked.sampling.guidanceInterval)
        setOptional(fields.guidanceRescale, &asked.sampling.guidanceRescale)
        set(fields.cleanEnd, &asked.sampling.cleanEnd)
        setOptional(fields.strength, &asked.edit.strength)
        setOptional(fields.seam, &asked.edit.seam)
        if fields.image ?? fields.vary ?? fields.reconstruct != nil {
            // One image takes the place of another, whatever was done with that.
            (asked.edit.image, asked.edit.vary, asked.edit.reconstruct, asked.edit.mask) =
                (fields.image, fields.vary, fields.reconstruct, nil)
        }
        setOptional(fields.mask, &asked.edit.mask)
        try asked.edit.validate()
    }

    private struct Fields: Decodable {
        var prompt, negative: String?
        var width, height, count, stageCSteps, stageBSteps, seam: Int?
        var seed: Seed?
        var stageBSeed: UInt64?
        var stageCGuidance, stageBGuidance, guidanceRescale, strength: Float?
        var sampler: SamplingMethod?
        var guidanceInterval: TimeInterval?
        var cleanEnd: Bool?
        var image, mask, vary, reconstruct: String?

        private struct AnyKey: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let known = Set(Key.allCases.map(\.rawValue))
            let unknown = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
                .filter { !known.contains($0) }.sorted()
            guard unknown.isEmpty else {
                // That option picks a stage, and all lines are made with the same.
                let steps =
                    unknown.contains("steps")
                    ? "; give --steps on the command line, or stage_c_steps here" : ""
                throw WuerstchenError(
                    .invalidRequest,
                    "a request has no \(unknown.joined(separator: ", ")); it may have "
                        + known.sorted().joined(separator: ", ") + steps)
            }
            let fields = try decoder.container(keyedBy: Key.self)
            func read<Value: Decodable>(_ value: inout Value?, _ key: Key) throws {
                do {
                    value = try fields.decodeIfPresent(Value.self, forKey: key)
                } catch let error as DecodingError {
                    throw RequestLine.finding(error, key)
                } catch {
                    // What a number is that its type does not have, JSONDecoder says outside alone.
                    throw WuerstchenError(
                        .invalidRequest,
                        "\(key.rawValue): this number is too large for it, below zero or no whole one"
                    )
                }
            }
            try read(&prompt, .prompt)
            try read(&negative, .negative)
            try read(&width, .width)
            try read(&height, .height)
            try read(&count, .count)
            try read(&seam, .seam)
            try read(&stageBSeed, .stageBSeed)
            try read(&stageCSteps, .stageCSteps)
            try read(&stageBSteps, .stageBSteps)
            try read(&stageCGuidance, .stageCGuidance)
            try read(&stageBGuidance, .stageBGuidance)
            try read(&guidanceRescale, .guidanceRescale)
            try read(&strength, .strength)
            try read(&sampler, .sampler)
            try read(&cleanEnd, .cleanEnd)
            try read(&image, .image)
            try read(&mask, .mask)
            try read(&vary, .vary)
            try read(&reconstruct, .reconstruct)
            if (try? fields.decode(Int.self, forKey: .seed)) == -1 {
                seed = .drawn
            } else {
                var number: UInt64?
                try read(&number, .seed)
                seed = number.map { Seed($0) }
            }
            var ends: [Float]?
            try read(&ends, .guidanceInterval)
            if let ends {
                guard ends.count == 2, ends[0] <= ends[1] else {
                    throw WuerstchenError(
                        .invalidRequest, "guidance_interval is two times, such as [0.2, 0.8]")
                }
                guidanceInterval = TimeInterval(times: ends[0]...ends[1])
            }
        }
    }

    private static func finding(_ error: DecodingError, _ key: Key) -> WuerstchenError {
        let finding =
            switch error {
            case .typeMismatch(_, let context), .valueNotFound(_, let context),
                .dataCorrupted(let context), .keyNotFound(_, let context):
                context.debugDescription
            @unknown default: "it cannot be read"
            }
        return WuerstchenError(.invalidRequest, "\(key.rawValue): \(finding)")
    }
}
