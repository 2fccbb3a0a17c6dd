#if defined(__x86_64__)
#include "include/wuerstchen_gemm.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16,amx-tile,amx-bf16"))), apply_to = function)
#define WG_TABLE wk_gemm_bfloat16_amx
#define WG_INSTRUCTION WK_TDPBF16PS
#define WG_FEATURES 2
#define WG_TILES 16
#include "gemm_template.h"
#pragma clang attribute pop
#endif
