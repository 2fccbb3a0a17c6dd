import Wuerstchen

/// Matrix products at the shapes that take most of an image's time.
enum ProductBenchmark {
    private static let shapes = [
        ("Stage C, 576×1536→6144", 576, 1536, 6144), ("Stage C, 576×6144→1536", 576, 6144, 1536),
        ("Stage C, 576×1536→1536", 576, 1536, 1536),
        ("Stage B, 16384×320→1280", 16384, 320, 1280),
        ("Stage B, 16384×1280→320", 16384, 1280, 320),
        ("Stage B, 4096×640→2560", 4096, 640, 2560),
        ("Stage B, 1024×1280→5120", 1024, 1280, 5120),
        ("Stage B, 256×5120→1280", 256, 5120, 1280),
        ("Stage A, 16384×384→1536", 16384, 384, 1536),
        ("text, 77×1280→5120", 77, 1280, 5120),
    ]

    private static func flops(_ rows: Int, _ depth: Int, _ outputs: Int) -> Double {
        2 * Double(rows) * Double(outputs) * Double(depth)
    }

    /// OpenBLAS on weights as they lie; the fastest is what other rows are compared with.
    static func measureYardstick(_ table: inout ResultTable) throws {
        var best = 0.0
        for (name, rows, depth, outputs) in shapes.prefix(6) {
            let x = random("x", [1, rows, depth])
            let weight = random("w", [outputs, depth])
            best = max(
                best,
                try table.measure(
                    "sgemm, \(name)", flops: flops(rows, depth, outputs)
                ) { _ = x.linear(weight) })
        }
        table.productRate = best
    }

    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        for (name, rows, depth, outputs) in shapes {
            let x = random("x", [1, rows, depth])
            let matrix = PackedWeight(random("w", [outputs, depth]), precision: precision)
            try table.measure(name, precision, flops: flops(rows, depth, outputs)) {
                _ = x.linear(matrix)
            }
        }
    }
}
