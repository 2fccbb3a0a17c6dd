package import TensorCore
package import Testing

/// Makes sure that a call throws the package's error with this code, in words that hold all of
/// these.
package func expectError(
    _ code: WuerstchenError.Code, _ fragments: String...,
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    expectError(code, fragments, sourceLocation: sourceLocation, body)
}

/// The same with a list of words; `context` says which of several calls it was.
package func expectError(
    _ code: WuerstchenError.Code, _ fragments: [String], context: String = "",
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    let context = context.isEmpty ? "" : context + ": "
    do {
        try body()
        Issue.record("\(context)nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as WuerstchenError {
        #expect(error.code == code, "\(context)\(error)", sourceLocation: sourceLocation)
        for fragment in fragments {
            #expect(
                error.message.contains(fragment), "\(context)\(error) lacks \(fragment)",
                sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
    }
}
