import ArgumentParser
import Testing

@testable import load

/// What the load test is asked for.
struct LoadTests {
    @Test(arguments: [
        "--clients=-1", "--clients=0", "--requests=-1", "--seeds=0", "--port=0", "--port=65536",
    ])
    func numbersOutOfRangeAreRefused(argument: String) {
        let error = #expect(throws: (any Error).self) { try Load.parse([argument]) }
        let message = error.map { Load.message(for: $0) } ?? ""
        #expect(message.contains(argument.replacing("=", with: " is ")))
    }

    @Test func theDefaultsAreInRange() {
        #expect(throws: Never.self) { try Load.parse([]) }
    }
}
