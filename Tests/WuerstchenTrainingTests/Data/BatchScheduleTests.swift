import Testing

@testable import WuerstchenTraining

@Suite struct BatchScheduleTests {
    /// The bucket and the images of the first batches.
    private func batches(
        _ number: Int, of counts: [Int], count: Int, seed: UInt64 = 1
    ) -> [(bucket: Int, images: [Int])] {
        let schedule = BatchSchedule(bucketCounts: counts, count: count, seed: seed)
        return (0..<number).map {
            let place = schedule.place(of: $0)
            return (place.bucket, schedule.images(of: place, in: place.bucket))
        }
    }

    @Test func everyImageComesOnceBeforeAnyComesAgain() {
        let seen = batches(8, of: [12], count: 3).map(\.images)
        let (first, second) = (seen[..<4].flatMap(\.self), seen[4...].flatMap(\.self))
        #expect(first.sorted() == Array(0..<12))
        #expect(second.sorted() == Array(0..<12))
        #expect(first != second, "an order is never repeated")
        #expect(first != Array(0..<12))
        #expect(first != batches(4, of: [12], count: 3, seed: 2).flatMap(\.images))
    }

    @Test func imageCountsThatDoNotFillBatchesAreSeenEvenly() {
        // 105 images in three buckets; after 4 × 105 images, each was seen about 4 times.
        let counts = [70, 33, 2]
        var seen = counts.map { [Int](repeating: 0, count: $0) }
        for batch in batches(105, of: counts, count: 4) {
            #expect(batch.images.count == 4)
            for image in batch.images { seen[batch.bucket][image] += 1 }
        }
        #expect(seen[0].allSatisfy { (3...5).contains($0) })
        #expect(seen[1].allSatisfy { (3...5).contains($0) })
        #expect(seen[2].allSatisfy { (2...6).contains($0) })
    }

    @Test func bucketsTakeTurns() {
        let buckets = batches(60, of: [40, 40, 40], count: 2).map(\.bucket)
        for bucket in 0..<3 { #expect(buckets.count { $0 == bucket } == 20) }
        #expect(buckets != buckets.sorted())
        let changes = zip(buckets, buckets.dropFirst()).count { $0 != $1 }
        #expect(changes > 20, "buckets come mixed")
    }

    @Test(arguments: [[5], [1, 1], [3, 100, 7], [1]], [1, 2, 8, 64])
    func placesAreAllDifferentAndInOrder(counts: [Int], count: Int) {
        let schedule = BatchSchedule(bucketCounts: counts, count: count, seed: 3)
        var next = counts.map { _ in 0 }
        for number in 0..<200 {
            let place = schedule.place(of: number)
            #expect(place.index == next[place.bucket])
            next[place.bucket] += 1
        }
    }

    @Test func farBatchesAreFoundAtOnce() {
        let schedule = BatchSchedule(bucketCounts: [3, 1000], count: 16, seed: 0)
        let place = schedule.place(of: 1 << 40)
        #expect(schedule.images(of: place, in: place.bucket).count == 16)
    }
}
