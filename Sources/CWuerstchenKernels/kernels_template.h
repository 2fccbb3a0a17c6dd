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
typedef uint16_t vh __attribute__((vector_size(WK_WIDTH * 2)));
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
    for (int half = WK_WIDTH / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i)
            v[i] += v[i + half];
    return v[0];
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

// Φ(−a), for x · Φ(x). Φ(−a) = 2^(q(a) − 1) with q(a) = log₂ erfc(a/√2), a minimax polynomial
// weighted for the absolute error of the result (2.4·10⁻⁷, the rounding of the product). Beyond 6.5
// the lower tail is below 10⁻⁹.
INLINE vf normal_tail(vf a) {
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
    return p * power_of_two(n);
}

INLINE vf gelu(vf x) {
    const vf a = minimum(absolute(x), splat(6.5f));
    // x · Φ(−|x|), with x cut off at ±6.5 too, or far out the error of Φ would grow with x.
    const vf tail = select(x < 0.0f, -a, a) * normal_tail(a);
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

// The upper 16 bits, rounded to nearest, ties to even.
INLINE vi rounded_bits(vf v) {
    const vi bits = (vi)v;
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

// x · Φ(x) for a result of eight significant bits: Φ as ½ and an odd polynomial on −4…4, minimax
// for the absolute error of the product (1.9·10⁻⁴, plus 1.5·10⁻⁵ |x| beyond).
INLINE vf short_normal(vf a) {
    const vf s = a * a;
    vf p = splat(2.2781427e-8f);
    p = p * s - 1.5986017e-6f;
    p = p * s + 4.7955506e-5f;
    p = p * s - 8.1401534e-4f;
    p = p * s + 8.772388e-3f;
    p = p * s - 6.457311e-2f;
    return p * s + 3.9788336e-1f;
}

INLINE vf gelu_short(vf x) {
    const vf a = minimum(splat(4), maximum(splat(-4), x));
    return x * (short_normal(a) * a + 0.5f);
}

// One strip of `n` vectors of columns, or of the first `part` columns of one vector. What belongs
// to the columns stays in registers for all rows. `n`, `kind` and `is_short`, which stands for
// bfloat16, are constants at each call.
INLINE void epilogue_strip(int n, wk_activation kind, bool is_short, void *y, ptrdiff_t ldy,
                           const float *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t column,
                           ptrdiff_t part, const wk_epilogue *s) {
#define AT(p, j) (part ? load_part((p), part) : load((p) + (j)*WK_WIDTH))
    vf scale[3], bias[3], factor[3], shift[3], sum_of_squares[3];
    for (int j = 0; j < n; ++j) {
        scale[j] = s->scale ? AT(s->scale + column, j) : splat(1);
        bias[j] = s->bias ? AT(s->bias + column, j) : splat(0);
        factor[j] = s->modulation_scale ? 1.0f + AT(s->modulation_scale + column, j) : splat(1);
        shift[j] = s->modulation_shift ? AT(s->modulation_shift + column, j) : splat(0);
        sum_of_squares[j] = splat(0);
    }
    const vf gain = splat(s->gain);
    const bool modulates = s->modulation_scale || s->modulation_shift;
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * ldx + column;
        const float *residual = s->residual ? s->residual + r * s->residual_ld + column : NULL;
        for (int j = 0; j < n; ++j) {
            vf v = AT(in, j) * scale[j] + bias[j];
            v = is_short && kind == WK_GELU ? gelu_short(v) : activation_of(v, kind);
            sum_of_squares[j] = sum_of_squares[j] + v * v;
            v = residual ? AT(residual, j) + gain * v : gain * v;
            if (modulates)
                v = v * factor[j] + shift[j];
            const size_t bytes = (size_t)(part ? part : WK_WIDTH) * (is_short ? 2 : 4);
            if (is_short) {
                // What arithmetic gives for what is not a number survives the rounding.
                const vh h = __builtin_convertvector(rounded_bits(v), vh);
                memcpy((uint16_t *)y + r * ldy + column + j * WK_WIDTH, &h, bytes);
            } else
                memcpy((float *)y + r * ldy + column + j * WK_WIDTH, &v, bytes);
        }
    }
    if (s->sum_of_squares)
        for (int j = 0; j < n; ++j) {
            float *sums = s->sum_of_squares + column + j * WK_WIDTH;
            if (part)
                store_part(sums, load_part(sums, part) + sum_of_squares[j], part);
            else
                store(sums, load(sums) + sum_of_squares[j]);
        }
#undef AT
}

INLINE void epilogue_as(wk_activation kind, bool is_short, void *y, ptrdiff_t ldy, const float *x,
                        ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns, const wk_epilogue *s) {
    ptrdiff_t c = 0;
    for (; c + 3 * WK_WIDTH <= columns; c += 3 * WK_WIDTH)
        epilogue_strip(3, kind, is_short, y, ldy, x, ldx, rows, c, 0, s);
    for (; c + WK_WIDTH <= columns; c += WK_WIDTH)
        epilogue_strip(1, kind, is_short, y, ldy, x, ldx, rows, c, 0, s);
    if (c < columns)
        epilogue_strip(1, kind, is_short, y, ldy, x, ldx, rows, c, columns - c, s);
}

// Each activation gets a loop of its own.
#define EPILOGUE(NAME, TYPE, SHORT)                                                                \
    static void NAME(TYPE *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx, ptrdiff_t rows,        \
                     ptrdiff_t columns, const wk_epilogue *s) {                                    \
        switch (s->activation) {                                                                   \
        case WK_IDENTITY:                                                                          \
            return epilogue_as(WK_IDENTITY, SHORT, y, ldy, x, ldx, rows, columns, s);              \
        case WK_GELU:                                                                              \
            return epilogue_as(WK_GELU, SHORT, y, ldy, x, ldx, rows, columns, s);                  \
        case WK_QUICK_GELU:                                                                        \
            return epilogue_as(WK_QUICK_GELU, SHORT, y, ldy, x, ldx, rows, columns, s);            \
        case WK_SILU:                                                                              \
            return epilogue_as(WK_SILU, SHORT, y, ldy, x, ldx, rows, columns, s);                  \
        case WK_LEAKY_RELU:                                                                        \
            return epilogue_as(WK_LEAKY_RELU, SHORT, y, ldy, x, ldx, rows, columns, s);            \
        case WK_SIGMOID:                                                                           \
            return epilogue_as(WK_SIGMOID, SHORT, y, ldy, x, ldx, rows, columns, s);               \
        }                                                                                          \
    }
EPILOGUE(epilogue, float, false)
EPILOGUE(epilogue_bfloat16, uint16_t, true)
#undef EPILOGUE

static void activate(float *y, const float *x, ptrdiff_t count, wk_activation kind) {
#define BODY(LOAD, STORE, REST) STORE(y + c, activation_of(LOAD(x + c REST), kind) REST)
    OVER_VECTORS(count, BODY);
#undef BODY
}

// Rows of `n` whole vectors, a constant at each call: a row stays in registers, and with no loop
// inside it several rows are under way at a time.
INLINE void layer_norm_short(int n, float *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx,
                             ptrdiff_t rows, float epsilon, float scale, float shift,
                             const float *weight, const float *bias) {
    const float share = 1.0f / (float)(n * WK_WIDTH);
    for (ptrdiff_t r = 0; r < rows; ++r) {
        vf v[8], total = splat(0), squares = splat(0);
        for (int j = 0; j < n; ++j) {
            v[j] = load(x + r * ldx + j * WK_WIDTH);
            total = total + v[j];
        }
        const float mean = sum_lanes(total) * share;
        for (int j = 0; j < n; ++j) {
            v[j] = v[j] - mean;
            squares = squares + v[j] * v[j];
        }
        const float factor = scale / sqrtf(sum_lanes(squares) * share + epsilon);
        for (int j = 0; j < n; ++j) {
            vf result = v[j] * factor + shift;
            if (weight)
                result = result * load(weight + j * WK_WIDTH) + load(bias + j * WK_WIDTH);
            store(y + r * ldy + j * WK_WIDTH, result);
        }
    }
}

static void layer_norm(float *y, ptrdiff_t ldy, const float *x, ptrdiff_t ldx, ptrdiff_t rows,
                       ptrdiff_t columns, float epsilon, float scale, float shift,
                       const float *weight, const float *bias) {
#define SHORT(n)                                                                                   \
    if (columns == (n)*WK_WIDTH)                                                                   \
        return layer_norm_short(n, y, ldy, x, ldx, rows, epsilon, scale, shift, weight, bias);
    SHORT(1)
    SHORT(2)
    SHORT(4)
    SHORT(8)
#undef SHORT
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * ldx;
        float *out = y + r * ldy;
        // Four sums, or each addition would wait for the one before.
        vf totals[4] = {0}, squares[4] = {0};
        ptrdiff_t c = 0;
        for (; c + 4 * WK_WIDTH <= columns; c += 4 * WK_WIDTH)
            for (int i = 0; i < 4; ++i)
                totals[i] = totals[i] + load(in + c + i * WK_WIDTH);
        for (; c + WK_WIDTH <= columns; c += WK_WIDTH)
            totals[0] = totals[0] + load(in + c);
        if (c < columns)
            totals[1] = totals[1] + load_part(in + c, columns - c);
        const float mean =
            sum_lanes((totals[0] + totals[1]) + (totals[2] + totals[3])) / (float)columns;
        // The mean is taken off before squaring: E[x²] − mean² would cancel.
        c = 0;
        for (; c + 4 * WK_WIDTH <= columns; c += 4 * WK_WIDTH)
            for (int i = 0; i < 4; ++i) {
                const vf d = load(in + c + i * WK_WIDTH) - mean;
                squares[i] = squares[i] + d * d;
            }
        for (; c + WK_WIDTH <= columns; c += WK_WIDTH) {
            const vf d = load(in + c) - mean;
            squares[0] = squares[0] + d * d;
        }
        float square_sum = sum_lanes((squares[0] + squares[1]) + (squares[2] + squares[3]));
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

INLINE void depthwise_pixel(float *y, const float *const *rows, const float *weights,
                            const float *bias, float gain, const float *residual,
                            ptrdiff_t left, const wk_depthwise *g) {
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
        STORE(y + c, (residual ? LOAD(residual + c REST) + gain * sum : gain * sum) REST);         \
    }
    OVER_VECTORS(g->channels, BODY);
#undef BODY
}

// Neighbouring pixels under a 3×3 kernel that lies inside the image. For each vector of channels
// the weights stay in registers, and so do the pixels that the next window shares.
INLINE void depthwise_run(float *y, ptrdiff_t ldy, const float *const *rows, const float *weights,
                          const float *bias, float gain, const float *residual, ptrdiff_t left,
                          ptrdiff_t count, ptrdiff_t channels) {
    for (ptrdiff_t c = 0; c < channels; c += WK_WIDTH) {
        vf w[9], window[9];
        for (int i = 0; i < 9; ++i)
            w[i] = load(weights + i * channels + c);
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 2; ++j)
                window[3 * i + j] = load(rows[i] + (left + j) * channels + c);
        const vf b = load(bias + c);
        for (ptrdiff_t column = 0; column < count; ++column) {
            vf sum = b;
            for (int i = 0; i < 3; ++i) {
                window[3 * i + 2] = load(rows[i] + (left + column + 2) * channels + c);
                for (int j = 0; j < 3; ++j)
                    sum = sum + window[3 * i + j] * w[3 * i + j];
                window[3 * i] = window[3 * i + 1];
                window[3 * i + 1] = window[3 * i + 2];
            }
            const ptrdiff_t place = column * ldy + c;
            store(y + place, residual ? load(residual + place) + gain * sum : gain * sum);
        }
    }
}

