#if defined(__x86_64__)
#include "include/wuerstchen_gemm.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#define WG_TABLE wk_gemm_int8_avxvnni
#define WG_INSTRUCTION WK_VPDPBUSD
#define WG_FEATURES 4
#define WG_RATE 4
#define WG_DOT(s, r, p) _mm256_dpbusd_avx_epi32(s, r, p)
#include "gemm_avx2_template.h"
#pragma clang attribute pop
#endif
