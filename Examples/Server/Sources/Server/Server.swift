public import ArgumentParser
import Foundation
import Hummingbird
import ImageServer
import Logging
import ServiceLifecycle
import UnixSignals
public import Wuerstchen
import WuerstchenMiniature

extension Precision: @retroactive ExpressibleByArgument {}

@main struct Server: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Serve a cascade: a page, a JSON interface and OpenAI's.",
        discussion: """
            One request is worked on at a time; others wait in a queue of limited length. SIGTERM \
            lets the current one finish and turns the others away.
            """)

    @Option(
        help: """
            A folder with wuerstchen-prior and wuerstchen in it, as published. (default: the small \
            cascade that ships in the package)
            """)
    var checkpoint: String?

    @Flag(help: "Take few steps of the small cascade: one of Stage C, four of Stage B.")
    var fast = false

    @Option(help: "Precision of the networks' large matrices.")
    var precision = Precision.float32

    @Option(help: "Threads that make images. (default: one for each processor)")
    var threads: Int?

    @Option(help: "The address to listen at; 0.0.0.0 for all, which is open to everybody near.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen at.")
    var port = 8080

    @Option(help: "A file with the token that clients must send, as Authorization: Bearer TOKEN.")
    var tokenFile: String?

    @Option(help: "How many requests may wait; further ones are answered with 429.")
    var waiting = 32

    @Option(help: "The longest side of an image, in pixels.")
    var maxSide = 1024

    @Option(help: "The most images of a request.")
    var maxImages = 4

    @Option(help: "The longest body of a request, in MiB.")
    var maxBody = 16

    @Option(help: "How long the last request may take after SIGTERM, in seconds.")
    var grace = 300

    func validate() throws {
        guard !fast || checkpoint == nil else {
            throw ValidationError("--fast takes the students of the small cascade in the package")
        }
        for (name, value, range) in [
            ("threads", threads ?? 1, 1...1024), ("port", port, 0...65535),
            ("waiting", waiting, 0...10000), ("max-side", maxSide, 128...4096),
            ("max-images", maxImages, 1...1024), ("max-body", maxBody, 1...1024),
            ("grace", grace, 0...86400),
        ] {
            guard range.contains(value) else {
                throw ValidationError(
                    "--\(name) is \(value); it must be from \(range.lowerBound) to "
                        + "\(range.upperBound)")
            }
        }
    }

    func run() async throws {
        if let threads { Threads.count = threads }
        var settings = ServerSettings()
        settings.waitingLimit = waiting
        settings.maximumSide = maxSide
        settings.maximumImages = maxImages
        settings.maximumBody = maxBody << 20
        settings.token = try tokenFile.map { try token(in: $0) }

        let logger = Logger(label: "server")
        let cascade =
            try checkpoint.map {
                try Cascade(contentsOf: URL(fileURLWithPath: $0), precision: precision)
            } ?? .miniature(fast ? .fewSteps : .full, precision: precision)
        for note in cascade.notes { logger.notice("\(note)") }
        if settings.token == nil, !["127.0.0.1", "::1", "localhost"].contains(host) {
            logger.warning("everybody who reaches \(host) can use this server: see --token-file")
        }

        let server = ImageServer(cascade, settings: settings)
        let application = server.application(host: host, port: port, logger: logger) { channel in
            let port = channel.localAddress?.port ?? 0
            logger.notice("\(cascade.name) at http://\(host):\(port)")
        }
        // Services are told to stop from the last to the first: the queue before the connections.
        var configuration = ServiceGroupConfiguration(
            services: [application, server.queue], gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(grace)
        try await ServiceGroup(configuration: configuration).run()
    }

    private func token(in path: String) throws -> String {
        let token = try String(contentsOfFile: path, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        guard !token.isEmpty else { throw ValidationError("--token-file \(path) is empty") }
        return token
    }
}
