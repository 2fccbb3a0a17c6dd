package import TensorCore

/// Compares the outputs of a case with what the manifest allows, and prints how far they are.
package struct Comparison {
    private let test: Fixtures.Case
    private let tensors: CaseTensors
    private var compared: Set<String> = []
    /// What is beyond its tolerance, a line each.
    package private(set) var failures: [String] = []

    package init(_ test: Fixtures.Case, _ tensors: CaseTensors) {
        self.test = test
        self.tensors = tensors
    }

    /// Whether the case expects an output of this name.
    package func expects(_ name: String) -> Bool {
        test.fields["outputs"]?["out.\(name)"] != nil
    }

    /// Compares elements in the order in which they are stored.
    package mutating func check(_ name: String, _ got: [Float]) throws {
        let name = "out.\(name)"
        compared.insert(name)
        let want = try tensors(name).elements
        guard got.count == want.count else {
            return fail(name, "\(got.count) values where \(want.count) are expected")
        }
        for level in ["tolerance", "tight_tolerance"] {
            guard let rule = test.fields[level]?[name] else { continue }
            compare(name, level, rule, got, want)
        }
        if test.fields["tolerance"]?[name] == nil {
            fail(name, "the manifest gives no tolerance")
        }
    }

    /// Compares a tensor whose axes are in the stored order.
    package mutating func check(_ name: String, _ got: Tensor) throws {
        let shape = try tensors.shape("out.\(name)")
        guard got.shape.array == shape || got.count == shape.reduce(1, *) else {
            compared.insert("out.\(name)")
            return fail("out.\(name)", "is \(got.shape) where \(shape) is expected")
        }
        try check(name, got.elements)
    }

    /// Compares a map that the case stores channels-first.
    package mutating func check(map name: String, _ got: Tensor) throws {
        try check(name, got.channelsFirst())
    }

    /// Does without an output that the stage does not report.
    package mutating func leaveOut(_ name: String) { compared.insert("out.\(name)") }

    /// All expected outputs must have been compared.
    package mutating func finish() {
        for name in (test.fields["outputs"]?.object ?? [:]).keys.sorted()
        where !compared.contains(name) {
            fail(name, "was not computed: the suite does not know this output")
        }
    }

    private mutating func fail(_ name: String, _ message: String) {
        failures.append("\(test.name) \(name): \(message)")
    }

    private mutating func compare(
        _ name: String, _ level: String, _ rule: JSON, _ got: [Float], _ want: [Float]
    ) {
        func report(_ text: String, _ holds: Bool) {
            print("  \(holds ? "ok  " : "FAIL") \(test.name) \(name) \(level): \(text)")
            if !holds { fail(name, "\(level): \(text)") }
        }
        let errors = Swift.zip(got, want).map { got, want in
            got.isFinite == want.isFinite ? abs(Double(got) - Double(want)) : .infinity
        }
        let largest = errors.max() ?? 0
        if rule["exact"]?.bool == true {
            return report("largest error \(largest), must be equal", largest == 0)
        }
        if let allowed = rule["max_abs_difference"]?.double,
            let share = rule["max_fraction_differing"]?.double
        {
            let differing = Double(errors.count { $0 != 0 }) / Double(max(1, errors.count))
            return report(
                "largest difference \(largest) of \(allowed), differing \(differing) of \(share)",
                largest <= allowed && differing <= share)
        }
        guard let absolute = rule["atol"]?.double, let relative = rule["rtol"]?.double else {
            return report("the manifest's rule is not known: \(rule)", false)
        }
        let worst =
            Swift.zip(errors, want).map { $0 / (absolute + relative * abs(Double($1))) }.max() ?? 0
        report(
            "largest error \(short(largest)), atol \(absolute) rtol \(relative), "
                + "\(short(100 * worst)) % of what is allowed", worst <= 1)
    }

    private func short(_ value: Double) -> String {
        value == 0 ? "0" : "\(Float(value))"
    }
}
