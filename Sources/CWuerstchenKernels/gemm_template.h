// Products of one format, for AVX-512. The including file defines
//   WG_TABLE            name of the wk_gemm table to define
//   WG_INSTRUCTION      the instruction that multiplies
//   WG_FEATURES         features in a word
//   WG_TILES            for AMX, its multiplications relative to floats
// and wraps the inclusion in the target attribute of its instructions.
//
// A micro-kernel holds 8 × 48 sums in 24 of the 32 registers. For each word of the depth it loads
// 3 vectors of the panel and broadcasts 8 words of the rows: 11 loads for 24 multiplications, of
// which the processors it is made for start two in each cycle.
#include "include/wuerstchen_gemm.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

// Depth in words after which floating-point sums go to memory and back, so that the parts of both
// factors in use stay in the second-level cache.
enum { depth_block = 1536 };

INLINE __m512 dot(__m512 sum, __m512 row, __m512 panel) {
#if WG_FEATURES == 1
    return _mm512_fmadd_ps(row, panel, sum);
#elif WG_FEATURES == 2
    return _mm512_dpbf16_ps(sum, (__m512bh)row, (__m512bh)panel);
#else
    return (__m512)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)row, (__m512i)panel);
#endif
}

// The first n lanes, all for n ≥ 16.
INLINE __mmask16 lanes(ptrdiff_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1; }

// Vectors in the panel that begins at vector `v` of `count`: three, but not so that one is left.
INLINE ptrdiff_t panel_width(ptrdiff_t v, ptrdiff_t count) {
    const ptrdiff_t left = count - v;
    return left == 4 || left == 2 ? 2 : left == 1 ? 1 : 3;
}

#ifdef WG_TILES
#include "gemm_tiles.h"
#else
// `m` rows times a panel of `n` vectors; both are constants at each call. `column` is the panel's
// first column, for scales and sums, and `last` masks the columns that exist of the last vector.
// What is needed next is fetched from `next` on, `stride` bytes for each word of the depth.
INLINE void micro(int m, int n, float *c, ptrdiff_t ldc, const wk_rows *a, ptrdiff_t row,
                  ptrdiff_t word, ptrdiff_t count, const uint32_t *panel, const wk_panels *b,
                  ptrdiff_t column, __mmask16 last, bool adding, const char *next,
                  ptrdiff_t stride) {
    __m512 sum[8][3];
#pragma clang loop unroll(full)
    for (int i = 0; i < m; ++i)
#pragma clang loop unroll(full)
        for (int j = 0; j < n; ++j)
            sum[i][j] = WG_FEATURES < 4 && adding
                            ? _mm512_maskz_loadu_ps(j + 1 < n ? 0xffff : last, c + i * ldc + 16 * j)
                            : _mm512_setzero_ps();
    const ptrdiff_t ld = a->ld, step = a->step;
    const uint32_t *low = (const uint32_t *)a->words + row * ld + word * step, *high = low + 4 * ld;
    for (ptrdiff_t k = 0; k < count;
         ++k, low += step, high += step, panel += 16 * n, next += stride) {
        __m512 p[3];
        _mm_prefetch(next, _MM_HINT_T1);
#pragma clang loop unroll(full)
        for (int j = 0; j < n; ++j)
            p[j] = _mm512_loadu_ps((const float *)panel + 16 * j);
#pragma clang loop unroll(full)
        for (int i = 0; i < m; ++i) {
            const uint32_t *x = i < 4 ? low + i * ld : high + (i - 4) * ld;
            const __m512 r = (__m512)_mm512_set1_epi32((int)*x);
#pragma clang loop unroll(full)
            for (int j = 0; j < n; ++j)
                sum[i][j] = dot(sum[i][j], r, p[j]);
        }
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < n; ++j) {
        const __mmask16 mask = j + 1 < n ? 0xffff : last;
#if WG_FEATURES == 4
        const __m512 scale = _mm512_maskz_loadu_ps(mask, b->scale + column + 16 * j);
        const __m512 sums = _mm512_maskz_loadu_ps(mask, b->sums + column + 16 * j);
#endif
#pragma clang loop unroll(full)
        for (int i = 0; i < m; ++i) {
            float *out = c + i * ldc + 16 * j;
            __m512 y = sum[i][j];
#if WG_FEATURES == 4
            y = _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)y), scale);
            y = _mm512_mul_ps(y, _mm512_set1_ps(a->scale[row + i]));
            y = _mm512_fmadd_ps(_mm512_set1_ps(a->offset[row + i]), sums, y);
            if (adding)
                y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, out));
