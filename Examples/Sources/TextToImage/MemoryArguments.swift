import ArgumentParser
import ExampleSupport
import Foundation
import Wuerstchen

/// How much memory a command may take.
struct MemoryArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Refuse to begin if more memory would be needed than this, such as 2G or 1500M, and say \
            what would fit.
            """, valueName: "size"))
    var memoryLimit: ByteCount?

    @Flag(help: "Print how much memory the images would need, and make none.")
    var estimateMemory = false

    var isAsked: Bool { memoryLimit != nil || estimateMemory }

    /// Refuses what needs more memory than there may be.
    ///
    /// - Parameters:
    ///   - wanted: What was asked for.
    ///   - estimate: The memory for that or something else; it fills in the size.
    /// - Returns: The memory for what was asked for.
    /// - Throws: `WuerstchenError` that names what would fit.
    func check(
        _ wanted: MemorySetting, _ estimate: (inout MemorySetting) throws -> MemoryEstimate
    ) throws -> MemoryEstimate {
        if let limit = memoryLimit, limit.bytes < 1_000_000 {
            throw ValidationError(
                "--memory-limit is \(limit.bytes) bytes; give a unit too, such as 2G or 1500M")
        }
        var wanted = wanted
        let own = try estimate(&wanted)
        guard let limit = memoryLimit, own.peak > limit.bytes else { return own }
        var fitting: [String] = []
        var least = Double(own.peak)
        for other in wanted.alternatives where fitting.count < 4 {
            var other = other
            // What the process has besides grows by each estimate.
            let peak = try own.process + estimate(&other).work
            // What hardly takes less than something that changes less is no choice.
            if peak <= limit.bytes, Double(peak) < 0.9 * least {
                least = Double(peak)
                fitting.append("\(other.options(besides: wanted)) (\(ByteCount(bytes: peak)))")
            }
        }
        throw WuerstchenError(
            .invalidRequest,
            "\(wanted.words) would need \(ByteCount(bytes: own.peak)) of memory, more than the limit of "
                + "\(limit); "
                + (fitting.isEmpty
                    ? "nothing smaller fits either: raise the limit"
                    : "this would fit: \(fitting.joined(separator: ", "))"))
    }
}

/// What memory depends on, as far as it can be chosen.
struct MemorySetting: Equatable {
    /// Nil for what the checkpoint was trained at, or the size of the image that it starts from.
    var size: ImageSize?
    var count = 1
    var precision: Precision
    var policy: MemoryPolicy

    var words: String {
        (count == 1 ? "an image" : "\(count) images")
            + (size.map { " of \($0) pixels" } ?? "") + " in \(precision.rawValue)"
    }

    /// Other settings that take less, those first that change the images least.
    var alternatives: [MemorySetting] {
        var result: [MemorySetting] = []
        func add(_ change: (inout MemorySetting) -> Void) {
            var other = self
            change(&other)
            if other != self, !result.contains(other) { result.append(other) }
        }
        add { $0.policy = .sequential }
        add { $0.count = 1 }
        add { ($0.policy, $0.count) = (.sequential, 1) }
        let lower = Precision.allCases.drop { $0 != precision }
        for precision in lower {
            add { ($0.policy, $0.precision) = (.sequential, precision) }
        }
        for part in [4, 2, 1] {
            for precision in [precision, lower.last ?? precision] {
                add {
                    ($0.policy, $0.count, $0.precision) = (.sequential, 1, precision)
                    $0.size = size.map {
                        ImageSize(
                            width: max(128, $0.width * part / 8 / 32 * 32),
                            height: max(128, $0.height * part / 8 / 32 * 32))
                    }
                }
            }
        }
        return result
    }

    /// The options that lead from another setting to this one.
    func options(besides other: MemorySetting) -> String {
        var options: [String] = []
        if policy != other.policy { options.append("--memory \(policy.rawValue)") }
        if precision != other.precision { options.append("--precision \(precision.rawValue)") }
        if count != other.count { options.append("--count \(count)") }
        if let size, size != other.size {
            options.append("--width \(size.width) --height \(size.height)")
        }
        return options.joined(separator: " ")
    }
}
