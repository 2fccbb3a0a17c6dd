// Sixteen-byte vectors: what every x86-64 (SSE2) and arm64 (NEON) has.
#define WK_WIDTH 4
#define WK_TABLE wk_portable
#define WK_LABEL "portable"
#include "kernels_template.h"
