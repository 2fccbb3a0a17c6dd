import ArgumentParser
import Wuerstchen
import WuerstchenTraining

/// The images that this process makes of all that were asked for: every so many-th where several
/// processes share the work, each by itself, or all.
struct WorkShare {
    /// Orders, and the place of their first image among all.
    let pieces: [(first: Int, order: Order)]
    private let process: ProcessRank
    private let skipsMade: Bool
    private let hasDrawnSeed: Bool
    private let total: Int

    /// - Parameters:
    ///   - orders: What was asked for.
    ///   - process: Which process this is.
    ///   - skipsMade: Whether images that are there are left out, which takes images one by one.
    init(_ orders: [Order], _ process: ProcessRank, skipsMade: Bool) {
        (self.process, self.skipsMade) = (process, skipsMade)
        hasDrawnSeed = orders.contains(where: \.isSeedDrawn)
        var pieces: [(first: Int, order: Order)] = []
        var place = 0
        for order in orders {
            if process.count == 1, !skipsMade {
                pieces.append((place, order))
            } else {
                pieces += (0..<order.asked.count).filter { process.takes(place + $0) }
                    .map { (place + $0, order.image($0)) }
            }
            place += order.asked.count
        }
        (self.pieces, total) = (pieces, place)
    }

    /// Refuses what takes all images in one process, and what each process would choose for itself.
    func check(_ prompts: PromptArguments, _ output: OutputArguments) throws {
        guard process.count > 1 || skipsMade else { return }
        let reason = process.count > 1 ? "this is \(process)" : "--resume"
        guard !hasDrawnSeed else {
            throw ValidationError(
                "\(reason), and seeds that are drawn would be others each time: name --seed, or a "
                    + "seed in each request")
        }
        guard output.sheet == nil, output.previews == nil else {
            throw ValidationError(
                "\(reason), which makes a part of the images: leave out --sheet and --previews")
        }
        guard process.count == 1 || prompts.prompt != "-" else {
            throw ValidationError(
                "\(reason), and standard input reaches one of them: name a file with --prompts")
        }
    }

    /// What part of the images is made; nil where it is all of them.
    func note(_ count: Int) -> String? {
        guard process.count > 1 || skipsMade else { return nil }
        return (process.count > 1 ? "\(process): " : "") + "\(count) of \(total) images to make"
    }
}
