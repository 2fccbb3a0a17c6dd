#include "include/wuerstchen_kernels.h"

#include <string.h>

void wk_transpose(float *y, const float *x, ptrdiff_t batch, ptrdiff_t a, ptrdiff_t b) {
    enum { block = 16 }; // both sides of a block stay in the first-level cache
    for (ptrdiff_t n = 0; n < batch; ++n, x += a * b, y += a * b)
        for (ptrdiff_t i0 = 0; i0 < a; i0 += block)
            for (ptrdiff_t j0 = 0; j0 < b; j0 += block)
                for (ptrdiff_t i = i0; i < i0 + block && i < a; ++i)
                    for (ptrdiff_t j = j0; j < j0 + block && j < b; ++j)
                        y[j * a + i] = x[i * b + j];
}

void wk_pixel_unshuffle(float *y, const float *x, ptrdiff_t height, ptrdiff_t width,
                        ptrdiff_t channels, ptrdiff_t r) {
    const ptrdiff_t row = width * channels, pixels = width / r;
    for (ptrdiff_t i = 0; i < height / r; ++i, x += r * row)
        for (ptrdiff_t j = 0; j < pixels; ++j, y += channels * r * r)
            for (ptrdiff_t a = 0; a < r; ++a) {
                const float *in = x + a * row + j * r * channels;
                for (ptrdiff_t b = 0; b < r; ++b)
                    for (ptrdiff_t c = 0; c < channels; ++c)
                        y[(c * r + a) * r + b] = in[b * channels + c];
            }
}

void wk_pixel_shuffle(float *y, const float *x, ptrdiff_t height, ptrdiff_t width,
                      ptrdiff_t channels, ptrdiff_t r) {
    const ptrdiff_t out_channels = channels / (r * r), row = width * r * out_channels;
    for (ptrdiff_t i = 0; i < height; ++i, y += r * row)
        for (ptrdiff_t j = 0; j < width; ++j, x += channels)
            for (ptrdiff_t a = 0; a < r; ++a) {
                float *out = y + a * row + j * r * out_channels;
                for (ptrdiff_t b = 0; b < r; ++b)
                    for (ptrdiff_t c = 0; c < out_channels; ++c)
                        out[b * out_channels + c] = x[(c * r + a) * r + b];
            }
}

void wk_gather_windows(void *words, const void *image, ptrdiff_t first, ptrdiff_t count,
                       const wk_windows *g) {
    // In bytes.
    const ptrdiff_t pixel = 4 * g->channels, run = g->kernel * pixel;
    char *y = words;
    const char *x = image;
    for (ptrdiff_t p = first; p < first + count; ++p) {
        const ptrdiff_t top = p / g->output_width * g->stride - g->top;
        const ptrdiff_t left = p % g->output_width * g->stride - g->left;
        // The part of each kernel row that lies inside the image is one run of memory.
        const ptrdiff_t skip = left < 0 ? -left : 0;
        ptrdiff_t end = g->width - left;
        end = end > g->kernel ? g->kernel : end;
        for (ptrdiff_t i = 0; i < g->kernel; ++i, y += run) {
            const ptrdiff_t row = top + i;
            if (row < 0 || row >= g->height || end <= skip) {
                memset(y, 0, (size_t)run);
                continue;
            }
            memset(y, 0, (size_t)(skip * pixel));
            memcpy(y + skip * pixel, x + (row * g->width + left + skip) * pixel,
                   (size_t)((end - skip) * pixel));
            memset(y + end * pixel, 0, (size_t)((g->kernel - end) * pixel));
        }
    }
}

void wk_scatter_windows(float *x, const float *y, ptrdiff_t first, ptrdiff_t count,
                        const wk_windows *g) {
    const ptrdiff_t run = g->kernel * g->channels;
    for (ptrdiff_t p = first; p < first + count; ++p) {
        const ptrdiff_t top = p / g->output_width * g->stride - g->top;
        const ptrdiff_t left = p % g->output_width * g->stride - g->left;
        const ptrdiff_t skip = left < 0 ? -left : 0;
        ptrdiff_t end = g->width - left;
        end = end > g->kernel ? g->kernel : end;
        for (ptrdiff_t i = 0; i < g->kernel; ++i, y += run) {
            const ptrdiff_t row = top + i;
            if (row < 0 || row >= g->height || end <= skip)
                continue;
            float *out = x + (row * g->width + left + skip) * g->channels;
            const float *in = y + skip * g->channels;
            for (ptrdiff_t c = 0; c < (end - skip) * g->channels; ++c)
                out[c] += in[c];
        }
    }
}
