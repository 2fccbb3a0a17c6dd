import Foundation
import TensorCore
import Testing
import WuerstchenTraining

@Suite("Image detail") struct ImageDetailTests {
    /// Squares of two colours, their edges as soft as is wanted.
    private func squares(_ count: Int, side: Int = 64, softness: Float = 0, seed: Int = 0) -> Tensor
    {
        var values: [Float] = []
        for image in 0..<count {
            let period = 8 + (image + seed) % 5
            for y in 0..<side {
                for x in 0..<side {
                    let wave = sin(Float(x) * .pi / Float(period)) * sin(Float(y) * .pi / 9)
                    let value = softness > 0 ? 0.5 + wave / (2 + softness) : wave > 0 ? 1 : 0
                    values += [value, 0.5 * value, 1 - value]
                }
            }
        }
        return Tensor(values, [count, side, side, 3])
    }

    private func detail(_ pixels: Tensor, seed: UInt64 = 0) throws -> ImageDetail {
        var result = ImageDetail(seed: seed)
        try result.add(pixels)
        return result
    }

    @Test("a step from black to white is as sharp as the formula says")
    func edgesOfAStep() throws {
        let side = 64
        let step = Tensor(
            (0..<side * side).flatMap { [Float](repeating: $0 % side < 32 ? 0 : 1, count: 3) },
            [1, side, side, 3])
        let measured = try detail(step)
        // One column of 63 has the gradient 1 in three channels: more than a hundredth of them.
        #expect(abs(measured.edges - 3.0.squareRoot()) < 1e-6)
        // Two columns of 62 have a Laplacian of 1.
        #expect(abs(measured.laplacian - 2.0 / 62) < 1e-9)
        #expect(measured.count == 1)
    }

    @Test("a flat image has neither edges nor distance from itself")
    func flatImage() throws {
        let flat = try detail(Tensor([Float](repeating: 0.25, count: 64 * 64 * 3), [1, 64, 64, 3]))
        #expect(flat.edges == 0 && flat.laplacian == 0)
        #expect(flat.patchDistances(to: flat) == [0, 0, 0, 0])
    }

    @Test("patches of soft images are farther away than other patches of sharp ones")
    func patchDistances() throws {
        let sharp = try detail(squares(8))
        let other = try detail(squares(8, seed: 5), seed: 7)
        let soft = try detail(squares(8, softness: 2))
        #expect(soft.edges < 0.5 * sharp.edges)
        let (floor, distance) = (sharp.patchDistances(to: other), sharp.patchDistances(to: soft))
        #expect(floor.count == ImageDetail.levels && floor.allSatisfy { $0 > 0 })
        #expect(distance[0] > 2 * floor[0], "\(distance) \(floor)")
        // It is a distance: the same both ways, and nothing from a set to itself.
        #expect(soft.patchDistances(to: sharp) == distance)
        #expect(sharp.patchDistances(to: sharp) == [0, 0, 0, 0])
    }

    @Test("batches add up")
    func batches() throws {
        let images = squares(4)
        var halves = ImageDetail()
        try halves.add(images[0..<2])
        try halves.add(images[2..<4])
        let whole = try detail(images)
        #expect(halves.edges == whole.edges)
        #expect(halves.patchDistances(to: whole) == [0, 0, 0, 0])
    }

    @Test("images without room for a patch on each level are refused")
    func tooSmall() throws {
        let side = ImageDetail.smallestSide
        _ = try detail(squares(1, side: side))
        #expect(throws: WuerstchenError.self) { try detail(squares(1, side: side - 8)) }
    }
}
