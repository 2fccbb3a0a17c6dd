// Matrix products with a factor that is packed once, at 32, 16 or 8 bits.
//
// The right factor, a layer's weights, is stored in the order in which the innermost loop reads it.
// The left factor, activations, is read where it lies, row by row. Both are made of 32-bit words,
// which hold one float, two bfloat16 or four bytes, neighbouring features. With AVX-512 one
// instruction multiplies and adds up what a lane holds (vdpbf16ps, vpdpbusd), and rows and panels
// are of the same numbers. AMX multiplies sixteen rows of sixteen such words by as many of a panel
// at once (tdpbf16ps, tdpbusd), and reads the same rows and panels. With AVX2 bfloat16 panels are
// widened to floats as they are read, and their rows are floats; bytes are multiplied by vpdpbusd
// in its VEX form where the processor has it, and else widened to 16 bits for vpmaddwd.
//
// Rows of words:   [row][word]; a last word that is not full is filled up, floats and bfloat16 with
//                  zeros, bytes with anything, for the panels have zeros there.
// Panels of words: with AVX-512 columns are cut into panels of 48, the last one or two 16 or 32
//                  wide; with AVX2 into panels of 16. A panel is [word][column], so the panel that
//                  begins at column c begins at word c · words.
//
// 8-bit rows are unsigned, x ≈ scale · byte + offset with a scale and an offset for each row. 8-bit
// panels are signed, with a scale for each column; `sums` holds Σ scale · byte of each column, by
// which the offset of a row must be multiplied.
#ifndef WUERSTCHEN_GEMM_H
#define WUERSTCHEN_GEMM_H

#include "wuerstchen_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wk_format { WK_FLOAT32, WK_BFLOAT16, WK_INT8 } wk_format;

// What multiplies.
typedef enum wk_instruction { WK_VFMADD, WK_VDPBF16PS, WK_VPDPBUSD, WK_VPMADDWD, WK_TDPBF16PS, WK_TDPBUSD } wk_instruction;

// Every level's panels begin at multiples of the first.
enum { WK_PANEL = 48, WK_AVX2_PANEL = 16 };

typedef struct wk_rows {
    const void *_Nonnull words;
    ptrdiff_t ld;   // words between rows
    ptrdiff_t step; // words between neighbouring words of a row
    const float *_Nullable scale;
    const float *_Nullable offset;
} wk_rows;

typedef struct wk_panels {
    const uint32_t *_Nonnull words;
    ptrdiff_t depth; // features of one column
    const float *_Nullable scale;
    const float *_Nullable sums;
} wk_panels;

// The kernels of one format, fixed when the library is built.
typedef struct __attribute__((swift_attr("@Sendable"))) wk_gemm {
    wk_instruction instruction;
    // What rows are made of.
    wk_format rows;
    // Multiplications that an instruction starts, relative to floats of the same level.
    double rate;
    // Columns of a product that are best computed at once.
    ptrdiff_t chunk;

    // Columns first ..< end of a matrix of which the words, scales and sums are given whole. x is
    // the first of its rows of `depth` floats, which become the panels' columns.
    void (*_Nonnull pack)(uint32_t *_Nonnull words, float *_Nullable scale, float *_Nullable sums,
                          const float *_Nonnull x, ptrdiff_t ldx, ptrdiff_t first, ptrdiff_t end,
                          ptrdiff_t columns, ptrdiff_t depth);

    // Columns first ..< end of a matrix from rows that have its numbers already, bfloat16 or signed
    // bytes, one row behind the other and at any address; x is the first of them. Gives the words
    // that pack gives for what the numbers stand for, and for 8 bits, whose scales are given, the
    // sums. Null for floats.
    void (*_Nullable pack_rows)(uint32_t *_Nonnull words, const float *_Nullable scale,
                                float *_Nullable sums, const void *_Nonnull x, ptrdiff_t first,
                                ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth);

    // A whole matrix from rows of `columns` floats, `depth` of them: the panels of xᵀ. Null for
    // 8 bits.
    void (*_Nullable pack_transposed)(uint32_t *_Nonnull words, const float *_Nonnull x,
                                      ptrdiff_t ldx, ptrdiff_t columns, ptrdiff_t depth);

    // Columns first ..< end of a matrix as floats again: feature k of column c goes to
    // x[k · ldx + c − first]. The inverse of pack but for rounding. Null for 8 bits.
    void (*_Nullable unpack_transposed)(float *_Nonnull x, ptrdiff_t ldx,
                                        const uint32_t *_Nonnull words, ptrdiff_t first,
                                        ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth);

    // wk_kernels.softmax_block with the exponentials as rows of words, for bfloat16 only.
    void (*_Nullable softmax_block)(void *_Nonnull words, ptrdiff_t ldw,
                                    float *_Nonnull scores, ptrdiff_t ld, ptrdiff_t rows,
                                    ptrdiff_t columns, float scale, const float *_Nullable mask,
                                    const ptrdiff_t *_Nullable limit, float *_Nonnull maximum,
                                    float *_Nonnull sum, float *_Nonnull correction);

    // Floats as rows of words, each feature times its factor first.
    void (*_Nonnull convert)(void *_Nonnull words, ptrdiff_t ld, float *_Nullable scale,
                             float *_Nullable offset, const float *_Nonnull x, ptrdiff_t ldx,
                             ptrdiff_t rows, ptrdiff_t depth, const float *_Nullable factors);

    // The same from rows of bfloat16 words.
    void (*_Nonnull convert_bfloat16)(void *_Nonnull words, ptrdiff_t ld,
                                      float *_Nullable scale, float *_Nullable offset,
                                      const void *_Nonnull x, ptrdiff_t ldx, ptrdiff_t rows,
                                      ptrdiff_t depth, const float *_Nullable factors);

    // Pairs of rows of x, floats or bfloat16 (ldx counts those), as words: the word of rows 2k and
    // 2k + 1 and column c goes to k · ldw + c, or, where ldw is 0, to its place in the panels of a
    // matrix of `depth` features. So xᵀ becomes the left or the right factor of a product over the
    // rows. Row r is multiplied with the factors of sample (first + r) / rows_in_sample first,
    // where there are any. For bfloat16 only.
    void (*_Nullable interleave)(uint32_t *_Nonnull words, ptrdiff_t ldw, const void *_Nonnull x,
                                 bool is_bfloat16, ptrdiff_t ldx, ptrdiff_t columns,
                                 ptrdiff_t depth, const float *_Nullable factors, ptrdiff_t first,
                                 ptrdiff_t rows_in_sample);

    // Columns first ..< end of c = a · b, or c += a · b; `first` is the beginning of a panel, and
    // c the element of the first row and column.
    void (*_Nonnull multiply)(float *_Nonnull c, ptrdiff_t ldc, const wk_rows *_Nonnull a,
                              ptrdiff_t rows, const wk_panels *_Nonnull b, ptrdiff_t first,
                              ptrdiff_t end, ptrdiff_t columns, bool adding);

    // The panels of the matrix with each feature times its factor. Null for 8 bits.
    void (*_Nullable scale_panels)(uint32_t *_Nonnull y, const uint32_t *_Nonnull words,
                                   ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns,
                                   ptrdiff_t depth, const float *_Nonnull factors);
} wk_gemm;

// The kernels of panels of a format, or NULL where the level or the processor lacks the
// instructions.
const wk_gemm *_Nullable wk_gemm_at(wk_level level, wk_format format);

#ifdef __cplusplus
}
#endif
#endif
