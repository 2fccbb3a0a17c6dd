// The kernels, once, over vectors of WK_WIDTH floats. The including file defines
//   WK_WIDTH    floats in a vector
//   WK_TABLE    name of the wk_kernels table to define
//   WK_LABEL    the level's name
// and wraps the inclusion in the target attribute of its instructions. The vector types are
// clang's: operators work lane by lane, comparisons give all ones or all zeros.
#include "include/wuerstchen_kernels.h"

#include <math.h>
#include <string.h>

#pragma clang fp contract(fast)

typedef float vf __attribute__((vector_size(WK_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(WK_WIDTH * 4)));
typedef float vf_unaligned __attribute__((vector_size(WK_WIDTH * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p) { return *(const vf_unaligned *)p; }
INLINE void store(float *p, vf v) { *(vf_unaligned *)p = v; }
INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vf load_part(const float *p, ptrdiff_t n) {
    vf v = {0};
    memcpy(&v, p, (size_t)n * 4);
    return v;
}
INLINE void store_part(float *p, vf v, ptrdiff_t n) { memcpy(p, &v, (size_t)n * 4); }
INLINE vf select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf maximum(vf a, vf b) { return select(a > b, a, b); }
INLINE vf minimum(vf a, vf b) { return select(a < b, a, b); }
INLINE vf absolute(vf a) { return (vf)((vi)a & 0x7fffffff); }

INLINE float sum_lanes(vf v) {
    float s = 0;
    for (int i = 0; i < WK_WIDTH; ++i)
        s += v[i];
    return s;
}
INLINE float max_lanes(vf v) {
    float m = v[0];
    for (int i = 1; i < WK_WIDTH; ++i)
        m = v[i] > m ? v[i] : m;
    return m;
}

// Adding and subtracting 1.5·2²³ leaves the nearest integer, ties to even.
INLINE vf nearest_integer(vf x) {
    const vf magic = splat(12582912.0f);
    return (x + magic) - magic;
}

// 2^n for integers −126…127, by writing n into the exponent.
INLINE vf power_of_two(vf n) {
    return (vf)((__builtin_convertvector(n, vi) + 127) << 23);
}

// e^x: x = n ln 2 + r with |r| ≤ ½ ln 2, and a minimax polynomial for e^r (error 2·10⁻⁹).
// 0 below −87, where the result would leave the normal range. What is not a number stays so.
INLINE vf exponential(vf x) {
    const vi vanishes = x < -87.0f;
    // In this order of the operands, comparisons with what is not a number choose that.
    x = minimum(splat(88.0f), maximum(splat(-87.0f), x));
    const vf n = nearest_integer(x * 1.44269504f);
    vf r = x - n * 0.693359375f; // the first part of ln 2 has few bits, so this is exact
    r = r + n * 2.12194440e-4f;
    vf p = splat(1.3836838770657778e-3f);
    p = p * r + 8.374822326004505e-3f;
    p = p * r + 4.166822507977486e-2f;
    p = p * r + 1.6666419804096222e-1f;
    p = p * r + 4.9999991059303284e-1f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return select(vanishes, splat(0), p * power_of_two(n));
}

INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + exponential(-x)); }

// x · Φ(x). Φ(−a) = 2^(q(a) − 1) with q(a) = log₂ erfc(a/√2), a minimax polynomial weighted for
// the absolute error of the result (2.4·10⁻⁷, the rounding of the product). Beyond 6.5 the lower
// tail is below 10⁻⁹.
INLINE vf gelu(vf x) {
    const vf a = minimum(absolute(x), splat(6.5f));
    vf q = splat(3.356583988534112e-7f);
    q = q * a - 7.060477855702629e-6f;
    q = q * a + 6.0629998188233e-5f;
    q = q * a - 2.4108552315738052e-4f;
    q = q * a - 5.895381036680192e-5f;
    q = q * a + 7.002995815128088e-3f;
    q = q * a - 5.247240513563156e-2f;
    q = q * a - 4.5921221375465393e-1f;
    q = q * a - 1.1511050462722778f;
    q = q * a - 1.0f;
    const vf n = nearest_integer(q);
    const vf r = q - n;
    vf p = splat(1.534581242594868e-4f);
    p = p * r + 1.3399932067841291e-3f;
    p = p * r + 9.618489071726799e-3f;
    p = p * r + 5.550328642129898e-2f;
    p = p * r + 2.4022646248340607e-1f;
    p = p * r + 6.931471824645996e-1f;
    p = p * r + 1.0f;
    // x · Φ(−|x|), with x cut off at ±6.5 too, or far out the error of Φ would grow with x.
    const vf tail = select(x < 0.0f, -a, a) * (p * power_of_two(n));
    return select(x < 0.0f, tail, x - tail);
}

INLINE vf activation_of(vf x, wk_activation kind) {
    switch (kind) {
    case WK_IDENTITY:
        return x;
    case WK_GELU:
        return gelu(x);
    case WK_QUICK_GELU:
        return x * sigmoid(1.702f * x);
    case WK_SILU:
        return x * sigmoid(x);
    case WK_LEAKY_RELU:
        return select(x < 0.0f, 0.2f * x, x);
    case WK_SIGMOID:
        return sigmoid(x);
    }
    return x;
}

// BODY(LOAD, STORE, REST) over columns c ..< n: whole vectors first, then one partial vector, whose
// length REST passes on to the partial load and store.
#define OVER_VECTORS(n, BODY)                                                                      \
    do {                                                                                           \
        ptrdiff_t c = 0;                                                                           \
        for (; c + WK_WIDTH <= (n); c += WK_WIDTH)                                                 \
            BODY(load, store, );                                                                   \
        if (c < (n)) {                                                                             \
            const ptrdiff_t rest = (n)-c;                                                          \
            BODY(load_part, store_part, PART_ARGUMENT);                                            \
        }                                                                                          \
    } while (0)
#define PART_ARGUMENT , rest

// `kind` is a constant at each call, so that each activation gets a loop of its own.
INLINE void epilogue_as(float *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns,
                        const wk_epilogue *s, wk_activation kind) {
    const vf gain = splat(s->gain);
    for (ptrdiff_t r = 0; r < rows; ++r) {
        float *row = x + r * ldx;
        const float *residual = s->residual ? s->residual + r * s->residual_ld : NULL;
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        vf v = LOAD(row + c REST);                                                                 \
        if (s->scale)                                                                              \
            v = v * LOAD(s->scale + c REST);                                                       \
        if (s->bias)                                                                               \
            v = v + LOAD(s->bias + c REST);                                                        \
        v = activation_of(v, kind);                                                                \
        if (s->energy)                                                                             \
            STORE(s->energy + c, LOAD(s->energy + c REST) + v * v REST);                           \
        v = residual ? LOAD(residual + c REST) + gain * v : gain * v;                              \
        if (s->modulation_scale)                                                                   \
            v = v * (1.0f + LOAD(s->modulation_scale + c REST)) +                                  \
                LOAD(s->modulation_shift + c REST);                                                \
        STORE(row + c, v REST);                                                                    \
    }
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void epilogue(float *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns,
                     const wk_epilogue *s) {
    switch (s->activation) {
    case WK_IDENTITY:
        return epilogue_as(x, ldx, rows, columns, s, WK_IDENTITY);
    case WK_GELU:
        return epilogue_as(x, ldx, rows, columns, s, WK_GELU);
    case WK_QUICK_GELU:
        return epilogue_as(x, ldx, rows, columns, s, WK_QUICK_GELU);
    case WK_SILU:
        return epilogue_as(x, ldx, rows, columns, s, WK_SILU);
    case WK_LEAKY_RELU:
        return epilogue_as(x, ldx, rows, columns, s, WK_LEAKY_RELU);
    case WK_SIGMOID:
        return epilogue_as(x, ldx, rows, columns, s, WK_SIGMOID);
    }
}

static void activate(float *y, const float *x, ptrdiff_t count, wk_activation kind) {
#define BODY(LOAD, STORE, REST) STORE(y + c, activation_of(LOAD(x + c REST), kind) REST)
    OVER_VECTORS(count, BODY);
#undef BODY
}

static void layer_norm(float *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx, ptrdiff_t rows,
                       ptrdiff_t columns, float epsilon, float scale, float shift,
                       const float *weight, const float *bias) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * ldx;
        float *out = y + r * ldy;
        vf total = {0};
#define BODY(LOAD, STORE, REST) total = total + LOAD(in + c REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
        const float mean = sum_lanes(total) / (float)columns;
        // The mean is taken off before squaring: E[x²] − mean² would cancel.
        vf squares = {0};
        ptrdiff_t c = 0;
        for (; c + WK_WIDTH <= columns; c += WK_WIDTH) {
            const vf d = load(in + c) - mean;
            squares = squares + d * d;
        }
        float square_sum = sum_lanes(squares);
        for (; c < columns; ++c) {
            const float d = in[c] - mean;
            square_sum += d * d;
        }
        const float factor = scale / sqrtf(square_sum / (float)columns + epsilon);
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        vf v = (LOAD(in + c REST) - mean) * factor + shift;                                        \
        if (weight)                                                                                \
            v = v * LOAD(weight + c REST) + LOAD(bias + c REST);                                   \
        STORE(out + c, v REST);                                                                    \
    }
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void depthwise_row(float *y, ptrdiff_t ldy, const float *const *rows, const float *weights,
                          const float *bias, float gain, const float *residual,
                          const wk_depthwise *g) {
    for (ptrdiff_t column = 0; column < g->output_width; ++column) {
        const ptrdiff_t left = column * g->stride - g->padding;
        float *out = y + column * ldy;
        const float *add = residual ? residual + column * ldy : NULL;
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        vf sum = LOAD(bias + c REST);                                                              \
        for (ptrdiff_t i = 0; i < g->kernel_height; ++i) {                                         \
            if (!rows[i])                                                                          \
                continue;                                                                          \
            for (ptrdiff_t j = 0; j < g->kernel_width; ++j) {                                      \
                ptrdiff_t position = left + j;                                                     \
                if (position < 0 || position >= g->input_width) {                                  \
                    if (!g->replicate)                                                             \
                        continue;                                                                  \
                    position = position < 0 ? 0 : g->input_width - 1;                              \
                }                                                                                  \
                sum = sum + LOAD(rows[i] + position * g->channels + c REST) *                      \
                                LOAD(weights + (i * g->kernel_width + j) * g->channels + c REST);  \
            }                                                                                      \
        }                                                                                          \
        STORE(out + c, (add ? LOAD(add + c REST) + gain * sum : gain * sum) REST);                 \
    }
        OVER_VECTORS(g->channels, BODY);
#undef BODY
    }
}

