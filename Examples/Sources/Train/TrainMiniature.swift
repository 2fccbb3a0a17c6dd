public import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen
public import WuerstchenScenes
import WuerstchenTraining

struct TrainMiniature: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "miniature",
        abstract: "Train the small cascade that ships in the package, or go on with it.",
        discussion: """
            Trains all pieces one after the other, each from where it was stopped, and writes the \
            checkpoint when all are done. Pieces that do not stand on each other can be trained at \
            the same time by several commands with --only and --threads 1.
            """)

    @Argument(help: "The folder of the training; it is made if it is not there.")
    var folder: String

    @Option(help: "Only these pieces. (default: all)")
    var only: [MiniatureRecipe.Piece] = []

    @Option(help: "The length of the training; less than 1 to try it out.")
    var length = 1.0

    @Option(
        help:
            "A checkpoint of the small cascade to go on from: what has not begun is taken from it.")
    var start: String?

    @Option(help: "What share of the learning rates to take, such as 0.5 with --start.")
    var rateFactor: Float = 1

    @Option(
        help: """
            The weight of a discriminator that tells what Stage B and Stage A make of noisy latents \
            from true ones, such as 0.05 with --start; 0 for none.
            """)
    var adversary: Float = 0

    @Option(help: "Threads. (default: one for each processor)")
    var threads: Int?

    func validate() throws {
        try requireRateFactor(rateFactor)
        guard length > 0, length <= 100 else {
            throw ValidationError("--length must be positive and at most 100")
        }
        try requireWeight(adversary, "--adversary")
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be 1 to 1024")
        }
    }

    func run() async throws {
        if let threads { Threads.count = threads }
        let (folder, only) = (URL(fileURLWithPath: folder), only)
        var recipe = try MiniatureRecipe(
            in: folder, startingFrom: start.map { URL(fileURLWithPath: $0) }, length: length)
        recipe.rateFactor = rateFactor
        recipe.stageBAdversary = adversary
        try requireNothingForeign(in: folder)
        try await interruptible { [recipe] in
            for piece in only.isEmpty ? MiniatureRecipe.Piece.allCases : only {
                var progress = TrainingProgress()
                progress.note(piece.rawValue)
                try recipe.train(piece, progress: &progress)
            }
            if only.isEmpty {
                try recipe.export(to: folder.appendingPathComponent("checkpoint"))
            }
        }
    }
}

struct ExportMiniature: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export-miniature",
        abstract: "Write the small cascade as a checkpoint, once every piece has been begun.")

    @Argument(help: "The folder of the training.")
    var folder: String

    @Argument(help: "The folder of the checkpoint.")
    var checkpoint: String

    @Option(
        help:
            "The checkpoint that the training began with, if it did: what has not begun is taken from it."
    )
    var start: String?

    @Flag(help: "Write into a folder that is there and has something in it.")
    var force = false

    func run() throws {
        let (folder, target) = (
            URL(fileURLWithPath: folder), URL(fileURLWithPath: checkpoint)
        )
        let recipe = try MiniatureRecipe(
            in: folder, startingFrom: start.map { URL(fileURLWithPath: $0) })
        try CheckpointExport.fill(target, replaces: force) { try recipe.export(to: target) }
    }
}

extension MiniatureRecipe.Piece: @retroactive ExpressibleByArgument {}
