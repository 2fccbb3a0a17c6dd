// The loops that matrix products do not cover, over channels-last rows of floats.
//
// Each kernel is written once, over vectors of a width that the including file sets
// (kernels_template.h), and compiled for each level of instructions. The best level that the
// processor has is picked at run time, so no compiler flags are needed.
//
// Lengths and distances between rows (ld...) are counted in floats unless said otherwise.
#ifndef WUERSTCHEN_KERNELS_H
#define WUERSTCHEN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wk_activation {
    WK_IDENTITY,
    WK_GELU,       // x · Φ(x) with the exact normal distribution function
    WK_QUICK_GELU, // x · sigmoid(1.702 x)
    WK_SILU,       // x · sigmoid(x)
    WK_LEAKY_RELU, // slope 0.2 below zero
    WK_SIGMOID,
} wk_activation;

// What happens to a tile of a matrix product while it is in the cache:
//   y = activation(scale[c] · x + bias[c]);  sum_of_squares[c] += y²;
//   y = residual + gain · y;  y = y · (1 + modulation_scale[c]) + modulation_shift[c]
// A null pointer leaves its part out; gain applies with and without a residual.
typedef struct wk_epilogue {
    const float *_Nullable scale;
    const float *_Nullable bias;
    wk_activation activation;
    float gain;
    const float *_Nullable residual;
    ptrdiff_t residual_ld;
    const float *_Nullable modulation_scale;
    const float *_Nullable modulation_shift;
    float *_Nullable sum_of_squares;
} wk_epilogue;

// Geometry of one output row of a depthwise convolution.
typedef struct wk_depthwise {
    ptrdiff_t kernel_height, kernel_width, stride, padding;
    ptrdiff_t input_width, output_width, channels;
    bool replicate; // repeat the border pixel instead of padding with zeros
} wk_depthwise;

// One step of AdamW (Loshchilov and Hutter, 2019), the same for all elements:
//   g = gradient_scale · gradient;  m = β₁ m + (1 − β₁) g;  v = β₂ v + (1 − β₂) g²;
//   p = decay · p − rate · m / (√v · second_correction + ε)
// with rate = lr / (1 − β₁ⁿ), second_correction = 1 / √(1 − β₂ⁿ) and decay = 1 − lr · λ.
typedef struct wk_adam {
    float beta1, beta2, epsilon, rate, second_correction, decay, gradient_scale;
} wk_adam;

