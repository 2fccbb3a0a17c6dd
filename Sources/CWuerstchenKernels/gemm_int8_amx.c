#if defined(__x86_64__)
#include "include/wuerstchen_gemm.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,amx-tile,amx-int8"))), apply_to = function)
#define WG_TABLE wk_gemm_int8_amx
#define WG_INSTRUCTION WK_TDPBUSD
#define WG_FEATURES 4
#define WG_TILES 32
#include "gemm_template.h"
#pragma clang attribute pop
#endif
