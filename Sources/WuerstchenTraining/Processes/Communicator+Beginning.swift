private import Foundation
internal import TensorCore

extension Communicator {
    /// Refuses processes that would not train the same: of other programs, processors, settings,
    /// networks or data.
    ///
    /// - Parameter settings: All settings of this process's training.
    /// - Throws: In the first process `WuerstchenError` with code `invalidRequest` that names what
    ///   differs where; ``EndedTogether`` in all others.
    func requireAlike(_ settings: TrainingSettings) throws {
        guard process.count > 1 else { return }
        var own = settings
        own["program"] = .text(Self.program)
        own["kernels"] = .text(KernelLevel.active.rawValue)
        own["OpenBLAS"] = .text((try? BLAS.load())?.coreName ?? "none")
        let all = try gathered(Array(JSONEncoder().encode(own))).map {
            try JSONDecoder().decode(TrainingSettings.self, from: Data($0))
        }
        var problems: [String] = []
        for (rank, other) in all.enumerated() {
            let differences = other.differences(from: all[0])
            guard !differences.isEmpty else { continue }
            let shown = differences.prefix(6).joined(separator: ", ")
            let rest = differences.count > 6 ? " and \(differences.count - 6) more" : ""
            problems.append("\(try ProcessRank(rank, of: process.count)): \(shown)\(rest)")
        }
        guard !problems.isEmpty else { return }
        guard process.isFirst else { throw EndedTogether() }
        throw WuerstchenError(
            .invalidRequest,
            "the processes would not train the same as the first; \(problems.joined(separator: "; ")). "
                + "All need the same program, checkpoint, data and options; WUERSTCHEN_KERNELS and "
                + "OPENBLAS_CORETYPE choose kernels that all processors have")
    }

    /// What tells this program from another version or build of it.
    private static var program: String {
        guard let file = Bundle.main.executableURL,
            let data = try? Data(contentsOf: file, options: .mappedIfSafe)
        else { return "unknown" }
        var hash = FNV1a()
        data.withUnsafeBytes { hash.addWords($0) }
        return hash.digits
    }

    /// In how many shards a training's steps are computed: as it was asked for, or as it was begun
    /// with; where several processes begin without a word, or gradients are to be rounded, in as
    /// many as a power of two up to eight that the images of a step can be divided by.
    ///
    /// - Parameters:
    ///   - options: What was asked for.
    ///   - begun: The state that the training goes on from, in the first process; nil for one that
    ///     begins.
    /// - Returns: The number, the same in all processes; nil for none.
    /// - Throws: `WuerstchenError` with code `invalidRequest` where the processes cannot share it.
    func shards(_ options: TrainingOptions, resuming begun: TrainingState?) throws -> Int? {
        var number = options.shards
        if number == nil, case .number(let recorded) = begun?.settings?["shards"] {
            number = Int(exactly: recorded)
        }
        if number == nil, begun == nil { number = options.shared(by: process).shards }
        let sent = withUnsafeBytes(of: Int64(number ?? 0)) { Array($0) }
        let agreed = try shared(sent, from: 0).withUnsafeBytes {
            Int($0.loadUnaligned(as: Int64.self))
        }
        guard process.count > 1 else { return number }
        guard agreed > 0 else {
            guard process.isFirst else { throw EndedTogether() }
            throw WuerstchenError(
                .invalidRequest,
                "the training was begun without shards, which several processes could share; go on "
                    + "with it in one process")
        }
        guard process.count.nonzeroBitCount == 1, agreed % process.count == 0 else {
            guard process.isFirst else { throw EndedTogether() }
            throw WuerstchenError(
                .invalidRequest,
                "\(process.count) processes cannot share \(agreed) shards of a step equally; start as "
                    + "many as a power of two up to \(agreed)")
        }
        return agreed
    }
}