// A table of functions, fixed when the library is built: safe to share between threads.
typedef struct __attribute__((swift_attr("@Sendable"))) wk_kernels {
    const char *_Nonnull name;

    // y may be x itself.
    void (*_Nonnull epilogue)(float *_Nonnull y, ptrdiff_t ldy, const float *_Nonnull x,
                              ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns,
                              const wk_epilogue *_Nonnull steps);
    // The same, with the result rounded to bfloat16; ldy counts those.
    void (*_Nonnull epilogue_bfloat16)(uint16_t *_Nonnull y, ptrdiff_t ldy,
                                       const float *_Nonnull x, ptrdiff_t ldx, ptrdiff_t rows,
                                       ptrdiff_t columns, const wk_epilogue *_Nonnull steps);

    void (*_Nonnull activate)(float *_Nonnull y, const float *_Nonnull x, ptrdiff_t count,
                              wk_activation activation);

    // y = (x − mean) / sqrt(variance + epsilon) · scale + shift per row; then · weight[c] +
    // bias[c].
    void (*_Nonnull layer_norm)(float *_Nonnull y, ptrdiff_t ldy, const float *_Nonnull x,
                                ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns, float epsilon,
                                float scale, float shift, const float *_Nullable weight,
                                const float *_Nullable bias);

    // One output row. rows[k] is the input row under kernel row k, null where zeros are padded;
    // weights are [kernel_height][kernel_width][channels].
    // y = gain · (Σ w · x + bias), plus residual where there is one (it may be y itself).
    void (*_Nonnull depthwise_row)(float *_Nonnull y, ptrdiff_t ldy,
                                   const float *_Nullable const *_Nonnull rows,
                                   const float *_Nonnull weights, const float *_Nonnull bias,
                                   float gain, const float *_Nullable residual,
                                   const wk_depthwise *_Nonnull geometry);

    // One block of keys of a softmax that is computed block by block. Each row of scores becomes
    // exp(scale · s + mask[c] − maximum[r]); maximum and sum are carried over the blocks, and
    // correction[r] is what the results of earlier blocks must be multiplied with.
    // Only the first limit[r] columns of a row count where limit is given; the rest become 0.
    void (*_Nonnull softmax_block)(float *_Nonnull scores, ptrdiff_t ld, ptrdiff_t rows,
                                   ptrdiff_t columns, float scale, const float *_Nullable mask,
                                   const ptrdiff_t *_Nullable limit, float *_Nonnull maximum,
                                   float *_Nonnull sum, float *_Nonnull correction);

    void (*_Nonnull scale_rows)(float *_Nonnull x, ptrdiff_t ldx, ptrdiff_t rows,
                                ptrdiff_t columns, const float *_Nonnull factors);
    void (*_Nonnull scale_columns)(float *_Nonnull y, ptrdiff_t ldy, const float *_Nonnull x,
                                   ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns,
                                   const float *_Nonnull factors);
    // y = x · scale[c] + shift[c]
    void (*_Nonnull affine_columns)(float *_Nonnull y, const float *_Nonnull x, ptrdiff_t rows,
                                    ptrdiff_t columns, const float *_Nonnull scale,
                                    const float *_Nonnull shift);
    // sums[c] += Σ_r x[r][c]
    void (*_Nonnull sum_columns)(float *_Nonnull sums, const float *_Nonnull x, ptrdiff_t ldx,
                                 ptrdiff_t rows, ptrdiff_t columns);
    // y = alpha · a + beta · b
    void (*_Nonnull combine)(float *_Nonnull y, float alpha, const float *_Nonnull a, float beta,
                             const float *_Nonnull b, ptrdiff_t count);
    // y = alpha · x + beta
    void (*_Nonnull scale_shift)(float *_Nonnull y, const float *_Nonnull x, float alpha,
                                 float beta, ptrdiff_t count);
    bool (*_Nonnull all_finite)(const float *_Nonnull x, ptrdiff_t count);

    // Index of the nearest of the codes (Euclidean distance, lowest index on a tie) to each row.
    void (*_Nonnull nearest)(int32_t *_Nonnull indices, const float *_Nonnull x, ptrdiff_t rows,
                             ptrdiff_t dimensions, const float *_Nonnull codes, ptrdiff_t count);

    void (*_Nonnull widen_half)(float *_Nonnull y, const uint16_t *_Nonnull x, ptrdiff_t count);
    void (*_Nonnull widen_bfloat16)(float *_Nonnull y, const uint16_t *_Nonnull x,
                                    ptrdiff_t count);
    void (*_Nonnull narrow_bfloat16)(uint16_t *_Nonnull y, const float *_Nonnull x,
                                     ptrdiff_t count);
    // To −127…127 with one scale for all, which is returned; and back.
    float (*_Nonnull narrow_int8)(int8_t *_Nonnull y, const float *_Nonnull x, ptrdiff_t count);
    void (*_Nonnull widen_int8)(float *_Nonnull y, const int8_t *_Nonnull x, ptrdiff_t count,
                                float scale);
    // clamp to 0…1, times 255, round half to even
    void (*_Nonnull to_bytes)(uint8_t *_Nonnull y, const float *_Nonnull x, ptrdiff_t count);

    // Derivatives. d… is the gradient of what is named after it.

    // dx = dy · activation'(x); dx may be dy.
    void (*_Nonnull activate_gradient)(float *_Nonnull dx, const float *_Nonnull dy,
                                       const float *_Nonnull x, ptrdiff_t count,
                                       wk_activation activation);
    // du = (dg + 2 · gelu(u) · d_sums[c]) · gelu'(u), where d_sums belongs to Σ gelu(u)².
    void (*_Nonnull gelu_gradient)(float *_Nonnull du, const float *_Nonnull dg,
                                   const float *_Nonnull u, ptrdiff_t rows, ptrdiff_t columns,
                                   const float *_Nonnull d_sums);
    // The same for u, and with du, in bfloat16; ldu counts those, and what lies between columns and
    // ldu becomes zero.
    void (*_Nonnull gelu_gradient_bfloat16)(uint16_t *_Nonnull du, ptrdiff_t ldu,
                                            const float *_Nonnull dg, const uint16_t *_Nonnull u,
                                            ptrdiff_t rows, ptrdiff_t columns,
                                            const float *_Nonnull d_sums);
    // Adds to dweight and dbias where they are given.
    void (*_Nonnull layer_norm_gradient)(float *_Nonnull dx, const float *_Nonnull dy,
                                         const float *_Nonnull x, ptrdiff_t rows,
                                         ptrdiff_t columns, float epsilon, float scale,
                                         const float *_Nullable weight, float *_Nullable dweight,
                                         float *_Nullable dbias);
    // One output row: adds to dw and dbias.
    void (*_Nonnull depthwise_weight_gradient)(float *_Nonnull dw, float *_Nonnull dbias,
                                               const float *_Nonnull dy,
                                               const float *_Nullable const *_Nonnull rows,
                                               const wk_depthwise *_Nonnull geometry);
    // One output row: adds to the gradients of the input rows under the kernel's rows.
    void (*_Nonnull depthwise_input_gradient)(float *_Nullable const *_Nonnull rows,
                                              const float *_Nonnull dy,
                                              const float *_Nonnull weights,
                                              const wk_depthwise *_Nonnull geometry);
    // sums[c] += Σ_r a[r][c] · b[r][c]
    void (*_Nonnull dot_columns)(float *_Nonnull sums, const float *_Nonnull a, ptrdiff_t lda,
                                 const float *_Nonnull b, ptrdiff_t ldb, ptrdiff_t rows,
                                 ptrdiff_t columns);
    void (*_Nonnull dot_columns_bfloat16)(float *_Nonnull sums, const float *_Nonnull a,
                                          ptrdiff_t lda, const uint16_t *_Nonnull b, ptrdiff_t ldb,
                                          ptrdiff_t rows, ptrdiff_t columns);
    double (*_Nonnull dot)(const float *_Nonnull a, const float *_Nonnull b, ptrdiff_t count);
    // dp[r] becomes p · (dp − Σ p · dp) · scale.
    void (*_Nonnull softmax_gradient)(float *_Nonnull dp, const float *_Nonnull p, ptrdiff_t ld,
                                      ptrdiff_t rows, ptrdiff_t columns, float scale);

    void (*_Nonnull adam)(float *_Nonnull parameters, float *_Nonnull first,
                          float *_Nonnull second, const float *_Nonnull gradient,
                          ptrdiff_t count, const wk_adam *_Nonnull step);
} wk_kernels;