static void depthwise_row(float *y, ptrdiff_t ldy, const float *const *rows, const float *weights,
                          const float *bias, float gain, const float *residual,
                          const wk_depthwise *g) {
    const bool runs = g->kernel_height == 3 && g->kernel_width == 3 && g->stride == 1 && rows[0] &&
                      rows[1] && rows[2] && g->channels % WK_WIDTH == 0;
    ptrdiff_t column = 0;
    while (column < g->output_width) {
        const ptrdiff_t left = column * g->stride - g->padding;
        float *out = y + column * ldy;
        const float *add = residual ? residual + column * ldy : NULL;
        // So many pixels that their windows stay in the first-level cache.
        ptrdiff_t count = g->input_width - 2 - left;
        count = count > 8 ? 8 : count;
        if (runs && left >= 0 && count > 0) {
            count = count > g->output_width - column ? g->output_width - column : count;
            depthwise_run(out, ldy, rows, weights, bias, gain, add, left, count, g->channels);
            column += count;
        } else {
            depthwise_pixel(out, rows, weights, bias, gain, add, left, g);
            ++column;
        }
    }
}

// Whether no score counts; what is not a number does.
INLINE bool all_masked(const float *row, ptrdiff_t n) {
    for (ptrdiff_t c = 0; c < n; ++c)
        if (row[c] != -INFINITY)
            return false;
    return true;
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
            if (mask) {
                v = v + load(mask + c);
                store(row + c, v);
            }
            largest = maximum(largest, v);
        }
        float m = max_lanes(largest);
        for (; c < n; ++c) {
            const float v = row[c] * scale + (mask ? mask[c] : 0.0f);
            if (mask)
                row[c] = v;
            m = v > m ? v : m;
        }
        const float before = maxima[r];
        m = m > before ? m : before;
        maxima[r] = m;
        // Nothing seen yet: every key of this row is masked so far.
        if (m == -INFINITY && all_masked(row, n)) {
            memset(row, 0, (size_t)columns * 4);
            correction[r] = 1.0f;
            continue;
        }
        // Masked scores were scaled above.
        const float factor = mask ? 1 : scale;
        vf total = {0};
        c = 0;
        for (; c + WK_WIDTH <= n; c += WK_WIDTH) {
            const vf e = exponential(load(row + c) * factor - m);
            store(row + c, e);
            total = total + e;
        }
        float sum = sum_lanes(total);
        if (c < n) {
            const vf e = exponential(load_part(row + c, n - c) * factor - m);
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

static void combine(float *y, float alpha, const float *a, float beta, const float *b,
                    ptrdiff_t count) {
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(y + c, alpha * LOAD(a + c REST) + beta * LOAD(b + c REST) REST)
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

static void narrow_bfloat16(uint16_t *y, const float *x, ptrdiff_t count) {
    ptrdiff_t i = 0;
    for (; i < count; i += WK_WIDTH) {
        const ptrdiff_t n = count - i < WK_WIDTH ? count - i : WK_WIDTH;
        const vf v = load_part(x + i, n);
        const vi not_a_number = v != v;
        const vh h = __builtin_convertvector(
            (not_a_number & 0x7fc0) | (~not_a_number & rounded_bits(v)), vh);
        memcpy(y + i, &h, (size_t)n * 2);
    }
}

static float narrow_int8(int8_t *y, const float *x, ptrdiff_t count) {
    float largest = 0;
    for (ptrdiff_t i = 0; i < count; ++i) {
        if (!isfinite(x[i])) { // shows in the whole row rather than nowhere
            memset(y, 0, (size_t)count);
            return NAN;
        }
        largest = fmaxf(largest, fabsf(x[i]));
    }
    const float inverse = largest > 0 ? 127 / largest : 0;
    for (ptrdiff_t i = 0; i < count; ++i)
        y[i] = (int8_t)nearbyintf(x[i] * inverse);
    return largest / 127;
}

static void widen_int8(float *y, const int8_t *x, ptrdiff_t count, float scale) {
    for (ptrdiff_t i = 0; i < count; ++i)
        y[i] = scale * (float)x[i];
}

static void to_bytes(uint8_t *y, const float *x, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        float v = x[i];
        v = v > 0.0f ? v : 0.0f; // also what is not a number
        v = v < 1.0f ? v : 1.0f;
        y[i] = (uint8_t)nearbyintf(v * 255.0f);
    }
}

#include "gradients_template.h"

const wk_kernels WK_TABLE = {
    .name = WK_LABEL,
    .epilogue = epilogue,
    .epilogue_bfloat16 = epilogue_bfloat16,
    .activate = activate,
    .layer_norm = layer_norm,
    .depthwise_row = depthwise_row,
    .softmax_block = softmax_block,
    .scale_rows = scale_rows,
    .scale_columns = scale_columns,
    .affine_columns = affine_columns,
    .sum_columns = sum_columns,
    .combine = combine,
    .scale_shift = scale_shift,
    .all_finite = all_finite,
    .nearest = nearest,
    .widen_half = widen_half,
    .widen_bfloat16 = widen_bfloat16,
    .narrow_bfloat16 = narrow_bfloat16,
    .narrow_int8 = narrow_int8,
    .widen_int8 = widen_int8,
    .to_bytes = to_bytes,
    .activate_gradient = activate_gradient,
    .gelu_gradient = gelu_gradient,
    .gelu_gradient_bfloat16 = gelu_gradient_bfloat16,
    .layer_norm_gradient = layer_norm_gradient,
    .depthwise_weight_gradient = depthwise_weight_gradient,
    .depthwise_input_gradient = depthwise_input_gradient,
    .dot_columns = dot_columns,
    .dot_columns_bfloat16 = dot_columns_bfloat16,
    .dot = dot,
    .softmax_gradient = softmax_gradient,
    .adam = adam,
};