static void softmax_block(float *scores, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns,
                          float scale, const float *mask, const ptrdiff_t *limit, float *maxima,
                          float *sums, float *correction) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        float *row = scores + r * ld;
        ptrdiff_t n = limit ? (limit[r] < columns ? limit[r] : columns) : columns;
        n = n < 0 ? 0 : n;
        // The largest score so far, as it enters the exponent.
        vf largest = splat(-INFINITY);
        ptrdiff_t c = 0;
        for (; c + WK_WIDTH <= n; c += WK_WIDTH) {
            vf v = load(row + c) * scale;
            if (mask)
                v = v + load(mask + c);
            store(row + c, v);
            largest = maximum(largest, v);
        }
        float m = max_lanes(largest);
        for (; c < n; ++c) {
            row[c] = row[c] * scale + (mask ? mask[c] : 0.0f);
            m = row[c] > m ? row[c] : m;
        }
        const float before = maxima[r];
        m = m > before ? m : before;
        maxima[r] = m;
        if (m == -INFINITY) { // nothing seen yet: every key of this row is masked so far
            memset(row, 0, (size_t)columns * 4);
            correction[r] = 1.0f;
            continue;
        }
        vf total = {0};
        c = 0;
        for (; c + WK_WIDTH <= n; c += WK_WIDTH) {
            const vf e = exponential(load(row + c) - m);
            store(row + c, e);
            total = total + e;
        }
        float sum = sum_lanes(total);
        if (c < n) {
            const vf e = exponential(load_part(row + c, n - c) - m);
            store_part(row + c, e, n - c);
            for (ptrdiff_t i = 0; i < n - c; ++i)
                sum += e[i];
        }
        if (n < columns)
            memset(row + n, 0, (size_t)(columns - n) * 4);
        correction[r] = before == -INFINITY ? 0.0f : expf(before - m);
        sums[r] = sums[r] * correction[r] + sum;
    }
}

