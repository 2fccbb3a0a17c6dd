// Products of one format, for AVX2. The including file defines
//   WG_TABLE            name of the wk_gemm table to define
//   WG_FEATURES         features in a word of the panels
//   WG_INSTRUCTION      the instruction that multiplies
//   WG_RATE             its multiplications relative to floats
// for 8 bits also
//   WG_DOT(s, r, p)     s plus the products of four unsigned bytes r with four signed bytes p in
//                       each lane, or nothing for a processor that has no such instruction
// and wraps the inclusion in the target attribute of its instructions.
//
// A micro-kernel holds 6 × 16 sums in 12 of the 16 registers. What instructions multiply in a lane
// is a *unit*: a float, four bytes where there is an instruction for them, and else two 16-bit
// integers, whose products vpmaddwd adds up without loss; vpmaddubsw, which multiplies bytes, would
// saturate at half of what two products may come to. Bytes and bfloat16 are widened to units a
// block at a time. A block of a panel stays in the first-level cache while all rows pass over it.
#include "include/wuerstchen_gemm.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    panel = WK_AVX2_PANEL, // columns of a panel
    group = 6,             // rows of a micro-kernel
    strip = 96,            // rows that are widened at a time
    block = 256,           // units of the depth after which sums go to memory and back
#if WG_FEATURES == 4 && !defined(WG_DOT)
    widens_rows = 1,
#else
    widens_rows = 0,
#endif
    widens_panels = WG_FEATURES == 2 || widens_rows,
    parts = widens_panels ? 2 : 1, // units of a word
};

INLINE __m256 dot(__m256 sum, __m256 row, __m256 column) {
#if WG_FEATURES < 4
    return _mm256_fmadd_ps(row, column, sum);
#elif defined(WG_DOT)
    return (__m256)WG_DOT((__m256i)sum, (__m256i)row, (__m256i)column);
#else
    return (__m256)_mm256_add_epi32((__m256i)sum,
                                    _mm256_madd_epi16((__m256i)row, (__m256i)column));
#endif
}

// Where one block of sums comes from and goes to.
typedef struct sums_of {
    const uint32_t *rows; // units
    ptrdiff_t ld, step;
    const uint32_t *columns; // units
    ptrdiff_t count;
    const float *row_scale, *row_offset;
    const float *column_scale, *column_sums; // padded to the panel's width
    bool adding;
} sums_of;

// `m` rows, a constant at each call, times a panel. What is needed next is fetched from `next` on.
INLINE void micro(int m, float *c, ptrdiff_t ldc, const sums_of *s, ptrdiff_t row,
                  const char *next, ptrdiff_t stride) {
    __m256 sum[group][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < m; ++i)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    const uint32_t *x[group], *column = s->columns;
#pragma clang loop unroll(full)
    for (int i = 0; i < m; ++i) {
        x[i] = s->rows + (row + i) * s->ld;
        // Without this the compiler finds each row's address from the one before, in a chain that
        // takes longer than the multiplications.
        __asm__("" : "+r"(x[i]));
    }
    const ptrdiff_t end = s->count * s->step;
    for (ptrdiff_t k = 0; k < end; k += s->step, column += panel, next += stride) {
        _mm_prefetch(next, _MM_HINT_T1);
        const __m256 first = _mm256_loadu_ps((const float *)column);
        const __m256 second = _mm256_loadu_ps((const float *)column + 8);
#pragma clang loop unroll(full)
        for (int i = 0; i < m; ++i) {
            const __m256 r = _mm256_broadcast_ss((const float *)(x[i] + k));
            sum[i][0] = dot(sum[i][0], r, first);
            sum[i][1] = dot(sum[i][1], r, second);
        }
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; ++j) {
#if WG_FEATURES == 4
        const __m256 scale = _mm256_loadu_ps(s->column_scale + 8 * j);
        const __m256 sums = _mm256_loadu_ps(s->column_sums + 8 * j);
#endif
#pragma clang loop unroll(full)
        for (int i = 0; i < m; ++i) {
            float *out = c + i * ldc + 8 * j;
            __m256 y = sum[i][j];
#if WG_FEATURES == 4
            y = _mm256_mul_ps(_mm256_cvtepi32_ps((__m256i)y), scale);
            y = _mm256_mul_ps(y, _mm256_set1_ps(s->row_scale[row + i]));
            y = _mm256_fmadd_ps(_mm256_set1_ps(s->row_offset[row + i]), sums, y);
#endif
            if (s->adding)
                y = _mm256_add_ps(y, _mm256_loadu_ps(out));
            _mm256_storeu_ps(out, y);
        }
    }
}