#endif
            _mm512_mask_storeu_ps(out, mask, y);
        }
    }
}

// All rows times one panel. The next panel, as long as this one, comes from the third-level cache
// or from memory: fetched bit by bit by the time it is needed, it costs nothing.
INLINE void panel_rows(int n, float *c, ptrdiff_t ldc, const wk_rows *a, ptrdiff_t rows,
                       ptrdiff_t word, ptrdiff_t count, const uint32_t *panel,
                       const uint32_t *next_panel, const wk_panels *b, ptrdiff_t column,
                       __mmask16 last, bool adding) {
    const ptrdiff_t stride = 8 * 64 * n / (rows > 8 ? rows : 8);
    const char *next = (const char *)next_panel;
    ptrdiff_t r = 0;
#define ROWS(m)                                                                                    \
    do {                                                                                           \
        micro(m, n, c + r * ldc, ldc, a, r, word, count, panel, b, column, last, adding, next,     \
              stride);                                                                             \
        r += m;                                                                                    \
        next += count * stride;                                                                    \
    } while (0)
    while (r + 8 <= rows)
        ROWS(8);
    if (r + 4 <= rows)
        ROWS(4);
    if (r + 2 <= rows)
        ROWS(2);
    if (r < rows)
        ROWS(1);
#undef ROWS
}

static void multiply(float *c, ptrdiff_t ldc, const wk_rows *a, ptrdiff_t rows, const wk_panels *b,
                     ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns, bool adding) {
    const ptrdiff_t vectors = (columns + 15) / 16;
    const ptrdiff_t words = (b->depth + WG_FEATURES - 1) / WG_FEATURES;
    // Integer sums cannot wait in a matrix of floats, and are a quarter as deep.
    const ptrdiff_t step = WG_FEATURES == 4 || words <= depth_block ? words : depth_block;
    for (ptrdiff_t word = 0; word < words || word == 0; word += step) {
        const ptrdiff_t count = words - word < step ? words - word : step;
        for (ptrdiff_t v = first / 16; 16 * v < end;) {
            const ptrdiff_t width = panel_width(v, vectors), column = 16 * v;
            const uint32_t *panel = b->words + column * words + word * 16 * width;
            const uint32_t *next = panel + 16 * width * words;
            const __mmask16 last = lanes(columns - column - 16 * (width - 1));
            float *out = c + column - first;
            const bool more = adding || word > 0;
            if (width == 3)
                panel_rows(3, out, ldc, a, rows, word, count, panel, next, b, column, last, more);
            else if (width == 2)
                panel_rows(2, out, ldc, a, rows, word, count, panel, next, b, column, last, more);
            else
                panel_rows(1, out, ldc, a, rows, word, count, panel, next, b, column, last, more);
            v += width;
        }
        if (step == 0)
            break;
    }
}
#endif

#if WG_FEATURES == 2
INLINE __m256i to_bfloat16(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }

// Words of two neighbouring features each.
INLINE __m512i words_of_pairs(__m512 even, __m512 odd) {
    const __m512i low = _mm512_cvtepu16_epi32(to_bfloat16(even));
    return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu16_epi32(to_bfloat16(odd)), 16));
}
#endif

// Lanes that are not numbers, which minima and maxima pass over.
INLINE __mmask16 not_numbers(__m512 x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }

