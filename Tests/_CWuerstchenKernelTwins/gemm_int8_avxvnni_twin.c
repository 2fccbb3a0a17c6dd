#include "include/kernel_twins.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
// vpdpbusd as the processor's manual describes it.
static inline __m256i plain_vpdpbusd(__m256i sums, __m256i row, __m256i panel) {
    int32_t sum[8];
    uint8_t x[32];
    int8_t w[32];
    memcpy(sum, &sums, 32);
    memcpy(x, &row, 32);
    memcpy(w, &panel, 32);
    for (int i = 0; i < 32; ++i)
        sum[i / 4] += x[i] * w[i];
    memcpy(&sums, sum, 32);
    return sums;
}
#define WG_TABLE wk_gemm_int8_avxvnni_twin
#define WG_INSTRUCTION WK_VPDPBUSD
#define WG_RATE 4
#define WG_FEATURES 4
#define WG_DOT(s, r, p) plain_vpdpbusd(s, r, p)
#include "../../Sources/CWuerstchenKernels/gemm_avx2_template.h"
#pragma clang attribute pop
#endif

const wk_gemm *wk_twin_int8_avxvnni(void) {
#if defined(__x86_64__)
    if (wk_kernels_at(WK_AVX2))
        return &wk_gemm_int8_avxvnni_twin;
#endif
    return NULL;
}
