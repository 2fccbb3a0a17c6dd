// Kernels for instructions that the processor at hand may lack, with those instructions in plain C.
#ifndef WUERSTCHEN_KERNEL_TWINS_H
#define WUERSTCHEN_KERNEL_TWINS_H

#include "wuerstchen_gemm.h"

// The 8-bit products for AVX-VNNI, or NULL where there is not even AVX2.
const wk_gemm *_Nullable wk_twin_int8_avxvnni(void);

#endif
