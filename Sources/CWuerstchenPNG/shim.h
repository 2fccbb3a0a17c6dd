#ifndef CWUERSTCHENPNG_SHIM_H
#define CWUERSTCHENPNG_SHIM_H

#include <png.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    char message[128];
} wuerstchen_png_file;

static inline void wuerstchen_png_fail(png_structp png, png_const_charp message) {
    wuerstchen_png_file *file = (wuerstchen_png_file *)png_get_error_ptr(png);
    snprintf(file->message, sizeof(file->message), "%s", message);
    png_longjmp(png, 1);
}

static inline void wuerstchen_png_ignore(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static inline void wuerstchen_png_take(png_structp png, png_bytep target, size_t count) {
    wuerstchen_png_file *file = (wuerstchen_png_file *)png_get_io_ptr(png);
    if (count > file->count - file->position) {
        png_error(png, "it ends too early, before its IEND chunk");
    }
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
// libpng's structures. Gives 1, or 0 with libpng's words in the message; either way the file must
// be closed.
static inline int wuerstchen_png_open(wuerstchen_png_file *file, int keeps_text) {
    snprintf(file->message, sizeof(file->message), "out of memory");
    file->png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, file, wuerstchen_png_fail, wuerstchen_png_ignore);
    file->info = file->png == NULL ? NULL : png_create_info_struct(file->png);
    if (file->info == NULL || setjmp(png_jmpbuf(file->png)) != 0) {
        return 0;
    }
    png_set_read_fn(file->png, file, wuerstchen_png_take);
    png_set_benign_errors(file->png, 1);
    png_set_crc_action(file->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // The caller knows how large an image may be.
    png_set_user_limits(file->png, 0x7FFFFFFF, 0x7FFFFFFF);
    // A small file may hold much text that is compressed well: what one chunk and all of them may
    // take is limited, and what nobody asked for is passed over.
    png_set_chunk_malloc_max(file->png, 8000000);
    // Two of these are never used.
    png_set_chunk_cache_max(file->png, 66);
    if (!keeps_text) {
        png_set_keep_unknown_chunks(
            file->png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep) "tEXt\0zTXt\0iTXt", 3);
    }
    png_read_info(file->png, file->info);
    return 1;
}

// Decodes an opened file of any kind to rows of red, green, blue and alpha, 8 bits each, in sRGB
// with straight alpha, and reads it to its end. `count` is the number of bytes at `samples`, which
// must be that of the whole image. Gives 1, or 0 with libpng's words in the message.
static inline int wuerstchen_png_decode(
    wuerstchen_png_file *file, uint8_t *samples, size_t count) {
    png_structp png = file->png;
    png_infop info = file->info;
    if (setjmp(png_jmpbuf(png)) != 0) {
        return 0;
    }
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
    png_read_end(png, info);
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
        PNG_LIBPNG_VER_STRING, file, wuerstchen_png_fail, wuerstchen_png_ignore);
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
