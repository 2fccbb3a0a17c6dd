import Wuerstchen

/// Stage A on large images, in tiles and at once: time, memory, and whether the images are the
/// same.
enum TileBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        let stage = try StageA(
            configuration: .init(), parameters: RandomParameters(seed: 3), precision: precision)
        let sides = [1024, 2048, 4096]
        func image(_ side: Int, _ words: String, tileSide: Int) throws -> Image? {
            let latent = ImageLatent(values: random("latent", [1, side / 4, side / 4, 4]))
            var image: Image?
            try table.measureOnce("Stage A, \(side)² \(words)", precision) {
                image = try stage.decode(latent, tileSide: tileSide).first
            }
            TensorMemory.releaseIdle()
            if let image { table.note("hash \(String(hash(image), radix: 16))") }
            return image
        }
        // Tiles first: what a process had at most never falls again.
        let tiled = try sides.map {
            try image($0, "in tiles", tileSide: StageA.standardTileSide)
        }
        for (side, tiled) in zip(sides, tiled) {
            let isSame = try image(side, "at once", tileSide: side) == tiled
            table.note(isSame ? "the same image" : "ANOTHER IMAGE")
        }
    }

    /// FNV-1a of the samples.
    private static func hash(_ image: Image) -> UInt64 {
        image.pixels.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