// The largest magnitude of a row, for the scale of a column of 8-bit weights.
INLINE float largest_of(const float *x, ptrdiff_t depth) {
    __m512 largest = _mm512_setzero_ps();
    __mmask16 broken = 0;
    for (ptrdiff_t k = 0; k < depth; k += 16) {
        const __m512 v = _mm512_maskz_loadu_ps(lanes(depth - k), x + k);
        largest = _mm512_max_ps(largest, _mm512_abs_ps(v));
        broken |= not_numbers(v);
    }
    return broken ? NAN : _mm512_reduce_max_ps(largest);
}

// The 16 words of a row from feature k on, zeros beyond its end.
INLINE void words_of(uint32_t *words, const float *x, ptrdiff_t k, ptrdiff_t depth, float inverse) {
#pragma clang loop unroll(full)
    for (int part = 0; part < WG_FEATURES; ++part) {
        const __m512 v =
            _mm512_maskz_loadu_ps(lanes(depth - k - 16 * part), x + k + 16 * part);
        uint32_t *out = words + 16 / WG_FEATURES * part;
#if WG_FEATURES == 1
        _mm512_storeu_ps(out, v);
#elif WG_FEATURES == 2
        _mm256_storeu_si256((__m256i *)out, to_bfloat16(v));
#else
        const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(inverse)));
        _mm_storeu_si128((__m128i *)out, _mm512_cvtsepi32_epi8(q));
#endif
    }
}

static void pack(uint32_t *words, float *scale, float *sums, const float *x, ptrdiff_t ldx,
                 ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth) {
    const ptrdiff_t vectors = (columns + 15) / 16, count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t v = first / 16; 16 * v < end;) {
        const ptrdiff_t width = panel_width(v, vectors);
        for (ptrdiff_t part = 0; part < width; ++part) {
            const ptrdiff_t column = 16 * (v + part);
            const ptrdiff_t present = columns - column < 16 ? columns - column : 16;
            const float *rows = x + (column - first) * ldx;
            uint32_t *out = words + 16 * (v * count + part);
            float inverse[16] = {0};
#if WG_FEATURES == 4
            int32_t totals[16] = {0};
            for (ptrdiff_t j = 0; j < present; ++j) {
                const float largest = largest_of(rows + j * ldx, depth);
                scale[column + j] = largest / 127;
                inverse[j] = largest > 0 ? 127 / largest : 0;
            }
#endif
            // A square of words at a time is turned around.
            for (ptrdiff_t k = 0; k < count; k += 16) {
                uint32_t square[16][16] = {0};
                for (ptrdiff_t j = 0; j < present; ++j)
                    words_of(square[j], rows + j * ldx, k * WG_FEATURES, depth, inverse[j]);
                const ptrdiff_t deep = count - k < 16 ? count - k : 16;
                for (ptrdiff_t i = 0; i < deep; ++i)
                    for (ptrdiff_t j = 0; j < 16; ++j)
                        out[(k + i) * 16 * width + j] = square[j][i];
#if WG_FEATURES == 4
                for (ptrdiff_t j = 0; j < present; ++j)
                    for (ptrdiff_t i = 0; i < 64; ++i)
                        totals[j] += ((const int8_t *)square[j])[i];
#endif
            }
#if WG_FEATURES == 4
            for (ptrdiff_t j = 0; j < present; ++j)
                sums[column + j] = scale[column + j] * (float)totals[j];
#endif
        }
        v += width;
    }
}

// 16 features from column k on, times their factors, from floats or from bfloat16.
INLINE __m512 features(const void *x, bool is_bfloat16, ptrdiff_t k, ptrdiff_t depth,
                       const float *factors) {
    const __mmask16 mask = lanes(depth - k);
    __m512 v;
    if (is_bfloat16)
        v = (__m512)_mm512_slli_epi32(
            _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)x + k)), 16);
    else
        v = _mm512_maskz_loadu_ps(mask, (const float *)x + k);
    return factors ? _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, factors + k)) : v;
}

