import Foundation
import TensorCore
import Wuerstchen

/// What a perfect network predicts of data that are normal with a mean and a deviation, all
/// elements alike and independent: everything about its flow has a closed form.
struct AnalyticFlow {
    var mean: Double
    var deviation: Double

    /// The network that predicts noise, `σ (x − α m) / (α² s² + σ²)`, as a field.
    func field(_ map: FlowMap, guidance: Float = 1) throws -> FlowField {
        try FlowField("test", map: map, guidance: guidance, predicting: .noise) { x, times in
            let points = times.map { map.point(time: $0) }
            let factors = points.map {
                $0.noise / ($0.signal * $0.signal * deviation * deviation + $0.noise * $0.noise)
            }
            return x.scaled(
                bySample: factors.map { Float($0) },
                shift: zip(points, factors).map { Float(-$1 * $0.signal * mean) })
        }
    }

    /// The network that predicts the velocity
    /// `m + (τ s² − (1 − τ)) / ((1 − τ)² + τ² s²) · (y − τ m)` of unit variables.
    func nativeField(_ map: FlowMap) throws -> FlowField {
        try FlowField("test", map: map, predicting: .velocity) { x, times in
            let points = times.map { map.point(time: $0) }
            let slopes = points.map { point -> Double in
                let (t, s) = (point.flowTime, deviation * deviation)
                return (t * s - (1 - t)) / ((1 - t) * (1 - t) + t * t * s)
            }
            return x.scaled(
                bySample: zip(points, slopes).map { Float($1 / $0.scale) },
                shift: zip(points, slopes).map { Float(mean - $1 * $0.flowTime * mean) })
        }
    }

    /// Standard normal numbers by their quantiles, so that means over them are exact.
    static func noise(_ count: Int = 4096) -> Tensor {
        Tensor(
            (0..<count).map { index in
                // The inverse of the normal distribution, by bisection.
                let share = (Double(index) + 0.5) / Double(count)
                var (low, high) = (-9.0, 9.0)
                for _ in 0..<60 {
                    let middle = (low + high) / 2
                    if 0.5 * erfc(-middle / 2.squareRoot()) < share {
                        low = middle
                    } else {
                        high = middle
                    }
                }
                return Float((low + high) / 2)
            }, [1, count / 16, 4, 4])
    }
}
