import ArgumentParser
import Foundation
import ServerClient
import Synchronization

@main struct Load: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Ask a running server for many images at once, and check every one.",
        discussion: """
            Images of the same seed must be the same to the byte. A request that is turned away \
            with 429 is sent again.
            """)

    @Option(help: "The server's address.") var host = "127.0.0.1"
    @Option(help: "The server's port.") var port = 8080
    @Option(help: "A file with the server's token.") var tokenFile: String?
    @Option(help: "How many ask at once.") var clients = 100
    @Option(help: "How many images are asked for in all.") var requests = 1000
    @Option(help: "How many seeds they share.") var seeds = 10
    @Option(help: "The size of the images, as OpenAI's interface takes it.") var size = "128x128"
    @Option(help: "What the images show.") var prompt = "a red house under a starry night sky"

    func validate() throws {
        for (name, value, range) in [
            ("port", port, 1...65535), ("clients", clients, 1...10000),
            ("requests", requests, 1...1_000_000), ("seeds", seeds, 1...1_000_000),
        ] {
            guard range.contains(value) else {
                throw ValidationError(
                    "--\(name) is \(value); it must be from \(range.lowerBound) to "
                        + "\(range.upperBound)")
            }
        }
    }

    func run() async throws {
        let token = try tokenFile.map {
            try String(contentsOfFile: $0, encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let client = ServerClient(host: host, port: port, token: token)
        let tally = Tally(requests: requests)
        let begun = ContinuousClock.now
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<clients {
                group.addTask {
                    while let number = tally.next() {
                        await ask(number, client, tally)
                        if tally.finished.isMultiple(of: max(1, requests / 20)) {
                            await sample(client, tally)
                        }
                    }
                }
            }
        }
        let seconds = (ContinuousClock.now - begun) / .seconds(1)
        try tally.report(seconds: seconds)
    }

    /// Asks until there is an answer other than 429.
    private func ask(_ number: Int, _ client: ServerClient, _ tally: Tally) async {
        let seed = number % seeds
        let body = try? JSONSerialization.data(withJSONObject: [
            "prompt": prompt, "size": size, "seed": seed, "response_format": "b64_json",
        ])
        let begun = ContinuousClock.now
        while true {
            do {
                let answer = try await client.send(.post, "/v1/images/generations", body: body)
                if answer.status == 429 {
                    tally.turnedAway(hint: answer.headers["retry-after"])
                    // The hint is for a full queue; with as many who ask, shares of it are enough.
                    try await Task.sleep(for: .milliseconds(.random(in: 100...1000)))
                    continue
                }
                guard answer.status == 200 else {
                    tally.lose("\(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
                    return
                }
                let images = try JSONDecoder().decode(Answer.self, from: answer.body).data
                guard images.count == 1, images[0].image.starts(with: [0x89, 0x50, 0x4E, 0x47])
                else {
                    tally.lose("the answer holds no PNG file")
                    return
                }
                tally.finish(
                    seed: seed, image: images[0].image,
                    seconds: (ContinuousClock.now - begun) / .seconds(1))
                return
            } catch {
                tally.lose("\(error)")
                return
            }
        }
    }

    private func sample(_ client: ServerClient, _ tally: Tally) async {
        guard let answer = try? await client.send(.get, "/metrics") else { return }
        let line = String(decoding: answer.body, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix("process_resident_memory_bytes ")
        }
        guard let bytes = line?.split(separator: " ").last.flatMap({ Double($0) }) else { return }
        let mebibytes = Int(bytes / 1_048_576)
        print("\(tally.finished) done, \(mebibytes) MiB")
    }

    private struct Answer: Decodable {
        struct Entry: Decodable {
            let image: Data
            enum CodingKeys: String, CodingKey { case image = "b64_json" }
        }
        let data: [Entry]
    }
}

/// What came of the requests.
private final class Tally: Sendable {
    private struct Values {
        var next = 0
        var seconds: [Double] = []
        var images: [Int: Data] = [:]
        var losses: [String] = []
        var turnedAway = 0
        var withoutHint = 0
    }

    private let requests: Int
    private let values = Mutex(Values())

    init(requests: Int) {
        self.requests = requests
    }

    func next() -> Int? {
        values.withLock { values in
            guard values.next < requests else { return nil }
            defer { values.next += 1 }
            return values.next
        }
    }

    var finished: Int { values.withLock { $0.seconds.count } }

    func turnedAway(hint: String?) {
        values.withLock {
            $0.turnedAway += 1
            if hint.flatMap({ Int($0) }) == nil { $0.withoutHint += 1 }
        }
    }

    func lose(_ reason: String) {
        values.withLock { $0.losses.append(reason) }
    }

    func finish(seed: Int, image: Data, seconds: Double) {
        values.withLock { values in
            if values.images[seed, default: image] != image {
                values.losses.append("seed \(seed) gave two different images")
            }
            values.images[seed] = image
            values.seconds.append(seconds)
        }
    }

    func report(seconds: Double) throws {
        let values = values.withLock { $0 }
        let sorted = values.seconds.sorted()
        func quantile(_ share: Double) -> String {
            guard !sorted.isEmpty else { return "-" }
            let index = min(sorted.count - 1, Int(share * Double(sorted.count)))
            return String(format: "%.2f s", sorted[index])
        }
        let rate = String(format: "%.2f", Double(sorted.count) / seconds)
        print(
            """
            \(sorted.count) of \(requests) images in \(Int(seconds)) s, \(rate) a second
            from first asking to answer: median \(quantile(0.5)), 95 % \(quantile(0.95)), \
            longest \(quantile(1))
            \(values.turnedAway) answers 429, \(values.withoutHint) of them without Retry-After
            """)
        for loss in Set(values.losses).sorted() { print("lost: \(loss)") }
        guard values.losses.isEmpty, sorted.count == requests else { throw ExitCode.failure }
    }
}
