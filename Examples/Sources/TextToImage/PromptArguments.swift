import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen

/// What images should show.
struct PromptArguments: ParsableArguments {
    @Argument(
        help: """
            What the image should show, or - for standard input with a prompt on each line, or a \
            request in JSON.
            """)
    var prompt: String?

    @Option(help: "A file with a prompt on each line, or a request in JSON, in place of a prompt.")
    var prompts: String?

    @Flag(
        help: """
            Read weights in prompts: (word:1.3), (word) for 1.1, \\( for a parenthesis. Without it \
            parentheses are read as they are written.
            """)
    var promptWeights = false

    @Flag(
        help: """
            Read choices in both prompts: {red|blue}, which each image's seed makes; \\{ for a brace. \
            Without it braces are read as they are written.
            """)
    var wildcards = false

    @Option(
        help: ArgumentHelp(
            "The same, and __colour__ for a line of colour.txt in a folder.", valueName: "folder"))
    var wildcardFolder: String?

    @Option(help: "Embeddings of --save-embeddings in place of a prompt and a negative prompt.")
    var embeddings: String?

    @Option(
        help: """
            Write what the text encoders make of the prompt and the negative prompt to a file \
            (.safetensors), and make no image.
            """)
    var saveEmbeddings: String?

    func validate() throws {
        guard [prompt, prompts, embeddings].compactMap({ $0 }).count <= 1 else {
            throw ValidationError("a prompt, --prompts and --embeddings exclude each other")
        }
        guard embeddings == nil || !promptWeights && choices == nil && saveEmbeddings == nil else {
            throw ValidationError("--embeddings have no prompt to read weights or choices in")
        }
        guard saveEmbeddings == nil || saveEmbeddings?.hasSuffix(".safetensors") == true else {
            throw ValidationError("--save-embeddings must end in .safetensors")
        }
    }

    /// What was given of these.
    var given: [String] {
        let all: [(String, Bool)] = [
            ("a prompt", prompt != nil), ("--prompts", prompts != nil),
            ("--prompt-weights", promptWeights), ("--wildcards", wildcards),
            ("--wildcard-folder", wildcardFolder != nil),
            ("--save-embeddings", saveEmbeddings != nil),
        ]
        return all.filter(\.1).map(\.0)
    }

    /// Whether something says what to make.
    var isEmpty: Bool { prompt == nil && prompts == nil && embeddings == nil }

    var syntax: PromptSyntax { promptWeights ? .weighted : .plain }

    /// How choices are made; nil where there are none.
    var choices: Wildcards? {
        guard wildcards || wildcardFolder != nil else { return nil }
        return Wildcards(folder: wildcardFolder.map { URL(fileURLWithPath: $0) })
    }

    /// The embeddings of the file that was named; nil for none.
    func encoded() throws -> PromptEmbeddings? {
        try embeddings.map { try PromptEmbeddings(contentsOf: URL(fileURLWithPath: $0)) }
    }

    /// What was asked for, each line of a file or of standard input by itself.
    ///
    /// - Throws: `WuerstchenError` that names the line.
    func orders(_ asked: RequestArguments) throws -> [Order] {
        let embeddings = try encoded()
        let drawn = asked.seed ?? .drawn
        guard prompts != nil || prompt == "-" else {
            return try orders(
                RequestLine(text: embeddings?.prompt ?? prompt ?? ""), nil, asked, drawn,
                embeddings)
        }
        let (lines, name) = try PromptLines.read(prompts)
        return try lines.flatMap { line in
            try naming("\(name), line \(line.number)") {
                try orders(RequestLine(line: line.text), line.number, asked, drawn, nil)
            }
        }
        .map { order in
            var order = order
            order.place = order.line.map { "\(name), line \($0)" }
            return order
        }
    }

    /// What a line asks for: one order, or one for each image where each has choices of its own.
    private func orders(
        _ line: RequestLine, _ number: Int?, _ asked: RequestArguments, _ drawn: Seed,
        _ embeddings: PromptEmbeddings?
    ) throws -> [Order] {
        var asked = asked
        try line.apply(to: &asked)
        guard (1...1024).contains(asked.count) else {
            throw ValidationError("--count is \(asked.count); it must be from 1 to 1024")
        }
        guard !line.prompt.isEmpty || asked.edit.isPromptOptional || number == nil else {
            throw WuerstchenError(.invalidRequest, "the request has no prompt; say what to make")
        }
        let seed = (line.seed ?? asked.seed ?? drawn).value
        let isDrawn = (line.seed ?? asked.seed ?? drawn).isDrawn
        func order(_ prompt: String, _ seed: UInt64, _ asked: RequestArguments) -> Order {
            Order(
                prompt: prompt, seed: seed, isSeedDrawn: isDrawn, line: number, syntax: syntax,
                embeddings: embeddings, asked: asked)
        }
        guard let choices else { return [order(line.prompt, seed, asked)] }
        return try (0..<asked.count).map { image in
            let one = order("", seed, asked).image(image)
            var asked = one.asked
            // With a seed of its own, so that it does not choose what the prompt chooses.
            asked.negative = try choices.prompt(of: asked.negative, seed: ~one.seed)
            return order(try choices.prompt(of: line.prompt, seed: one.seed), one.seed, asked)
        }
    }
}

/// A request that a command line or a line of a file asks for.
struct Order {
    let prompt: String
    private(set) var seed: UInt64
    /// Whether nobody named the seed.
    let isSeedDrawn: Bool
    let line: Int?
    let syntax: PromptSyntax
    let embeddings: PromptEmbeddings?
    private(set) var asked: RequestArguments
    /// Where it stands, for messages.
    var place: String?

    /// The seeds of its images.
    var seeds: [UInt64] { (0..<asked.count).map { seed &+ UInt64($0) } }

    /// One of its images alone, the same bit for bit.
    func image(_ index: Int) -> Order {
        var one = self
        one.seed = seed &+ UInt64(index)
        one.asked.count = 1
        one.asked.stageBSeed = asked.stageBSeed.map { $0 &+ UInt64(index) }
        return one
    }

    /// The request, with its images read. `note` gets what is wrong with files beside their pixels.
    func request(
        _ cascade: Cascade, noting note: (String) -> Void = { _ in }
    ) throws -> GenerationRequest {
        try naming(place) {
            var request = try asked.request(cascade, seed: seed, noting: note)
            request.prompt = prompt
            request.promptSyntax = syntax
            if let embeddings {
                request.negativePrompt = embeddings.negativePrompt
                request.embeddings = embeddings
            }
            try request.validate()
            return request
        }
    }
}

/// Puts a place in front of what is wrong there.
func naming<Value>(_ place: String?, _ make: () throws -> Value) throws -> Value {
    guard let place else { return try make() }
    do {
        return try make()
    } catch let error as WuerstchenError {
        throw WuerstchenError(error.code, "\(place): \(error.message)")
    } catch let error as ValidationError {
        throw WuerstchenError(.invalidRequest, "\(place): \(error.message)")
    }
}
