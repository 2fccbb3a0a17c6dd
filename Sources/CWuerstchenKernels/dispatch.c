#include "include/wuerstchen_kernels.h"
#include "include/wuerstchen_gemm.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern const wk_kernels wk_portable;
#if defined(__x86_64__)
extern const wk_kernels wk_avx2, wk_avx512;
extern const wk_gemm wk_gemm_float32, wk_gemm_bfloat16, wk_gemm_int8, wk_gemm_bfloat16_amx,
    wk_gemm_int8_amx;
extern const wk_gemm wk_gemm_float32_avx2, wk_gemm_bfloat16_avx2, wk_gemm_int8_avx2,
    wk_gemm_int8_avxvnni;
#endif

#if defined(__x86_64__)
static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// An answer that takes long to find, such as that of cpuid under a hypervisor. Threads that ask at
// once find the same.
static bool once(_Atomic(signed char) *known, bool (*find)(void)) {
    if (*known == 0)
        *known = find() ? 1 : -1;
    return *known > 0;
}

static bool find_avx_vnni(void) {
    unsigned a, b, c, d; // leaf 7.1, bit 4 of EAX
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

static bool has_avx_vnni(void) {
    static _Atomic(signed char) known;
    return once(&known, find_avx_vnni);
}

static bool find_amx(void) {
#if defined(__linux__)
    enum { request_permission = 0x1023, tile_data = 18 };
    unsigned a, b, c, d; // leaf 7, bits 22, 24 and 25 of EDX: bfloat16, tiles, 8 bits
    const unsigned all = 1u << 22 | 1u << 24 | 1u << 25;
    return has_avx512() && __builtin_cpu_supports("avx512bf16") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & all) == all &&
           syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

// Whether the processor has AMX for both formats, and the system lets this process use it. It must
// be asked, once for all threads, because tiles make a thread's state much larger.
static bool has_amx(void) {
    static _Atomic(signed char) known;
    return once(&known, find_amx);
}
#endif

const wk_kernels *wk_kernels_at(wk_level level) {
    switch (level) {
    case WK_PORTABLE:
        return &wk_portable;
#if defined(__x86_64__)
    case WK_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &wk_avx2 : NULL;
    case WK_AVX512:
        return has_avx512() ? &wk_avx512 : NULL;
    case WK_AMX:
        return has_amx() ? &wk_avx512 : NULL;
#endif
    default:
        return NULL;
    }
}

const wk_gemm *wk_gemm_at(wk_level level, wk_format format) {
#if defined(__x86_64__)
    if (level == WK_AMX && wk_kernels_at(level))
        switch (format) {
        case WK_FLOAT32:
            return &wk_gemm_float32;
        case WK_BFLOAT16:
            return &wk_gemm_bfloat16_amx;
        case WK_INT8:
            return &wk_gemm_int8_amx;
        }
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
