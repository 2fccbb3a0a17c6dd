// What training needs besides: the derivatives of the kernels, and the optimiser's update. Included
// by kernels_template.h, whose vectors and functions it uses.

// Φ(x) to 32-bit precision, from the tail that gelu() uses.
INLINE vf normal_distribution(vf x) {
    const vf tail = normal_tail(minimum(absolute(x), splat(6.5f)));
    return select(x < 0.0f, tail, 1.0f - tail);
}

// Φ(x) for a result of eight significant bits; see gelu_short().
INLINE vf normal_distribution_short(vf x) {
    const vf a = minimum(splat(4), maximum(splat(-4), x));
    return short_normal(a) * a + 0.5f;
}

INLINE vf normal_density(vf x) { return exponential(x * x * -0.5f) * 0.39894228040143268f; }

INLINE vf derivative_of(vf x, wk_activation kind) {
    switch (kind) {
    case WK_IDENTITY:
        return splat(1);
    case WK_GELU:
        return normal_distribution(x) + x * normal_density(x);
    case WK_QUICK_GELU: {
        const vf s = sigmoid(1.702f * x);
        return s + 1.702f * x * s * (1.0f - s);
    }
    case WK_SILU: {
        const vf s = sigmoid(x);
        return s + x * s * (1.0f - s);
    }
    case WK_LEAKY_RELU:
        return select(x < 0.0f, splat(0.2f), splat(1));
    case WK_SIGMOID: {
        const vf s = sigmoid(x);
        return s * (1.0f - s);
    }
    }
    return splat(1);
}

static void activate_gradient(float *dx, const float *dy, const float *x, ptrdiff_t count,
                              wk_activation kind) {
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(dx + c, LOAD(dy + c REST) * derivative_of(LOAD(x + c REST), kind) REST)
    OVER_VECTORS(count, BODY);
#undef BODY
}

// The same for an activation whose sum of squares was taken: dE/dg = 2 g.
static void gelu_gradient(float *du, const float *dg, const float *u, ptrdiff_t rows,
                          ptrdiff_t columns, const float *sum_of_squares) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = u + r * columns, *from = dg + r * columns;
        float *out = du + r * columns;
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        const vf x = LOAD(in + c REST);                                                            \
        const vf normal = normal_distribution(x);                                                  \
        const vf d = LOAD(from + c REST) + 2.0f * x * normal * LOAD(sum_of_squares + c REST);      \
        STORE(out + c, d * (normal + x * normal_density(x)) REST);                                 \
    }
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

INLINE vf widen(const uint16_t *p, ptrdiff_t n) {
    vh h = {0};
    memcpy(&h, p, (size_t)n * 2);
    return (vf)(__builtin_convertvector(h, vi) << 16);
}

INLINE void narrow_to(uint16_t *p, vf v, ptrdiff_t n) {
    const vh h = __builtin_convertvector(rounded_bits(v), vh);
    memcpy(p, &h, (size_t)n * 2);
}

static void gelu_gradient_bfloat16(uint16_t *du, ptrdiff_t ldu, const float *dg,
                                   const uint16_t *u, ptrdiff_t rows, ptrdiff_t columns,
                                   const float *sum_of_squares) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *from = dg + r * columns;
        for (ptrdiff_t c = 0; c < columns; c += WK_WIDTH) {
            const ptrdiff_t n = columns - c < WK_WIDTH ? columns - c : WK_WIDTH;
            const bool whole = n == WK_WIDTH;
            const vf x = whole ? widen(u + r * ldu + c, WK_WIDTH) : widen(u + r * ldu + c, n);
            const vf normal = normal_distribution_short(x);
            const vf d = whole ? load(from + c) : load_part(from + c, n);
            const vf e = whole ? load(sum_of_squares + c) : load_part(sum_of_squares + c, n);
            const vf result = (d + 2.0f * x * normal * e) * (normal + x * normal_density(x));
            if (whole)
                narrow_to(du + r * ldu + c, result, WK_WIDTH);
            else
                narrow_to(du + r * ldu + c, result, n);
        }
        for (ptrdiff_t c = columns; c < ldu; ++c)
            du[r * ldu + c] = 0;
    }
}