INLINE void convert_row(uint32_t *words, float *scale, float *offset, const void *x,
                        bool is_bfloat16, ptrdiff_t depth, const float *factors) {
#if WG_FEATURES == 1
    for (ptrdiff_t k = 0; k < depth; k += 16)
        _mm512_mask_storeu_ps((float *)words + k, lanes(depth - k),
                              features(x, is_bfloat16, k, depth, factors));
#elif WG_FEATURES == 2
    for (ptrdiff_t k = 0; k < depth; k += 16)
        _mm256_mask_storeu_epi32(words + k / 2, (__mmask8)lanes((depth - k + 1) / 2),
                                 to_bfloat16(features(x, is_bfloat16, k, depth, factors)));
#else
    __m512 low = _mm512_set1_ps(INFINITY), high = _mm512_set1_ps(-INFINITY);
    __mmask16 broken = 0;
    for (ptrdiff_t k = 0; k < depth; k += 16) {
        const __m512 v = features(x, is_bfloat16, k, depth, factors);
        const __mmask16 mask = lanes(depth - k);
        low = _mm512_mask_min_ps(low, mask, low, v);
        high = _mm512_mask_max_ps(high, mask, high, v);
        broken |= not_numbers(v);
    }
    const float least = _mm512_reduce_min_ps(low), range = _mm512_reduce_max_ps(high) - least;
    const __m512 inverse = _mm512_set1_ps(range > 0 ? 255 / range : 0);
    const __m512 shift = _mm512_set1_ps(range > 0 ? -least * (255 / range) : 0);
    *scale = broken ? NAN : range / 255;
    *offset = least;
    for (ptrdiff_t k = 0; k < depth; k += 16) {
        const __m512i q = _mm512_cvtps_epi32(
            _mm512_fmadd_ps(features(x, is_bfloat16, k, depth, factors), inverse, shift));
        _mm_mask_storeu_epi32(words + k / 4, (__mmask8)lanes((depth - k + 3) / 4),
                              _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
    }
#endif
}

#include "gemm_convert.h"

#if WG_FEATURES > 1
#include "gemm_pack_rows.h"
#endif

#if WG_FEATURES < 4
static void pack_transposed(uint32_t *words, const float *x, ptrdiff_t ldx, ptrdiff_t columns,
                            ptrdiff_t depth) {
    const ptrdiff_t vectors = (columns + 15) / 16, count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t v = 0; v < vectors;) {
        const ptrdiff_t width = panel_width(v, vectors);
        for (ptrdiff_t k = 0; k < count; ++k)
            for (ptrdiff_t part = 0; part < width; ++part) {
                const ptrdiff_t column = 16 * (v + part);
                const __mmask16 mask = lanes(columns - column);
                const float *row = x + k * WG_FEATURES * ldx + column;
                __m512 value = _mm512_maskz_loadu_ps(mask, row);
#if WG_FEATURES == 2
                const __mmask16 second = 2 * k + 1 < depth ? mask : 0;
                value = (__m512)words_of_pairs(value, _mm512_maskz_loadu_ps(second, row + ldx));
#endif
                _mm512_storeu_ps(words + 16 * (v * count + k * width + part), value);
            }
        v += width;
    }
}

static void unpack_transposed(float *x, ptrdiff_t ldx, const uint32_t *words, ptrdiff_t first,
                              ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth) {
    const ptrdiff_t vectors = (columns + 15) / 16, count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t v = first / 16; 16 * v < end;) {
        const ptrdiff_t width = panel_width(v, vectors);
        for (ptrdiff_t k = 0; k < count; ++k)
            for (ptrdiff_t part = 0; part < width; ++part) {
                const ptrdiff_t column = 16 * (v + part);
                const __mmask16 mask = lanes(columns - column);
                const __m512i w =
                    _mm512_loadu_si512(words + 16 * (v * count + k * width + part));
                float *row = x + k * WG_FEATURES * ldx + column - first;
#if WG_FEATURES == 1
                _mm512_mask_storeu_ps(row, mask, (__m512)w);
#else
                _mm512_mask_storeu_ps(row, mask, (__m512)_mm512_slli_epi32(w, 16));
                if (2 * k + 1 < depth)
                    _mm512_mask_storeu_ps(
                        row + ldx, mask,
                        (__m512)_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)));
