#include "include/wuerstchen_kernels.h"
#include "include/wuerstchen_gemm.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern const wk_kernels wk_portable;
#if defined(__x86_64__)
extern const wk_kernels wk_avx2, wk_avx512;
extern const wk_gemm wk_gemm_float32, wk_gemm_bfloat16, wk_gemm_int8;
extern const wk_gemm wk_gemm_float32_avx2, wk_gemm_bfloat16_avx2, wk_gemm_int8_avx2,
    wk_gemm_int8_avxvnni;
#endif

const wk_kernels *wk_kernels_at(wk_level level) {
    switch (level) {
    case WK_PORTABLE:
        return &wk_portable;
#if defined(__x86_64__)
    case WK_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &wk_avx2 : NULL;
    case WK_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
                   ? &wk_avx512
                   : NULL;
#endif
    default:
        return NULL;
    }
}

#if defined(__x86_64__)
static bool has_avx_vnni(void) {
    unsigned a, b, c, d; // leaf 7.1, bit 4 of EAX
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

const wk_gemm *wk_gemm_at(wk_level level, wk_format format) {
#if defined(__x86_64__)
    if (level == WK_AVX512 && wk_kernels_at(level))
        switch (format) {
        case WK_FLOAT32:
            return &wk_gemm_float32;
        case WK_BFLOAT16:
            return __builtin_cpu_supports("avx512bf16") ? &wk_gemm_bfloat16 : NULL;
        case WK_INT8:
            return __builtin_cpu_supports("avx512vnni") ? &wk_gemm_int8 : NULL;
        }
    if (level == WK_AVX2 && wk_kernels_at(level))
        switch (format) {
        case WK_FLOAT32:
            return &wk_gemm_float32_avx2;
        case WK_BFLOAT16:
            return &wk_gemm_bfloat16_avx2;
        case WK_INT8:
            return has_avx_vnni() ? &wk_gemm_int8_avxvnni : &wk_gemm_int8_avx2;
        }
#endif
    return NULL;
}
