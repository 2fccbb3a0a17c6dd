// Single-precision matrix products from the system's OpenBLAS, opened at run time.
#ifndef WUERSTCHEN_BLAS_H
#define WUERSTCHEN_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Opens OpenBLAS once per process, whichever thread comes first, with the kernels that this
// processor deserves. Returns NULL, or a static sentence saying why there is none.
const char *_Nullable wuerstchen_blas_open(void);

// What openblas_get_config() and openblas_get_corename() say; empty before a successful open.
const char *_Nonnull wuerstchen_blas_config(void);
const char *_Nonnull wuerstchen_blas_core_name(void);

// The core whose kernels would be faster on this processor than those in use, or NULL.
const char *_Nullable wuerstchen_blas_better_core(void);

// c = a · b + beta · c in row-major order, on the calling thread alone. a is rows × depth, or
// depth × rows when transposed, and likewise b; each ld is the distance between rows in floats.
// Call only after wuerstchen_blas_open() returned NULL.
void wuerstchen_sgemm(bool transpose_a, bool transpose_b, ptrdiff_t rows, ptrdiff_t columns,
                      ptrdiff_t depth, const float *_Nonnull a, ptrdiff_t lda,
                      const float *_Nonnull b, ptrdiff_t ldb, float beta, float *_Nonnull c,
                      ptrdiff_t ldc);

#ifdef __cplusplus
}
#endif
#endif