static void scale_rows(float *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns,
                       const float *factors) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        float *row = x + r * ldx;
        const float factor = factors[r];
#define BODY(LOAD, STORE, REST) STORE(row + c, LOAD(row + c REST) * factor REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void scale_columns(float *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx, ptrdiff_t rows,
                          ptrdiff_t columns, const float *factors) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * ldx;
        float *out = y + r * ldy;
#define BODY(LOAD, STORE, REST) STORE(out + c, LOAD(in + c REST) * LOAD(factors + c REST) REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void affine_columns(float *y, const float *x, ptrdiff_t rows, ptrdiff_t columns,
                           const float *scale, const float *shift) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * columns;
        float *out = y + r * columns;
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(out + c, LOAD(in + c REST) * LOAD(scale + c REST) + LOAD(shift + c REST) REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void sum_columns(float *sums, const float *x, ptrdiff_t ldx, ptrdiff_t rows,
                        ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * ldx;
#define BODY(LOAD, STORE, REST) STORE(sums + c, LOAD(sums + c REST) + LOAD(in + c REST) REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void sum_squares_columns(float *sums, const float *x, ptrdiff_t ldx, ptrdiff_t rows,
                                ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * ldx;
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        const vf v = LOAD(in + c REST);                                                            \
        STORE(sums + c, LOAD(sums + c REST) + v * v REST);                                         \
    }
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void combine(float *y, float alpha, const float *a, float beta, const float *b,
                    ptrdiff_t count) {
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(y + c, alpha * LOAD(a + c REST) + beta * LOAD(b + c REST) REST)
    OVER_VECTORS(count, BODY);
#undef BODY
}

static void multiply(float *y, const float *a, const float *b, ptrdiff_t count) {
#define BODY(LOAD, STORE, REST) STORE(y + c, LOAD(a + c REST) * LOAD(b + c REST) REST)
    OVER_VECTORS(count, BODY);
#undef BODY
}

static void scale_shift(float *y, const float *x, float alpha, float beta, ptrdiff_t count) {
#define BODY(LOAD, STORE, REST) STORE(y + c, alpha * LOAD(x + c REST) + beta REST)
    OVER_VECTORS(count, BODY);
#undef BODY
}

static bool all_finite(const float *x, ptrdiff_t count) {
    // A float is finite when its exponent bits are not all ones.
    vi bad = {0};
#define BODY(LOAD, STORE, REST) bad |= ((vi)LOAD(x + c REST) & 0x7f800000) == 0x7f800000
    OVER_VECTORS(count, BODY);
#undef BODY
    for (int i = 0; i < WK_WIDTH; ++i)
        if (bad[i])
            return false;
    return true;
}

static void nearest(int32_t *indices, const float *x, ptrdiff_t rows, ptrdiff_t dimensions,
                    const float *codes, ptrdiff_t count) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *point = x + r * dimensions;
        float best = INFINITY;
        int32_t index = 0;
        for (ptrdiff_t k = 0; k < count; ++k) {
            const float *code = codes + k * dimensions;
            float distance = 0;
            for (ptrdiff_t d = 0; d < dimensions; ++d)
                distance += (point[d] - code[d]) * (point[d] - code[d]);
            if (distance < best) {
                best = distance;
                index = (int32_t)k;
            }
        }
        indices[r] = index;
    }
}

