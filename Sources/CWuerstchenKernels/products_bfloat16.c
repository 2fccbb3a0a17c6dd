#if defined(__x86_64__)
#include "include/wuerstchen_products.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512bf16"))), apply_to = function)
#define WP_TABLE wk_products_bfloat16
#define WP_FEATURES 2
#include "products_template.h"
#pragma clang attribute pop
#endif
