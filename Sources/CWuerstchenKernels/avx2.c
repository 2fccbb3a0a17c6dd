#if defined(__x86_64__)
#include "include/wuerstchen_kernels.h"
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define WK_WIDTH 8
#define WK_TABLE wk_avx2
#define WK_LABEL "AVX2"
#include "kernels_template.h"
#pragma clang attribute pop
#endif