// Integer arithmetic instead of F16C, so that it works at every level. Subnormals: their fraction
// is placed under an exponent of 2⁻¹⁴ and the hidden bit that this adds is subtracted again.
static void widen_half(float *y, const uint16_t *x, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        const uint32_t h = x[i], magnitude = h & 0x7fff, sign = (h & 0x8000) << 16;
        uint32_t bits;
        float value;
        if (magnitude >= 0x7c00)
            bits = 0x7f800000 | (magnitude & 0x3ff) << 13;
        else if (magnitude >= 0x400)
            bits = (magnitude << 13) + ((127 - 15) << 23);
        else {
            bits = (magnitude << 13) + ((127 - 14) << 23);
            memcpy(&value, &bits, 4);
            value -= 6.103515625e-5f;
            memcpy(&bits, &value, 4);
        }
        bits |= sign;
        memcpy(y + i, &bits, 4);
    }
}

static void widen_bfloat16(float *y, const uint16_t *x, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        const uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, 4);
    }
}

static void to_bytes(uint8_t *y, const float *x, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        float v = x[i];
        v = v > 0.0f ? v : 0.0f; // also what is not a number
        v = v < 1.0f ? v : 1.0f;
        y[i] = (uint8_t)nearbyintf(v * 255.0f);
    }
}

const wk_kernels WK_TABLE = {
    .name = WK_LABEL,
    .epilogue = epilogue,
    .activate = activate,
    .layer_norm = layer_norm,
    .depthwise_row = depthwise_row,
    .softmax_block = softmax_block,
    .scale_rows = scale_rows,
    .scale_columns = scale_columns,
    .affine_columns = affine_columns,
    .sum_columns = sum_columns,
    .sum_squares_columns = sum_squares_columns,
    .combine = combine,
    .multiply = multiply,
    .scale_shift = scale_shift,
    .all_finite = all_finite,
    .nearest = nearest,
    .widen_half = widen_half,
    .widen_bfloat16 = widen_bfloat16,
    .to_bytes = to_bytes,
};