typedef enum wk_level { WK_PORTABLE, WK_AVX2, WK_AVX512, WK_AMX } wk_level;

// The kernels of a level, or NULL where the processor or the build lacks its instructions.
const wk_kernels *_Nullable wk_kernels_at(wk_level level);

// Moving data about. None of these computes, so one version serves every processor.

// [batch][a][b] to [batch][b][a]: channels-first to channels-last and back.
void wk_transpose(float *_Nonnull y, const float *_Nonnull x, ptrdiff_t batch, ptrdiff_t a,
                  ptrdiff_t b);

// Channels-last [height][width][channels] to [height/r][width/r][channels·r·r], output channel
// c·r² + dy·r + dx as in PyTorch; and back.
void wk_pixel_unshuffle(float *_Nonnull y, const float *_Nonnull x, ptrdiff_t height,
                        ptrdiff_t width, ptrdiff_t channels, ptrdiff_t r);
void wk_pixel_shuffle(float *_Nonnull y, const float *_Nonnull x, ptrdiff_t height,
                      ptrdiff_t width, ptrdiff_t channels, ptrdiff_t r);

// Geometry of a convolution's windows over one channels-last image. Window (0, 0) starts `top`
// rows above and `left` pixels before the image; outside it everything is zero.
typedef struct wk_windows {
    ptrdiff_t height, width, channels, kernel, stride, top, left, output_width;
} wk_windows;

// Rows [kernel][kernel][channels] of the windows of output pixels first ..< first + count. Channels
// are 32-bit words of any kind.
void wk_gather_windows(void *_Nonnull y, const void *_Nonnull x, ptrdiff_t first,
                       ptrdiff_t count, const wk_windows *_Nonnull geometry);

// The adjoint: adds the windows' rows to the image where they came from.
void wk_scatter_windows(float *_Nonnull x, const float *_Nonnull y, ptrdiff_t first,
                        ptrdiff_t count, const wk_windows *_Nonnull geometry);

#ifdef __cplusplus
}
#endif
#endif
