/// Which bucket each batch comes from, and which of the bucket's images are in it.
///
/// Each bucket is an endless stream of its images, shuffled anew each time round. In one round of
/// the schedule every bucket gives as many batches as its images fill. What is left over counts
/// towards its next round, so over time each image is seen as often as any other.
struct BatchSchedule {
    /// A batch's place.
    struct Place: Hashable {
        /// The index of its bucket.
        let bucket: Int
        /// How many batches of the bucket come before it.
        let index: Int
    }

    /// The number of images in each bucket: at least one.
    let bucketCounts: [Int]
    /// The number of images in a batch.
    let count: Int
    let seed: UInt64

    /// The place of a batch.
    func place(of number: Int) -> Place {
        // No round gives more than its share of batches, so none before this one can be it.
        var round = number * count / bucketCounts.reduce(0, +)
        while batches(before: round + 1) <= number { round += 1 }
        let buckets = bucketCounts.indices.flatMap { bucket in
            let new = batches(of: bucket, before: round + 1) - batches(of: bucket, before: round)
            return Array(repeating: bucket, count: new)
        }
        var random = ImageRandom(seed: seed, .rounds, round)
        let order = random.shuffled(buckets)
        let turn = number - batches(before: round)
        let bucket = order[turn]
        let earlier = order[..<turn].count { $0 == bucket }
        return Place(bucket: bucket, index: batches(of: bucket, before: round) + earlier)
    }

    /// The indices of a batch's images within its bucket.
    func images(of place: Place, in bucket: Int) -> [Int] {
        let length = bucketCounts[bucket]
        var orders: [Int: [Int]] = [:]
        return (place.index * count..<(place.index + 1) * count).map { position in
            let epoch = position / length
            if orders[epoch] == nil {
                var random = ImageRandom(seed: seed, .order, bucket, epoch)
                orders[epoch] = random.shuffled(0..<length)
            }
            return orders[epoch]?[position % length] ?? 0
        }
    }

    private func batches(before round: Int) -> Int {
        bucketCounts.indices.reduce(0) { $0 + batches(of: $1, before: round) }
    }

    private func batches(of bucket: Int, before round: Int) -> Int {
        round * bucketCounts[bucket] / count
    }
}