// Some rows times one block of a panel. The next block, as long as this one, comes from the
// second- or third-level cache: fetched bit by bit by the time it is needed, it costs nothing.
static void panel_rows(float *c, ptrdiff_t ldc, const sums_of *s, ptrdiff_t rows,
                       const char *next) {
    const ptrdiff_t stride = 64 * group / parts / (rows > group ? rows : group);
    ptrdiff_t r = 0;
#define ROWS(m)                                                                                    \
    do {                                                                                           \
        micro(m, c + r * ldc, ldc, s, r, next, stride);                                            \
        r += m;                                                                                    \
        next += s->count * stride;                                                                 \
    } while (0)
    while (r + 6 <= rows)
        ROWS(6);
    if (r + 3 <= rows)
        ROWS(3);
    if (r + 2 <= rows)
        ROWS(2);
    if (r < rows)
        ROWS(1);
#undef ROWS
}

// Words as units: two floats from bfloat16; even and odd bytes as 16 bits each.
INLINE void widen(uint32_t *units, const uint32_t *words, ptrdiff_t count) {
    for (ptrdiff_t k = 0; k < count; ++k, words += panel, units += 2 * panel)
#pragma clang loop unroll(full)
        for (int j = 0; j < panel; j += 8) {
            const __m256i w = _mm256_loadu_si256((const __m256i *)(words + j));
#if WG_FEATURES == 2
            const __m256i even = _mm256_slli_epi32(w, 16);
            const __m256i odd = _mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000));
#else
            const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
            const __m256i odd = _mm256_srai_epi16(w, 8);
#endif
            _mm256_storeu_si256((__m256i *)(units + j), even);
            _mm256_storeu_si256((__m256i *)(units + panel + j), odd);
        }
}

// Unsigned bytes of a row likewise.
INLINE void widen_row(uint32_t *units, const uint32_t *words, ptrdiff_t count) {
    for (ptrdiff_t k = 0; k < count; ++k) {
        units[2 * k] = words[k] & 0x00ff00ff;
        units[2 * k + 1] = (words[k] >> 8) & 0x00ff00ff;
    }
}

static void multiply(float *c, ptrdiff_t ldc, const wk_rows *a, ptrdiff_t rows, const wk_panels *b,
                     ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns, bool adding) {
    const ptrdiff_t count = (b->depth + WG_FEATURES - 1) / WG_FEATURES;
    // Floats are read to the end of the row and no further.
    const ptrdiff_t units = WG_FEATURES == 2 ? b->depth : count * parts;
    uint32_t wide_rows[widens_rows ? strip * block : 1];
    uint32_t wide_panel[widens_panels ? panel * block : 1];
    for (ptrdiff_t unit = 0; unit < units || unit == 0; unit += block)
        for (ptrdiff_t row = 0; row < rows; row += strip) {
            const ptrdiff_t some = rows - row < strip ? rows - row : strip;
            sums_of s = {
                .rows = (const uint32_t *)a->words + row * a->ld + unit * a->step,
                .ld = a->ld,
                .step = a->step,
                .count = units - unit < block ? units - unit : block,
                .adding = adding || unit > 0,
            };
            const ptrdiff_t words = (s.count + parts - 1) / parts;
            if (widens_rows) {
                for (ptrdiff_t r = 0; r < some; ++r)
                    widen_row(wide_rows + r * block,
                              (const uint32_t *)a->words + (row + r) * a->ld + unit / parts,
                              words);
                s.rows = wide_rows;
                s.ld = block;
                s.step = 1;
            }
            for (ptrdiff_t column = first; column < end; column += panel) {
                const uint32_t *start = b->words + column * count + unit / parts * panel;
                s.columns = start;
                if (widens_panels) {
                    widen(wide_panel, start, words);
                    s.columns = wide_panel;
                }
                const ptrdiff_t width = columns - column < panel ? columns - column : panel;
#if WG_FEATURES == 4
                // The offsets of rows count once.
                float scale[panel] = {0}, sums[panel] = {0};
                memcpy(scale, b->scale + column, (size_t)width * 4);
                if (unit == 0)
                    memcpy(sums, b->sums + column, (size_t)width * 4);
                s.row_scale = a->scale + row;
                s.row_offset = a->offset + row;
                s.column_scale = scale;
                s.column_sums = sums;
#endif
                float *out = c + row * ldc + column - first;
                const char *next = (const char *)(start + panel * count);
                if (width == panel) {
                    panel_rows(out, ldc, &s, some, next);
                    continue;
                }
                // Whole vectors of a last panel that is not full have a place of their own.
                float whole[strip * panel] = {0};
                for (ptrdiff_t r = 0; s.adding && r < some; ++r)
                    memcpy(whole + r * panel, out + r * ldc, (size_t)width * 4);
                panel_rows(whole, panel, &s, some, next);
                for (ptrdiff_t r = 0; r < some; ++r)
                    memcpy(out + r * ldc, whole + r * panel, (size_t)width * 4);
            }
        }
}