#endif
            }
        v += width;
    }
}

#if WG_FEATURES == 2
// 2^x: x = n + r with |r| ≤ ½, and a minimax polynomial for 2^r (relative error 10⁻⁴, a twentieth
// of what rounding to 16 bits costs). Zero far below.
INLINE __m512 power_of_two(__m512 x) {
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(5.500893088168049e-2f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.422109693231669e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.932829282902346e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

// Whether no score counts; what is not a number does.
INLINE bool all_masked(const float *row, ptrdiff_t n) {
    for (ptrdiff_t c = 0; c < n; ++c)
        if (row[c] != -INFINITY)
            return false;
    return true;
}

static void softmax_block(void *words, ptrdiff_t ldw, float *scores, ptrdiff_t ld,
                          ptrdiff_t rows, ptrdiff_t columns, float scale, const float *mask,
                          const ptrdiff_t *limit, float *maxima, float *sums, float *correction) {
    const float log2e = 1.44269504f;
    for (ptrdiff_t r = 0; r < rows; ++r) {
        float *row = scores + r * ld;
        uint32_t *out = (uint32_t *)words + r * ldw;
        ptrdiff_t n = limit && limit[r] < columns ? limit[r] : columns;
        n = n < 0 ? 0 : n;
        __m512 largest = _mm512_set1_ps(-INFINITY);
        for (ptrdiff_t c = 0; c < n; c += 16) {
            const __mmask16 present = lanes(n - c);
            __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(present, row + c), _mm512_set1_ps(scale));
            if (mask)
                v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(present, mask + c));
            if (mask)
                _mm512_mask_storeu_ps(row + c, present, v);
            largest = _mm512_mask_max_ps(largest, present, v, largest);
        }
        const float before = maxima[r], found = _mm512_reduce_max_ps(largest);
        // In this order of the operands, what is not a number is kept.
        const float m = before > found ? before : found;
        maxima[r] = m;
        // Nothing seen yet: every key of this row is masked so far.
        if (m == -INFINITY && all_masked(row, n)) {
            memset(out, 0, (size_t)((columns + 1) / 2) * 4);
            correction[r] = 1;
            continue;
        }
        // Masked scores were scaled and stored above.
        const __m512 factor = _mm512_set1_ps(mask ? log2e : scale * log2e);
        const __m512 shift = _mm512_set1_ps(-m * log2e);
        __m512 total = _mm512_setzero_ps();
        for (ptrdiff_t c = 0; c < columns; c += 16) {
            const __mmask16 present = lanes(n - c);
            const __m512 v = _mm512_maskz_loadu_ps(present, row + c);
            const __m512 e = _mm512_maskz_mov_ps(
                present, power_of_two(_mm512_fmadd_ps(v, factor, shift)));
            total = _mm512_add_ps(total, e);
            _mm256_mask_storeu_epi32(out + c / 2, (__mmask8)lanes((columns - c + 1) / 2),
                                     to_bfloat16(e));
        }
        correction[r] = before == -INFINITY ? 0 : exp2f((before - m) * log2e);
        sums[r] = sums[r] * correction[r] + _mm512_reduce_add_ps(total);
    }
}

#endif

