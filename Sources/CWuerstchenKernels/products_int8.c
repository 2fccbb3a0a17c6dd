#if defined(__x86_64__)
#include "include/wuerstchen_products.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,avx512vnni"))), apply_to = function)
#define WP_TABLE wk_products_int8
#define WP_FEATURES 4
#include "products_template.h"
#pragma clang attribute pop
#endif
