#if defined(__x86_64__)
#include "include/wuerstchen_kernels.h"
#include <math.h>
#include <string.h>
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define WK_WIDTH 16
#define WK_TABLE wk_avx512
#define WK_LABEL "AVX-512"
#include "kernels_template.h"
#pragma clang attribute pop
#endif
