#ifndef CWUERSTCHENPNG_SHIM_H
#define CWUERSTCHENPNG_SHIM_H

#include <png.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

// Files are read here rather than through libpng's simplified interface, which overruns or
// garbles interlaced files of 16 bits in many releases (pnggroup/libpng#853). An error in libpng
// must not return, and Swift can neither call setjmp nor be jumped over.

typedef struct {
    const uint8_t *bytes;
    size_t count;
    char *message;
    size_t message_capacity;
} wuerstchen_png_input;

static inline void wuerstchen_png_take(png_structp png, png_bytep target, size_t count) {
    wuerstchen_png_input *input = (wuerstchen_png_input *)png_get_io_ptr(png);
    if (count > input->count) {
        png_error(png, "the data ends too early");
    }
    memcpy(target, input->bytes, count);
    input->bytes += count;
    input->count -= count;
}

static inline void wuerstchen_png_fail(png_structp png, png_const_charp message) {
    wuerstchen_png_input *input = (wuerstchen_png_input *)png_get_error_ptr(png);
    snprintf(input->message, input->message_capacity, "%s", message);
    png_longjmp(png, 1);
}

static inline void wuerstchen_png_ignore(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

// Decodes a PNG file of any kind to rows of red, green, blue and alpha, 8 bits each, in sRGB with
// straight alpha. `count` is the number of bytes at `samples`, which must be that of the whole
// image. Gives 1, or 0 with libpng's words in `message`.
static inline int wuerstchen_png_read(
    const uint8_t *file, size_t file_count, uint8_t *samples, size_t count, char *message,
    size_t message_capacity) {
    wuerstchen_png_input input = {file, file_count, message, message_capacity};
    snprintf(message, message_capacity, "out of memory");
    png_structp png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, &input, wuerstchen_png_fail, wuerstchen_png_ignore);
    png_infop info = png == NULL ? NULL : png_create_info_struct(png);
    if (info == NULL || setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_read_struct(&png, &info, NULL);
        return 0;
    }
    png_set_read_fn(png, &input, wuerstchen_png_take);
    png_read_info(png, info);

    // Samples without a gAMA chunk are sRGB already.
    png_set_alpha_mode(png, PNG_ALPHA_PNG, PNG_DEFAULT_sRGB);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);

    size_t row = png_get_rowbytes(png, info);
    size_t height = png_get_image_height(png, info);
    if (row != (size_t)4 * png_get_image_width(png, info) || row * height != count) {
        png_error(png, "the image has an unexpected size");
    }
    for (int pass = 0; pass < passes; pass++) {
        for (size_t y = 0; y < height; y++) {
            png_read_row(png, samples + y * row, NULL);
        }
    }
    png_destroy_read_struct(&png, &info, NULL);
    return 1;
}

// The most bytes that the PNG file of an image can take: a macro, which Swift cannot call.
static inline size_t wuerstchen_png_size_max(const png_image *image) {
    return PNG_IMAGE_PNG_SIZE_MAX(*image);
}

#endif
