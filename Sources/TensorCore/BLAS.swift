internal import CWuerstchenBLAS

/// The system's OpenBLAS, which computes the matrix products that are not the package's own: those
/// with a ``PackedWeight`` on a processor without AVX2, and those whose factors change every time.
///
/// It is opened at run time rather than linked, because a release older than the processor may take
/// it for one that can do less and run at a fraction of its speed; the right kernels can only be
/// asked for before the library is loaded. An `OPENBLAS_CORETYPE` of your own is left alone.
public struct BLAS: Sendable {
    /// The name of the processor whose kernels OpenBLAS uses, such as `SkylakeX`.
    public let coreName: String
    /// What OpenBLAS says of itself: version and build options.
    public let configuration: String
    /// What would make it faster on this processor, or nil where nothing would.
    public let advice: String?

    /// OpenBLAS, opened if it was not yet.
    ///
    /// - Throws: ``WuerstchenError`` with code `missingLibrary` when it is not installed.
    public static func load() throws -> BLAS {
        if let problem = unsafe wuerstchen_blas_open() {
            throw unsafe WuerstchenError(.missingLibrary, String(cString: problem))
        }
        let core = unsafe String(cString: wuerstchen_blas_core_name())
        let better = unsafe wuerstchen_blas_better_core().map { unsafe String(cString: $0) }
        return unsafe BLAS(
            coreName: core, configuration: String(cString: wuerstchen_blas_config()),
            advice: better.map { BLAS.advice(core: core, better: $0) })
    }

    static func advice(core: String, better: String) -> String {
        "this processor can do more than OpenBLAS's kernels for \(core): those for \(better) are in "
            + "builds with DYNAMIC_ARCH, unless OPENBLAS_CORETYPE asks for others"
    }

    /// For operations, which cannot throw: whoever builds a network calls ``load()`` first, and so
    /// sees the error.
    static let isOpen: Bool = {
        if let problem = unsafe wuerstchen_blas_open() {
            unsafe preconditionFailure(String(cString: problem))
        }
        return true
    }()
}

/// c = a · bᵀ (+ c), where a is rows × depth and b is columns × depth; on the calling thread.
func multiplyTransposed(
    _ a: UnsafePointer<Float>, stride lda: Int, _ b: UnsafePointer<Float>, stride ldb: Int,
    rows: Int, columns: Int, depth: Int, adding: Bool = false,
    into c: UnsafeMutablePointer<Float>, stride ldc: Int
) {
    _ = BLAS.isOpen
    unsafe wuerstchen_sgemm(
        false, true, rows, columns, depth, a, lda, b, ldb, adding ? 1 : 0, c, ldc)
}

/// c = a · b (+ c), where a is rows × depth and b is depth × columns; on the calling thread.
func multiply(
    _ a: UnsafePointer<Float>, stride lda: Int, _ b: UnsafePointer<Float>, stride ldb: Int,
    rows: Int, columns: Int, depth: Int, adding: Bool = false,
    into c: UnsafeMutablePointer<Float>, stride ldc: Int
) {
    _ = BLAS.isOpen
    unsafe wuerstchen_sgemm(
        false, false, rows, columns, depth, a, lda, b, ldb, adding ? 1 : 0, c, ldc)
}

/// c = aᵀ · b, where a is depth × rows and b is depth × columns; on the calling thread.
func multiplyOverRows(
    _ a: UnsafePointer<Float>, stride lda: Int, _ b: UnsafePointer<Float>, stride ldb: Int,
    rows: Int, columns: Int, depth: Int, adding: Bool = false,
    into c: UnsafeMutablePointer<Float>, stride ldc: Int
) {
    _ = BLAS.isOpen
    unsafe wuerstchen_sgemm(
        true, false, rows, columns, depth, a, lda, b, ldb, adding ? 1 : 0, c, ldc)
}