static void layer_norm_gradient(float *dx, const float *dy, const float *x, ptrdiff_t rows,
                                ptrdiff_t columns, float epsilon, float scale,
                                const float *weight, float *dweight, float *dbias) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *in = x + r * columns, *from = dy + r * columns;
        float *out = dx + r * columns;
        vf total = {0};
#define BODY(LOAD, STORE, REST) total = total + LOAD(in + c REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
        const float mean = sum_lanes(total) / (float)columns;
        vf squares = {0};
        ptrdiff_t c = 0;
        for (; c + WK_WIDTH <= columns; c += WK_WIDTH) {
            const vf d = load(in + c) - mean;
            squares = squares + d * d;
        }
        float square_sum = sum_lanes(squares);
        for (; c < columns; ++c)
            square_sum += (in[c] - mean) * (in[c] - mean);
        const float inverse = 1.0f / sqrtf(square_sum / (float)columns + epsilon);
        // With n the normalised row and g the gradient times the weight:
        // dx = inverse · (g − mean g − n · mean(g · n)).
        vf gradients = {0}, products = {0};
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        const vf n = (LOAD(in + c REST) - mean) * inverse, d = LOAD(from + c REST);                \
        const vf g = weight ? d * LOAD(weight + c REST) : d;                                       \
        gradients = gradients + g;                                                                 \
        products = products + g * n;                                                               \
        if (dweight) {                                                                             \
            STORE(dweight + c, LOAD(dweight + c REST) + d * (n * scale) REST);                     \
            STORE(dbias + c, LOAD(dbias + c REST) + d REST);                                       \
        }                                                                                          \
    }
        // Beyond a row's end the loads give zeros, and so is every gradient there.
        OVER_VECTORS(columns, BODY);
#undef BODY
        const float mean_gradient = sum_lanes(gradients) / (float)columns;
        const float mean_product = sum_lanes(products) / (float)columns;
        const float factor = inverse * scale;
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        const vf n = (LOAD(in + c REST) - mean) * inverse, d = LOAD(from + c REST);                \
        const vf g = weight ? d * LOAD(weight + c REST) : d;                                       \
        STORE(out + c, factor * (g - mean_gradient - n * mean_product) REST);                      \
    }
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

// Where output column `column` reads for kernel column `j`, or −1.
INLINE ptrdiff_t depthwise_source(const wk_depthwise *g, ptrdiff_t column, ptrdiff_t j) {
    const ptrdiff_t position = column * g->stride - g->padding + j;
    if (position >= 0 && position < g->input_width)
        return position;
    if (!g->replicate)
        return -1;
    return position < 0 ? 0 : g->input_width - 1;
}

static void depthwise_weight_gradient(float *dw, float *dbias, const float *dy,
                                      const float *const *rows, const wk_depthwise *g) {
    const ptrdiff_t channels = g->channels;
    for (ptrdiff_t i = 0; i < g->kernel_height; ++i)
        for (ptrdiff_t j = 0; rows[i] && j < g->kernel_width; ++j) {
            float *sums = dw + (i * g->kernel_width + j) * channels;
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        vf sum = LOAD(sums + c REST);                                                              \
        for (ptrdiff_t column = 0; column < g->output_width; ++column) {                           \
            const ptrdiff_t position = depthwise_source(g, column, j);                             \
            if (position >= 0)                                                                     \
                sum = sum + LOAD(dy + column * channels + c REST) *                                \
                                LOAD(rows[i] + position * channels + c REST);                      \
        }                                                                                          \
        STORE(sums + c, sum REST);                                                                 \
    }
            OVER_VECTORS(channels, BODY);
#undef BODY
        }
    sum_columns(dbias, dy, channels, g->output_width, channels);
}

