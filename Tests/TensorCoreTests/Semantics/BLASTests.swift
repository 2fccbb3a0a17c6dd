import Foundation
import TensorCore
import Testing

@Suite("OpenBLAS")
struct BLASTests {
    @Test("it says which processor's kernels it uses, and how it was built")
    func report() throws {
        let blas = try BLAS.load()
        #expect(!blas.coreName.isEmpty)
        #expect(blas.configuration.contains("OpenBLAS"))
        let again = try BLAS.load()
        #expect(again.coreName == blas.coreName)
        // Kernels for a lesser processor than this are in use only if someone asked for them.
        if ProcessInfo.processInfo.environment["OPENBLAS_CORETYPE"] == nil,
            blas.configuration.contains("DYNAMIC_ARCH")
        {
            #expect(blas.advice == nil)
        }
        blas.advice.map { #expect($0.contains(blas.coreName)) }
    }

    @Test("errors say what went wrong and why")
    func errors() {
        let cause = WuerstchenError(.unreadableFile, "no permission")
        let error = WuerstchenError(.missingLibrary, "install it", underlying: cause)
        #expect(error.description == "missing library: install it (unreadable file: no permission)")
        #expect(cause.description == "unreadable file: no permission")
        #expect(WuerstchenError.Code(rawValue: "missing library") == .missingLibrary)
    }
}
