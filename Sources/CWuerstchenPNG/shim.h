#ifndef CWUERSTCHENPNG_SHIM_H
#define CWUERSTCHENPNG_SHIM_H

#include <png.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// Files are read and written here rather than through libpng's simplified interface, which overruns
// or garbles interlaced files of 16 bits in many releases (pnggroup/libpng#853) and has no text. An
// error in libpng must not return, and Swift can neither call setjmp nor be jumped over.

// A file that is being read, or one that grows as it is written.
typedef struct {
    png_structp png;
    png_infop info;
    uint8_t *bytes;
    size_t count;
    // Bytes read or written so far.
    size_t position;
    // Reading: how many more bytes the row at hand may take, and whether pixels were left over.
    size_t allowance;
    int overflows;
    char message[128];
} wuerstchen_png_file;

static inline void wuerstchen_png_fail(png_structp png, png_const_charp message) {
    wuerstchen_png_file *file = (wuerstchen_png_file *)png_get_error_ptr(png);
    snprintf(file->message, sizeof(file->message), "%s", message);
    png_longjmp(png, 1);
}

// Of what libpng puts up with, one thing is damage: more pixels than the image has.
static inline void wuerstchen_png_warn(png_structp png, png_const_charp message) {
    if (strstr(message, "Too much image data") != NULL) {
        ((wuerstchen_png_file *)png_get_error_ptr(png))->overflows = 1;
    }
}

static inline void wuerstchen_png_take(png_structp png, png_bytep target, size_t count) {
    wuerstchen_png_file *file = (wuerstchen_png_file *)png_get_io_ptr(png);
    if (count > file->count - file->position) {
        png_error(png, "it ends too early, before its IEND chunk");
    }
    if (count > file->allowance) {
        png_error(png, "its IDAT chunks hold more than the pixels of the image");
    }
    file->allowance -= count;
    memcpy(target, file->bytes + file->position, count);
    file->position += count;
}

static inline void wuerstchen_png_put(png_structp png, png_bytep source, size_t count) {
    wuerstchen_png_file *file = (wuerstchen_png_file *)png_get_io_ptr(png);
    if (count > file->count - file->position) {
        size_t capacity = 2 * file->count + count;
        uint8_t *bytes = (uint8_t *)realloc(file->bytes, capacity);
        if (bytes == NULL) {
            png_error(png, "out of memory");
        }
        file->bytes = bytes;
        file->count = capacity;
    }
    memcpy(file->bytes + file->position, source, count);
    file->position += count;
}

static inline void wuerstchen_png_flush(png_structp png) { (void)png; }

// Begins to read a file, whose `bytes`, `count` and other fields are set but for the pointers to
// libpng's structures. A text may take `text_limit` bytes once it is decompressed. Gives 1, or 0
// with libpng's words in the message; either way the file must be closed.
static inline int wuerstchen_png_open(wuerstchen_png_file *file, size_t text_limit) {
    snprintf(file->message, sizeof(file->message), "out of memory");
    file->allowance = SIZE_MAX;
    file->png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, file, wuerstchen_png_fail, wuerstchen_png_warn);
    file->info = file->png == NULL ? NULL : png_create_info_struct(file->png);
    if (file->info == NULL || setjmp(png_jmpbuf(file->png)) != 0) {
        return 0;
    }
    png_set_read_fn(file->png, file, wuerstchen_png_take);
    png_set_benign_errors(file->png, 1);
    png_set_crc_action(file->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // The caller knows how large an image may be.
    png_set_user_limits(file->png, 0x7FFFFFFF, 0x7FFFFFFF);
    // Room for a keyword beside the text.
    png_set_chunk_malloc_max(file->png, text_limit + 1024);
    png_set_chunk_cache_max(file->png, 0);
    png_read_info(file->png, file->info);
    return 1;
}

// Sets an opened file of any kind up for rows of red, green, blue and alpha, 8 bits each, in sRGB
// with straight alpha. Gives how often all rows are to be read, or 0 with libpng's words in the
// message.
static inline int wuerstchen_png_begin(wuerstchen_png_file *file) {
    png_structp png = file->png;
    png_infop info = file->info;
    if (setjmp(png_jmpbuf(png)) != 0) {
        return 0;
    }
    // What a row can take of the file: its own bytes, if they do not compress, and what deflate and
    // libpng's buffer add. The last one also takes what should be the end; there, data that goes on
    // and on would be decompressed to the last byte only to be thrown away.
    file->allowance = 2 * png_get_rowbytes(png, info) + (1 << 16);
    // Samples without a gAMA chunk are sRGB already.
    png_set_alpha_mode(png, PNG_ALPHA_PNG, PNG_DEFAULT_sRGB);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)4 * png_get_image_width(png, info)) {
        png_error(png, "the image has an unexpected size");
    }
    return passes;
}

// Reads the next rows. Where there are several passes, `samples` holds what the pass before left.
// Gives 1, or 0 with libpng's words in the message.
static inline int wuerstchen_png_rows(wuerstchen_png_file *file, uint8_t *samples, size_t rows) {
    png_structp png = file->png;
    size_t allowance = file->allowance;
    if (setjmp(png_jmpbuf(png)) != 0) {
        return 0;
    }
    size_t length = png_get_rowbytes(png, file->info);
    for (size_t row = 0; row < rows; row++) {
        file->allowance = allowance;
        png_read_row(png, samples + row * length, NULL);
    }
    file->allowance = allowance;
    if (file->overflows) {
        png_error(png, "its IDAT chunks hold more than the pixels of the image");
    }
    return 1;
}

// Gives back what reading a file took; its bytes are the caller's.
static inline void wuerstchen_png_close(wuerstchen_png_file *file) {
    png_destroy_read_struct(&file->png, &file->info, NULL);
}

// Writes rows of red, green and blue, 8 bits each, in sRGB, with some text before them. Gives 1, or
// 0 with libpng's words in the message; the file is empty at first, and its bytes are the caller's
// to free either way.
static inline int wuerstchen_png_encode(
    wuerstchen_png_file *file, uint32_t width, uint32_t height, const uint8_t *samples,
    png_textp text, int text_count) {
    snprintf(file->message, sizeof(file->message), "out of memory");
    file->png = png_create_write_struct(
        PNG_LIBPNG_VER_STRING, file, wuerstchen_png_fail, wuerstchen_png_warn);
    file->info = file->png == NULL ? NULL : png_create_info_struct(file->png);
    if (file->info == NULL || setjmp(png_jmpbuf(file->png)) != 0) {
        png_destroy_write_struct(&file->png, &file->info);
        return 0;
    }
    png_set_write_fn(file->png, file, wuerstchen_png_put, wuerstchen_png_flush);
    png_set_IHDR(
        file->png, file->info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    png_set_sRGB(file->png, file->info, PNG_sRGB_INTENT_PERCEPTUAL);
    png_set_text(file->png, file->info, text, text_count);
    png_write_info(file->png, file->info);
    for (uint32_t y = 0; y < height; y++) {
        png_write_row(file->png, samples + (size_t)3 * width * y);
    }
    png_write_end(file->png, file->info);
    png_destroy_write_struct(&file->png, &file->info);
    return 1;
}

#endif
