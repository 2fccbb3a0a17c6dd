internal import TensorCore

/// Collects what was asked for and what was wrong with it.
final class ParameterReader {
    let source: any ParameterSource
    /// Matrices that are packed already.
    let packed: PackedMatrices?
    /// Who notes what becomes of parameters.
    let recorder: MatrixRecorder?
    var used: Set<String> = []
    /// What was taken of the packed matrices.
    var usedParts: Set<String> = []
    private var problem: (any Error)?
    private var missing: [String] = []
    private var misshapen: [String] = []
    /// Zeros that stand in for what is missing, so that the rest can be looked at too. A
    /// configuration may ask for more than any memory holds; then it ends here.
    private var standIns = 0
    private static let standInLimit = 1 << 26

    init(_ source: any ParameterSource) {
        self.source = source
        packed = (source as? CheckpointParameters)?.packed
        recorder = source as? MatrixRecorder
    }

    var names: Set<String>? { source.names }

    var hasValues: Bool { source.hasValues }

    var batchStatistics: BatchStatistics? { source.batchStatistics }

    func parameter(_ request: ParameterRequest) throws -> Tensor {
        try Task.checkCancellation()
        let (name, shape) = (request.name, request.shape)
        used.insert(name)
        switch try source.parameter(request) {
        case .found(let tensor): return tensor
        case .misshapen(let found):
            misshapen.append("\(name) is \(found), expected \(shape)")
        case .missing: missing.append("\(name) \(shape)")
        }
        standIns += max(shape.count, 1 << 12)
        guard standIns <= ParameterReader.standInLimit else {
            throw misfit(surplus: [], isCutOff: true)
        }
        return Tensor(repeating: 0, shape)
    }

    func noteMissing(_ what: String) { missing.append(what) }

    func noteMisshapen(_ what: String) { misshapen.append(what) }

    /// Keeps the first of several errors, to be thrown when the network is complete.
    func note(_ error: any Error) { problem = problem ?? error }

    func updates(_ request: ParameterRequest) throws -> [WeightUpdate] {
        request.role.isWeight ? try source.updates(of: request) : []
    }

    /// Checks that what was asked for is what the source has.
    func finish(ignoring isIgnored: (String) -> Bool) throws {
        if let problem { throw problem }
        let unused = (source.names ?? []).subtracting(used).filter {
            !isIgnored($0) && !ParameterReader.isOfNoConsequence($0, source)
        }
        let surplus = unused.union(packed?.names.subtracting(usedParts) ?? [])
        guard missing.isEmpty, misshapen.isEmpty, surplus.isEmpty else {
            throw misfit(surplus: surplus.sorted(), isCutOff: false)
        }
    }

    /// Whether a surplus parameter is one that published files hold and no network reads:
    /// counts of batches, numbers of positions, the scale between texts and images of a whole
    /// CLIP, and what has no elements.
    private static func isOfNoConsequence(
        _ name: String, _ source: any ParameterSource
    ) -> Bool {
        let last = name.split(separator: ".").last.map(String.init) ?? name
        return ["num_batches_tracked", "position_ids", "logit_scale"].contains(last)
            || source.isEmpty(name)
    }

    private func misfit(surplus: [String], isCutOff: Bool) -> WuerstchenError {
        let lists = [
            ("missing", missing), ("misshapen", misshapen), ("surplus", surplus),
        ]
        let parts = lists.filter { !$0.1.isEmpty }.map {
            "\($0.1.count) \($0.0)\(ParameterReader.list($0.1))"
        }
        return WuerstchenError(
            .incompatibleParameters,
            "\(source.origin) does not fit the network that its configuration describes; "
                + parts.joined(separator: "; ")
                + (isCutOff ? "; and more, which were not looked at" : ""))
    }

    /// A few names in full; of hundreds the first ones.
    private static func list(_ names: [String]) -> String {
        names.count <= 12
            ? ": \(names.joined(separator: ", "))"
            : ", such as \(names.prefix(6).joined(separator: ", ")), …"
    }
}
