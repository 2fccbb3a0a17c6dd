/// Where the parameters of a network come from: a checkpoint, or a random initialiser.
public protocol ParameterSource {
    /// A name for messages, such as the file's path.
    var origin: String { get }

    /// The names of all parameters that the source holds, or nil if it makes up whatever it is
    /// asked for.
    var names: Set<String>? { get }

    /// The parameter of a name in PyTorch's layout.
    ///
    /// - Parameters:
    ///   - name: The published name, such as `blocks.0.depthwise.weight`.
    ///   - shape: The shape that the network expects.
    /// - Returns: The parameter, or that it is missing or has another shape.
    /// - Throws: When the parameter is there but cannot be read.
    func parameter(named name: String, expecting shape: Shape) throws -> FoundParameter
}

/// What a ``ParameterSource`` has under a name.
public enum FoundParameter: Sendable {
    /// A parameter of the expected shape.
    case found(Tensor)
    /// A parameter of another shape.
    case misshapen(String)
    /// Nothing.
    case missing
}

/// A view of a ``ParameterSource`` from which a network's layers take their parameters by name.
///
/// Asking never throws: problems are collected, and ``load(from:ignoring:_:)`` reports all of them
/// together when the network is complete.
public struct Parameters {
    private let reader: Reader
    private let prefix: String

    /// Collects what was asked for and what was wrong with it.
    private final class Reader {
        let source: any ParameterSource
        var used: Set<String> = []
        var missing: [String] = []
        var misshapen: [String] = []
        var failure: (any Error)?

        init(_ source: any ParameterSource) {
            self.source = source
        }
    }

    /// Builds a network from all parameters of a source.
    ///
    /// - Parameters:
    ///   - source: Where the parameters come from.
    ///   - isIgnored: Whether a surplus parameter of the given name is of no consequence.
    ///   - build: Makes the network.
    /// - Returns: The network.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` that lists every missing,
    ///   surplus and misshapen parameter, or what the source threw.
    public static func load<Network>(
        from source: any ParameterSource, ignoring isIgnored: (String) -> Bool = { _ in false },
        _ build: (Parameters) throws -> Network
    ) throws -> Network {
        let reader = Reader(source)
        let network = try build(Parameters(reader: reader, prefix: ""))
        if let failure = reader.failure { throw failure }
        let surplus = (source.names ?? []).subtracting(reader.used).filter { !isIgnored($0) }
        if !(reader.missing.isEmpty && reader.misshapen.isEmpty && surplus.isEmpty) {
            let lists = [
                ("missing", reader.missing), ("misshapen", reader.misshapen),
                ("surplus", surplus.sorted()),
            ]
            let parts = lists.filter { !$0.1.isEmpty }.map {
                "\($0.1.count) \($0.0): \($0.1.joined(separator: ", "))"
            }
            throw WuerstchenError(
                .incompatibleParameters,
                "\(source.origin) does not fit the network that its configuration describes; "
                    + parts.joined(separator: "; "))
        }
        return network
    }

    /// The parameters whose names begin with `name` and a dot.
    public subscript(name: String) -> Parameters {
        Parameters(reader: reader, prefix: prefix + name + ".")
    }

    /// The parameters of a numbered part.
    public subscript(index: Int) -> Parameters { self["\(index)"] }

    /// Whether the source has a parameter of this name; false for a source that makes them up.
    public func contains(_ name: String) -> Bool {
        reader.source.names?.contains(prefix + name) ?? false
    }

    /// The parameter of a name in PyTorch's layout. Zeros when there is none of the expected
    /// shape, which is reported later.
    public func callAsFunction(_ name: String, _ shape: Shape) -> Tensor {
        let name = prefix + name
        reader.used.insert(name)
        do {
            switch try reader.source.parameter(named: name, expecting: shape) {
            case .found(let tensor): return tensor
            case .misshapen(let found):
                reader.misshapen.append("\(name) is \(found), expected \(shape)")
            case .missing: reader.missing.append("\(name) \(shape)")
            }
        } catch {
            reader.failure = reader.failure ?? error
        }
        return Tensor(repeating: 0, shape)
    }
}
