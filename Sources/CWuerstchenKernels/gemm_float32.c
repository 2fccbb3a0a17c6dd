#if defined(__x86_64__)
#include "include/wuerstchen_gemm.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define WG_TABLE wk_gemm_float32
#define WG_INSTRUCTION WK_VFMADD
#define WG_FEATURES 1
#include "gemm_template.h"
#pragma clang attribute pop
#endif
