import Testing

@testable import WuerstchenTraining

@Suite struct AxisScaleTests {
    private func labels(
        _ values: [Double], isLogarithmic: Bool = false, wholeNumbers: Bool = false
    ) -> [String] {
        AxisScale(showing: values, isLogarithmic: isLogarithmic, padding: 0)
            .ticks(about: 5, wholeNumbers: wholeNumbers).map(\.label)
    }

    @Test func ticksAreRoundNumbers() {
        #expect(labels([0, 1]) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
        #expect(labels([-0.1, 0.1]) == ["-0.10", "-0.05", "0.00", "0.05", "0.10"])
        #expect(labels([0, 40_000]) == ["0", "10k", "20k", "30k", "40k"])
        #expect(labels([100, 2600]) == ["500", "1k", "1.5k", "2k", "2.5k"])
        #expect(labels([0, 2], wholeNumbers: true) == ["0", "1", "2"])
        #expect(labels([1e-9, 3e-9]).allSatisfy { $0.hasSuffix("e-09") })
    }

    @Test func logarithmicTicksArePowers() {
        #expect(
            labels([1e-4, 10], isLogarithmic: true)
                == ["0.0001", "0.001", "0.01", "0.1", "1", "10"])
        #expect(labels([0.1, 1], isLogarithmic: true) == ["0.1", "0.2", "0.5", "1"])
        #expect(labels([0.51, 0.56], isLogarithmic: true).count >= 3, "too few powers")
        #expect(labels([1e-30, 1e30], isLogarithmic: true).count < 12)
    }

    @Test func placesRunFromEndToEnd() {
        let scale = AxisScale(showing: [2, 6], padding: 0)
        #expect([2, 4, 6].map(scale.place) == [0, 0.5, 1])
        #expect(AxisScale(showing: [5], padding: 0).place(of: 5) == 0.5)
        #expect(AxisScale(showing: [0], padding: 0).place(of: 0) == 0.5)
    }
}
