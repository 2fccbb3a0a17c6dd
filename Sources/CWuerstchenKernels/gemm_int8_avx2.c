#if defined(__x86_64__)
#include "include/wuerstchen_gemm.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define WG_TABLE wk_gemm_int8_avx2
#define WG_INSTRUCTION WK_VPMADDWD
#define WG_FEATURES 4
#define WG_RATE 2
#include "gemm_avx2_template.h"
#pragma clang attribute pop
#endif
