import Testing
import Wuerstchen

@testable import WuerstchenTraining

@Suite struct AspectBucketsTests {
    @Test func sizesAreTheLargestOfTheirShape() {
        let sizes = AspectBuckets(side: 256, multiple: 64, maximumRatio: 4).sizes
        #expect(
            sizes.map { [$0.width, $0.height] }
                == [[128, 512], [192, 320], [256, 256], [320, 192], [512, 128]])
        #expect(
            AspectBuckets(side: 256).sizes == [ImageSize(width: 256, height: 256)],
            "256 × 256 pixels leave no choice in steps of 128")
    }

    @Test(arguments: [(512, 128, 2.0), (512, 64, 3.0), (300, 32, 2.5), (128, 128, 1.0)])
    func sizesKeepTheirPromises(side: Int, multiple: Int, ratio: Double) {
        let sizes = AspectBuckets(side: side, multiple: multiple, maximumRatio: ratio).sizes
        #expect(!sizes.isEmpty)
        #expect(Set(sizes).count == sizes.count)
        for size in sizes {
            #expect(size.width % multiple == 0 && size.height % multiple == 0)
            #expect(size.width * size.height <= side * side)
            #expect((size.width + multiple) * size.height > side * side)
            #expect(
                Double(max(size.width, size.height)) <= ratio * Double(min(size.width, size.height))
            )
            #expect(sizes.contains(ImageSize(width: size.height, height: size.width)))
        }
    }

    @Test(arguments: [
        AspectBuckets(side: 100, multiple: 128), AspectBuckets(side: 256, multiple: 0),
        AspectBuckets(side: Int.max), AspectBuckets(side: 256, maximumRatio: 0.5),
        AspectBuckets(side: -256, multiple: -128), AspectBuckets(side: 256, maximumRatio: .nan),
    ])
    func impossibleBucketsHaveNoSizes(buckets: AspectBuckets) {
        #expect(buckets.sizes == [])
    }

    @Test func nearestIsByRatio() {
        let sizes = [(128, 512), (256, 256), (512, 128)].map { ImageSize(width: $0, height: $1) }
        func nearest(_ width: Int, _ height: Int) -> Int? {
            sizes.nearest(to: ImageSize(width: width, height: height))
        }
        #expect(nearest(1000, 1000) == 1)
        #expect(nearest(1990, 1000) == 1)
        #expect(nearest(2010, 1000) == 2)
        #expect(nearest(1000, 2010) == 0)
        #expect([ImageSize]().nearest(to: ImageSize(width: 1, height: 1)) == nil)
    }
}
