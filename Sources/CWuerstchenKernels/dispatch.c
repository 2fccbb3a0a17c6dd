#include "include/wuerstchen_kernels.h"

extern const wk_kernels wk_portable;
#if defined(__x86_64__)
extern const wk_kernels wk_avx2, wk_avx512;
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