// bfloat16: the upper half, rounded to nearest, ties to even; what is not a number stays so.
INLINE uint32_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return x != x ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

INLINE float widened(uint32_t bfloat16) {
    const uint32_t bits = bfloat16 << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

// One word of a panel, of floats that follow one another at a distance; `present` of them exist.
#if WG_FEATURES < 4
INLINE uint32_t word_of(const float *x, ptrdiff_t ld, ptrdiff_t present) {
#if WG_FEATURES == 1
    uint32_t bits;
    memcpy(&bits, x, 4);
    return bits;
#else
    return rounded(x[0]) | (present > 1 ? rounded(x[ld]) << 16 : 0);
#endif
}
#endif

#if WG_FEATURES == 4
INLINE float reduced(__m256 x, bool largest) {
    __m128 y = _mm256_castps256_ps128(x), z = _mm256_extractf128_ps(x, 1);
    y = largest ? _mm_max_ps(y, z) : _mm_min_ps(y, z);
    z = _mm_movehl_ps(y, y);
    y = largest ? _mm_max_ps(y, z) : _mm_min_ps(y, z);
    z = _mm_movehdup_ps(y);
    return _mm_cvtss_f32(largest ? _mm_max_ss(y, z) : _mm_min_ss(y, z));
}

// The largest magnitude of a row, for the scale of a column of weights.
INLINE float largest_of(const float *x, ptrdiff_t depth) {
    float largest = 0;
    bool broken = false;
    for (ptrdiff_t k = 0; k < depth; ++k) {
        largest = fabsf(x[k]) > largest ? fabsf(x[k]) : largest;
        broken |= x[k] != x[k];
    }
    return broken ? NAN : largest;
}

INLINE __m128i bytes_of(__m256i low, __m256i high, bool is_signed) {
    // In this order after packing: words 0, 2, 1, 3 of 64 bits.
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    const __m128i first = _mm256_castsi256_si128(both), second = _mm256_extracti128_si256(both, 1);
    return is_signed ? _mm_packs_epi16(first, second) : _mm_packus_epi16(first, second);
}
#endif

// 16 words of a row from feature k on, zeros beyond its end.
INLINE void words_of(uint32_t *words, const float *x, ptrdiff_t k, ptrdiff_t depth, float inverse) {
    float part[16 * WG_FEATURES] = {0};
    const ptrdiff_t present = depth - k < 16 * WG_FEATURES ? depth - k : 16 * WG_FEATURES;
    memcpy(part, x + k, (size_t)present * 4);
#if WG_FEATURES < 4
    for (int i = 0; i < 16; ++i)
        words[i] = word_of(part + WG_FEATURES * i, 1, WG_FEATURES);
    (void)inverse;
#else
    for (int i = 0; i < 16; i += 4) {
        const __m256 factor = _mm256_set1_ps(inverse);
        const float *p = part + 4 * i;
        const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(p), factor));
        const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(p + 8), factor));
        _mm_storeu_si128((__m128i *)(words + i), bytes_of(low, high, true));
    }
