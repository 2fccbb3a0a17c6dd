public import ArgumentParser
import Foundation
import Wuerstchen
public import WuerstchenTraining

@main struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train the parts of a cascade.",
        subcommands: [Miniature.self, Export.self])
}

extension Train {
    struct Miniature: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "miniature",
            abstract: "Train the small cascade from nothing, or go on with it.")

        @Argument(help: "The folder of the training; it is made if it is not there.")
        var folder: String

        @Option(help: "Only these pieces. (default: all)")
        var only: [MiniatureRecipe.Piece] = []

        @Option(help: "The length of the training; less than 1 to try it out.")
        var length = 1.0

        @Option(help: "Threads. (default: one for each processor)")
        var threads: Int?

        func run() async throws {
            if let threads { Threads.count = threads }
            let recipe = MiniatureRecipe(in: URL(fileURLWithPath: folder), length: length)
            for piece in only.isEmpty ? MiniatureRecipe.Piece.allCases : only {
                try await interruptible {
                    var progress = TrainingProgress()
                    progress.note(piece.rawValue)
                    try recipe.train(piece, progress: &progress)
                }
            }
        }
    }
}

extension Train {
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export",
            abstract: "Write the small cascade as a checkpoint in the published layout.")

        @Argument(help: "The folder of the training.")
        var folder: String

        @Argument(help: "The folder of the checkpoint.")
        var checkpoint: String

        func run() throws {
            try MiniatureRecipe(in: URL(fileURLWithPath: folder))
                .export(to: URL(fileURLWithPath: checkpoint))
        }
    }
}

extension MiniatureRecipe.Piece: @retroactive ExpressibleByArgument {}

/// Does work in a task that an interrupt (Ctrl-C) or a termination cancels, so that it can save what
/// it has.
func interruptible(_ work: @escaping @Sendable () throws -> Void) async throws {
    let task = Task.detached { try work() }
    let sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        source.setEventHandler { task.cancel() }
        source.resume()
        return source
    }
    try await task.value
    withExtendedLifetime(sources) {}
}
