package import TensorCore
package import Testing

/// Makes sure that a call throws the package's error with this code, in words that hold all of
/// these.
package func expectError(
    _ code: WuerstchenError.Code, _ fragments: String...,
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as WuerstchenError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        for fragment in fragments {
            #expect(
                error.message.contains(fragment), "\(error) lacks \(fragment)",
                sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
    }
}
