import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import _WuerstchenTestSupport

/// Images decoded in tiles must be those decoded at once, to the last bit where the library's own
/// kernels multiply.
@Suite("Tiles of Stage A") struct StageATilesTests {
    private static func stage(
        levels: Int, blocks: Int, _ precision: Precision = .float32
    ) throws -> StageA {
        var c = StageA.Configuration()
        (c.levels, c.bottleneckBlocks, c.channels, c.codes) = (levels, blocks, 24, 8)
        return try StageA(
            configuration: c, parameters: RandomParameters(seed: 11), precision: precision)
    }

    private static func latent(_ shape: Shape) -> ImageLatent {
        var numbers = RandomNumbers(seed: 5)
        return ImageLatent(values: Tensor(numbers.floats(shape.count, spread: 2), shape))
    }

    private static func hash(_ images: [Image]) -> UInt64 {
        var hash = FNV1a()
        for image in images { hash.add(image.pixels) }
        return hash.value
    }

    @Test(
        "the same images whatever the tiles", arguments: [(1, 3), (2, 1), (2, 3), (3, 2)],
        Precision.allCases)
    func sameImages(depth: (levels: Int, blocks: Int), precision: Precision) throws {
        let (levels, blocks) = depth
        let stage = try Self.stage(levels: levels, blocks: blocks, precision)
        let latent = Self.latent([2, 23, 38, 4])
        let whole = try stage.decode(latent, tileSide: 1000)
        let varied = Set(whole[0].pixels)
        #expect(varied.count > 50 && whole[0] != whole[1])
        for side in [1, 5, 16, 23] where side > 1 || levels == 1 {
            let tiled = try stage.decode(latent, tileSide: side)
            guard KernelLevel.active != .portable else {
                // OpenBLAS multiplies there, and rounds by the number of rows.
                for (tiled, whole) in zip(tiled, whole) {
                    #expect(largestDifference(tiled, whole) <= 2, "tiles of \(side)")
                }
                continue
            }
            #expect(Self.hash(tiled) == Self.hash(whole), "tiles of \(side)")
            #expect(tiled == whole)
        }
    }

    private func largestDifference(_ a: Image, _ b: Image) -> Int {
        zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
    }

    @Test("a pixel sees as far as the halo, and no further")
    func halo() throws {
        for (levels, blocks) in [(1, 1), (2, 3), (3, 2)] {
            let stage = try Self.stage(levels: levels, blocks: blocks)
            let side = 2 * stage.halo + 5
            let middle = side / 2
            let latent = Self.latent([1, side, side, 4])
            func changed(_ distance: Int) throws -> Bool {
                var other = latent
                let place = (middle * side + middle + distance) * 4
                other.values.withUnsafeMutableElements { $0[place] += 1 }
                let pixels = stage.pixelsPerPosition
                let (before, after) = try (stage.pixels(of: latent), stage.pixels(of: other))
                return (0..<pixels * pixels * 3).contains { index in
                    let (y, x, c) = (index / 3 / pixels, index / 3 % pixels, index % 3)
                    let (row, column) = (middle * pixels + y, middle * pixels + x)
                    return before[0, row, column, c] != after[0, row, column, c]
                }
            }
            #expect(try !changed(stage.halo + 1), "\(levels) levels, \(blocks) blocks")
            let isSeen = try (max(0, stage.halo - 2)...stage.halo).contains(where: changed)
            #expect(isSeen, "a halo of \(stage.halo) is too much: \(levels), \(blocks)")
        }
    }

    @Test("the published network's halo")
    func published() throws {
        // 12 blocks, the layer between the levels, and half a block of the level above.
        let stage = try Self.stage(levels: 2, blocks: 12)
        #expect(stage.halo == 14)
    }

    @Test("what no tile can be, and no image")
    func refusals() throws {
        let stage = try Self.stage(levels: 2, blocks: 1)
        expectError(.invalidRequest, "side of 0") {
            _ = try stage.decode(Self.latent([1, 4, 4, 4]), tileSide: 0)
        }
        expectError(.invalidRequest, "Stage A decodes") {
            _ = try stage.decode(Self.latent([1, 4, 4, 5]), tileSide: 2)
        }
        var broken = Self.latent([1, 9, 9, 4])
        broken.values.withUnsafeMutableElements { $0[4 * 80] = .nan }
        expectError(.notFinite, "Stage A") { _ = try stage.decode(broken, tileSide: 4) }
    }
}