// Adds one output row's share to the gradient of the input rows that it read.
static void depthwise_input_gradient(float *const *rows, const float *dy, const float *weights,
                                     const wk_depthwise *g) {
    const ptrdiff_t channels = g->channels;
    for (ptrdiff_t i = 0; i < g->kernel_height; ++i)
        for (ptrdiff_t column = 0; rows[i] && column < g->output_width; ++column)
            for (ptrdiff_t j = 0; j < g->kernel_width; ++j) {
                const ptrdiff_t position = depthwise_source(g, column, j);
                if (position < 0)
                    continue;
                float *out = rows[i] + position * channels;
                const float *w = weights + (i * g->kernel_width + j) * channels;
                const float *in = dy + column * channels;
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(out + c, LOAD(out + c REST) + LOAD(in + c REST) * LOAD(w + c REST) REST)
                OVER_VECTORS(channels, BODY);
#undef BODY
            }
}

static void dot_columns(float *sums, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb,
                        ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *left = a + r * lda, *right = b + r * ldb;
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(sums + c, LOAD(sums + c REST) + LOAD(left + c REST) * LOAD(right + c REST) REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void dot_columns_bfloat16(float *sums, const float *a, ptrdiff_t lda, const uint16_t *b,
                                 ptrdiff_t ldb, ptrdiff_t rows, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const float *left = a + r * lda;
        const uint16_t *right = b + r * ldb;
        ptrdiff_t c = 0;
        for (; c + WK_WIDTH <= columns; c += WK_WIDTH)
            store(sums + c, load(sums + c) + load(left + c) * widen(right + c, WK_WIDTH));
        for (; c < columns; ++c)
            sums[c] += left[c] * widen(right + c, 1)[0];
    }
}

static double dot(const float *a, const float *b, ptrdiff_t count) {
    // Short sums in floats, and their sum in double.
    double sum = 0;
    for (ptrdiff_t first = 0; first < count; first += 1 << 12) {
        const ptrdiff_t n = count - first < 1 << 12 ? count - first : 1 << 12;
        const float *left = a + first, *right = b + first;
        vf part = {0};
#define BODY(LOAD, STORE, REST) part = part + LOAD(left + c REST) * LOAD(right + c REST)
        OVER_VECTORS(n, BODY);
#undef BODY
        for (int i = 0; i < WK_WIDTH; ++i)
            sum += part[i];
    }
    return sum;
}

static void softmax_gradient(float *dp, const float *p, ptrdiff_t ld, ptrdiff_t rows,
                             ptrdiff_t columns, float scale) {
    for (ptrdiff_t r = 0; r < rows; ++r) {
        float *d = dp + r * ld;
        const float *probabilities = p + r * ld;
        vf part = {0};
#define BODY(LOAD, STORE, REST) part = part + LOAD(d + c REST) * LOAD(probabilities + c REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
        const float mean = sum_lanes(part);
#define BODY(LOAD, STORE, REST)                                                                    \
    STORE(d + c, LOAD(probabilities + c REST) * (LOAD(d + c REST) - mean) * scale REST)
        OVER_VECTORS(columns, BODY);
#undef BODY
    }
}

static void adam(float *parameters, float *first, float *second, const float *gradient,
                 ptrdiff_t count, const wk_adam *s) {
#define BODY(LOAD, STORE, REST)                                                                    \
    {                                                                                              \
        const vf g = LOAD(gradient + c REST) * s->gradient_scale;                                  \
        const vf m = s->beta1 * LOAD(first + c REST) + (1.0f - s->beta1) * g;                      \
        const vf v = s->beta2 * LOAD(second + c REST) + (1.0f - s->beta2) * (g * g);               \
        STORE(first + c, m REST);                                                                  \
        STORE(second + c, v REST);                                                                 \
        const vf root = __builtin_elementwise_sqrt(v) * s->second_correction + s->epsilon;         \
        STORE(parameters + c,                                                                      \
              LOAD(parameters + c REST) * s->decay - s->rate * m / root REST);                     \
    }
    OVER_VECTORS(count, BODY);
#undef BODY
}