#endif
}

static void pack(uint32_t *words, float *scale, float *sums, const float *x, ptrdiff_t ldx,
                 ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth) {
    const ptrdiff_t count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t column = first; column < end; column += panel) {
        const ptrdiff_t present = columns - column < panel ? columns - column : panel;
        const float *rows = x + (column - first) * ldx;
        uint32_t *out = words + column * count;
        float inverse[panel] = {0};
#if WG_FEATURES == 4
        int32_t totals[panel] = {0};
        for (ptrdiff_t j = 0; j < present; ++j) {
            const float largest = largest_of(rows + j * ldx, depth);
            scale[column + j] = largest / 127;
            inverse[j] = largest > 0 ? 127 / largest : 0;
        }
#endif
        // A square of words at a time is turned around.
        for (ptrdiff_t k = 0; k < count; k += 16) {
            uint32_t square[panel][16] = {0};
            for (ptrdiff_t j = 0; j < present; ++j)
                words_of(square[j], rows + j * ldx, k * WG_FEATURES, depth, inverse[j]);
            const ptrdiff_t deep = count - k < 16 ? count - k : 16;
            for (ptrdiff_t i = 0; i < deep; ++i)
                for (ptrdiff_t j = 0; j < panel; ++j)
                    out[(k + i) * panel + j] = square[j][i];
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
}

// `n` features of a row, eight or fewer, from column k on, times their factors.
INLINE __m256 features(const void *x, bool is_bfloat16, ptrdiff_t k, ptrdiff_t n,
                       const float *factors) {
    const bool whole = n >= 8;
    __m256 v;
    if (is_bfloat16) {
        __m128i h = _mm_setzero_si128();
        memcpy(&h, (const uint16_t *)x + k, whole ? 16 : (size_t)n * 2);
        v = (__m256)_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
    } else {
        v = _mm256_setzero_ps();
        memcpy(&v, (const float *)x + k, whole ? 32 : (size_t)n * 4);
    }
    if (factors) {
        __m256 f = _mm256_setzero_ps();
        memcpy(&f, factors + k, whole ? 32 : (size_t)n * 4);
        v = _mm256_mul_ps(v, f);
    }
    return v;
}

// Rows are floats for panels of floats and of bfloat16, and bytes for panels of bytes.
INLINE void convert_row(uint32_t *words, float *scale, float *offset, const void *x,
                        bool is_bfloat16, ptrdiff_t depth, const float *factors) {
#if WG_FEATURES < 4
    ptrdiff_t k = 0;
    for (; k + 8 <= depth; k += 8)
        _mm256_storeu_ps((float *)words + k, features(x, is_bfloat16, k, 8, factors));
    if (k < depth) {
        const __m256 v = features(x, is_bfloat16, k, depth - k, factors);
        memcpy(words + k, &v, (size_t)(depth - k) * 4);
    }
    (void)scale;
    (void)offset;
#else
    __m256 low = _mm256_set1_ps(INFINITY), high = _mm256_set1_ps(-INFINITY);
    __m256 broken = _mm256_setzero_ps();
    ptrdiff_t k = 0;
    for (; k + 8 <= depth; k += 8) {
        const __m256 v = features(x, is_bfloat16, k, 8, factors);
        low = _mm256_min_ps(low, v);
        high = _mm256_max_ps(high, v);
        broken = _mm256_or_ps(broken, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    float least = reduced(low, false), most = reduced(high, true);
    bool is_broken = _mm256_movemask_ps(broken) != 0;
    const ptrdiff_t rest = depth - k;
    const __m256 last = features(x, is_bfloat16, k, rest, factors);
    for (ptrdiff_t i = 0; i < rest; ++i) {
        least = last[i] < least ? last[i] : least;
        most = last[i] > most ? last[i] : most;
        is_broken |= last[i] != last[i];
    }
    const float range = most - least;
    const __m256 inverse = _mm256_set1_ps(range > 0 ? 255 / range : 0);
    const __m256 shift = _mm256_set1_ps(range > 0 ? -least * (255 / range) : 0);
    *scale = is_broken ? NAN : range / 255;
    *offset = least;
    for (k = 0; k < depth; k += 16) {
        const ptrdiff_t n = depth - k, more = n > 8 ? n - 8 : 0;
        const __m256i q = _mm256_cvtps_epi32(
            _mm256_fmadd_ps(features(x, is_bfloat16, k, n, factors), inverse, shift));
        const __m256i r = _mm256_cvtps_epi32(
            _mm256_fmadd_ps(features(x, is_bfloat16, more ? k + 8 : k, more, factors), inverse,
                            shift));
        const __m128i bytes = bytes_of(q, r, false);
        memcpy(words + k / 4, &bytes, n >= 16 ? 16 : (size_t)((n + 3) / 4) * 4);
    }
#endif
}

#include "gemm_convert.h"

#if WG_FEATURES > 1
INLINE ptrdiff_t panel_width(ptrdiff_t v, ptrdiff_t count) {
    (void)v;
    (void)count;
    return 1;
}

#include "gemm_pack_rows.h"
#endif

#if WG_FEATURES < 4
static void pack_transposed(uint32_t *words, const float *x, ptrdiff_t ldx, ptrdiff_t columns,
                            ptrdiff_t depth) {
    const ptrdiff_t count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t column = 0; column < columns; column += panel) {
        const ptrdiff_t present = columns - column < panel ? columns - column : panel;
        uint32_t *out = words + column * count;
        for (ptrdiff_t k = 0; k < count; ++k, out += panel) {
            const float *row = x + k * WG_FEATURES * ldx + column;
            for (ptrdiff_t j = 0; j < present; ++j)
                out[j] = word_of(row + j, ldx, depth - k * WG_FEATURES);
            for (ptrdiff_t j = present; j < panel; ++j)
                out[j] = 0;
        }
    }
}

// Feature 2k or 2k + 1, or k, of a word.
INLINE float feature_of(uint32_t word, int part) {
#if WG_FEATURES == 1
    float x;
    memcpy(&x, &word, 4);
    return part ? 0 : x;
#else
    return widened(part ? word >> 16 : word & 0xffff);
#endif
}

static void unpack_transposed(float *x, ptrdiff_t ldx, const uint32_t *words, ptrdiff_t first,
                              ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth) {
    const ptrdiff_t count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t column = first; column < end; column += panel) {
        const ptrdiff_t present = columns - column < panel ? columns - column : panel;
        for (ptrdiff_t k = 0; k < depth; ++k) {
            const uint32_t *in = words + column * count + k / WG_FEATURES * panel;
            for (ptrdiff_t j = 0; j < present; ++j)
                x[k * ldx + column - first + j] = feature_of(in[j], k % WG_FEATURES);
        }
    }
}

static void scale_panels(uint32_t *y, const uint32_t *words, ptrdiff_t first, ptrdiff_t end,
                         ptrdiff_t columns, ptrdiff_t depth, const float *factors) {
    const ptrdiff_t count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    for (ptrdiff_t column = first; column < end; column += panel)
        for (ptrdiff_t k = 0; k < count; ++k) {
            const uint32_t *in = words + column * count + k * panel;
            float scaled[2][panel] = {{0}};
            for (int part = 0; part < WG_FEATURES; ++part) {
                const ptrdiff_t feature = k * WG_FEATURES + part;
                const float factor = feature < depth ? factors[feature] : 0;
                for (ptrdiff_t j = 0; j < panel; ++j)
                    scaled[part][j] = feature_of(in[j], part) * factor;
            }
            uint32_t *out = y + column * count + k * panel;
            for (ptrdiff_t j = 0; j < panel; ++j)
                out[j] = word_of(scaled[0] + j, panel, WG_FEATURES);
        }
    (void)columns;
}
#endif

const wk_gemm WG_TABLE = {
    .instruction = WG_INSTRUCTION,
    .rows = WG_FEATURES == 4 ? WK_INT8 : WK_FLOAT32,
    .rate = WG_RATE,
    .chunk = 4 * WK_PANEL,
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
};
