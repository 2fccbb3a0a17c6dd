import TensorCore
import Testing
import WuerstchenTraining

@Suite("New images among those to be kept in mind") struct MixedImagesTests {
    /// Batches whose captions say which they are.
    private struct Named: ImageSource {
        let name: String

        func batch(_ number: Int, count: Int) -> ImageBatch {
            ImageBatch(
                pixels: Tensor(repeating: 0, [count, 1, 1, 3]),
                captions: (0..<count).map { _ in "\(name)\(number)" })
        }
    }

    @Test("come in turns, each kind in its own order", arguments: [0, 0.25, 0.3, 0.75])
    func turns(_ share: Double) throws {
        let mixed = MixedImages(Named(name: "new"), keeping: Named(name: "old"), share: share)
        let seen = try (0..<40).map { try mixed.batch($0, count: 2).captions[1] }
        let kept = seen.filter { $0.hasPrefix("old") }
        #expect(kept.count == Int(40 * share))
        #expect(kept == kept.indices.map { "old\($0)" })
        let new = seen.filter { $0.hasPrefix("new") }
        #expect(new == new.indices.map { "new\($0)" })
    }
}