static void scale_panels(uint32_t *y, const uint32_t *words, ptrdiff_t first, ptrdiff_t end,
                         ptrdiff_t columns, ptrdiff_t depth, const float *factors) {
    const ptrdiff_t vectors = (columns + 15) / 16, count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t v = first / 16; 16 * v < end;) {
        const ptrdiff_t width = panel_width(v, vectors);
        for (ptrdiff_t k = 0; k < count; ++k)
            for (ptrdiff_t j = 0; j < width; ++j) {
                const ptrdiff_t place = 16 * (v * count + k * width + j);
#if WG_FEATURES == 1
                _mm512_storeu_ps(y + place, _mm512_mul_ps(_mm512_loadu_ps(words + place),
                                                          _mm512_set1_ps(factors[k])));
#else
                // The two features of a word lie in the halves of a lane.
                const __m512i w = _mm512_loadu_si512(words + place);
                const float odd = 2 * k + 1 < depth ? factors[2 * k + 1] : 0;
                const __m512 even_product = _mm512_mul_ps((__m512)_mm512_slli_epi32(w, 16),
                                                          _mm512_set1_ps(factors[2 * k]));
                const __m512 odd_product =
                    _mm512_mul_ps((__m512)_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)),
                                  _mm512_set1_ps(odd));
                _mm512_storeu_si512(y + place, words_of_pairs(even_product, odd_product));
#endif
            }
        v += width;
    }
}
#endif

#if WG_FEATURES == 2
static void interleave(uint32_t *words, ptrdiff_t ldw, const void *x, bool is_bfloat16,
                       ptrdiff_t ldx, ptrdiff_t columns, ptrdiff_t depth, const float *factors,
                       ptrdiff_t first, ptrdiff_t rows_in_sample) {
    const ptrdiff_t vectors = (columns + 15) / 16, count = (depth + 1) / 2;
    const ptrdiff_t bytes = ldx * (is_bfloat16 ? 2 : 4);
    for (ptrdiff_t k = 0; k < count; ++k) {
        const char *row = (const char *)x + 2 * k * bytes;
        const bool has_second = 2 * k + 1 < depth;
        const float *low = factors ? factors + (first + 2 * k) / rows_in_sample * columns : NULL;
        const float *high = factors ? factors + (first + 2 * k + 1) / rows_in_sample * columns : NULL;
        for (ptrdiff_t v = 0; v < vectors;) {
            const ptrdiff_t width = panel_width(v, vectors);
            for (ptrdiff_t part = 0; part < width; ++part) {
                const ptrdiff_t column = 16 * (v + part);
                const __mmask16 mask = lanes(columns - column);
                __m512i w;
                if (is_bfloat16 && !factors) {
                    const uint16_t *p = (const uint16_t *)row + column;
                    w = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p));
                    if (has_second)
                        w = _mm512_or_si512(
                            w, _mm512_slli_epi32(_mm512_cvtepu16_epi32(
                                                     _mm256_maskz_loadu_epi16(mask, p + ldx)),
                                                 16));
                } else
                    w = words_of_pairs(features(row, is_bfloat16, column, columns, low),
                                       has_second ? features(row + bytes, is_bfloat16, column,
                                                             columns, high)
                                                  : _mm512_setzero_ps());
                if (ldw)
                    _mm512_mask_storeu_epi32(words + k * ldw + column, mask, w);
                else
                    _mm512_storeu_si512(words + 16 * (v * count + k * width + part), w);
            }
            v += width;
        }
    }
}
#endif

const wk_gemm WG_TABLE = {
    .instruction = WG_INSTRUCTION,
    .rows = WG_FEATURES == 1 ? WK_FLOAT32 : WG_FEATURES == 2 ? WK_BFLOAT16 : WK_INT8,
#ifdef WG_TILES
    .rate = WG_TILES,
    .chunk = 4 * WK_PANEL,
#else
    .rate = WG_FEATURES,
    .chunk = WK_PANEL,
#endif
    .pack = pack,
    .convert = convert,
    .convert_bfloat16 = convert_bfloat16,
    .multiply = multiply,
#if WG_FEATURES > 1
    .pack_rows = pack_rows,
#endif
#if WG_FEATURES < 4
    .pack_transposed = pack_transposed,
    .unpack_transposed = unpack_transposed,
    .scale_panels = scale_panels,
#endif
#if WG_FEATURES == 2
    .interleave = interleave,
    .softmax_block = softmax_block,
#endif
};
