#define _GNU_SOURCE
#include "wuerstchen_photos.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void *open_library(const char *const *names) {
    for (; *names; ++names) {
        void *library = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    return NULL;
}

// libturbojpeg's interface of version 2, which version 3 has too.
enum {
    format_rgba = 7,
    format_cmyk = 11,
    colours_cmyk = 3,
    colours_ycck = 4,
    error_is_warning = 0,
    // No more than 500 scans: each goes over all of the image, and thousands fit into a small file.
    flag_limit_scans = 32768,
};
static void *(*jpeg_create)(void);
static int (*jpeg_header)(void *, const unsigned char *, unsigned long, int *, int *, int *, int *);
static int (*jpeg_pixels)(void *, const unsigned char *, unsigned long, unsigned char *, int, int,
                          int, int, int);
static char *(*jpeg_message)(void *);
static int (*jpeg_code)(void *);
static int (*jpeg_destroy)(void *);

static pthread_once_t jpeg_once = PTHREAD_ONCE_INIT;
static bool jpeg_is_there;

static void find_jpeg(void) {
    static const char *const names[] = {"libturbojpeg.so.0", "libturbojpeg.so",
                                        "libturbojpeg.dylib", NULL};
    void *library = open_library(names);
    if (!library)
        return;
    *(void **)&jpeg_create = dlsym(library, "tjInitDecompress");
    *(void **)&jpeg_header = dlsym(library, "tjDecompressHeader3");
    *(void **)&jpeg_pixels = dlsym(library, "tjDecompress2");
    *(void **)&jpeg_message = dlsym(library, "tjGetErrorStr2");
    *(void **)&jpeg_code = dlsym(library, "tjGetErrorCode");
    *(void **)&jpeg_destroy = dlsym(library, "tjDestroy");
    jpeg_is_there = jpeg_create && jpeg_header && jpeg_pixels && jpeg_message && jpeg_code &&
                    jpeg_destroy;
}

bool wuerstchen_jpeg_open(void) {
    pthread_once(&jpeg_once, find_jpeg);
    return jpeg_is_there;
}

static void keep_message(void *decoder, char *message) {
    const char *found = decoder ? jpeg_message(decoder) : "no memory for a decoder";
    snprintf(message, wuerstchen_photo_message_length, "%s", found);
}

// Extra bytes between the parts of a file are worth no more than a warning. Missing ones are, and
// what they leave is grey.
static bool is_harmless(void *decoder) {
    return jpeg_code(decoder) == error_is_warning &&
           strcasestr(jpeg_message(decoder), "extraneous") != NULL;
}

bool wuerstchen_jpeg_size(const uint8_t *bytes, size_t count, int *width, int *height,
                          char *message) {
    void *decoder = jpeg_create();
    int sampling, colours;
    bool found = decoder &&
                 (jpeg_header(decoder, bytes, count, width, height, &sampling, &colours) == 0 ||
                  is_harmless(decoder));
    if (!found)
        keep_message(decoder, message);
    if (decoder)
        jpeg_destroy(decoder);
    return found;
}

bool wuerstchen_jpeg_decode(const uint8_t *bytes, size_t count, uint8_t *rgba, int width,
                            int height, char *message) {
    void *decoder = jpeg_create();
    int sampling, colours, own_width, own_height;
    bool found = decoder &&
                 (jpeg_header(decoder, bytes, count, &own_width, &own_height, &sampling,
                              &colours) == 0 ||
                  is_harmless(decoder)) &&
                 own_width == width && own_height == height;
    bool is_cmyk = found && (colours == colours_cmyk || colours == colours_ycck);
    found = found && (jpeg_pixels(decoder, bytes, count, rgba, width, 4 * width, height,
                                  is_cmyk ? format_cmyk : format_rgba, flag_limit_scans) == 0 ||
                      is_harmless(decoder));
    if (!found)
        keep_message(decoder, message);
    if (decoder)
        jpeg_destroy(decoder);
    if (found && is_cmyk) {
        // Inverted, as Photoshop began to write them and everybody since: each of the three
        // colours that is left in front of what is left of black.
        for (size_t pixel = 0; pixel < (size_t)width * height; ++pixel) {
            uint8_t *samples = rgba + 4 * pixel;
            for (int colour = 0; colour < 3; ++colour)
                samples[colour] = (samples[colour] * samples[3] + 127) / 255;
            samples[3] = 255;
        }
    }
    return found;
}

static int (*webp_size)(const uint8_t *, size_t, int *, int *);
static uint8_t *(*webp_pixels)(const uint8_t *, size_t, uint8_t *, size_t, int);

static pthread_once_t webp_once = PTHREAD_ONCE_INIT;
static bool webp_is_there;

static void find_webp(void) {
    static const char *const names[] = {"libwebp.so.7", "libwebp.so.8", "libwebp.so",
                                        "libwebp.dylib", NULL};
    void *library = open_library(names);
    if (!library)
        return;
    *(void **)&webp_size = dlsym(library, "WebPGetInfo");
    *(void **)&webp_pixels = dlsym(library, "WebPDecodeRGBAInto");
    webp_is_there = webp_size && webp_pixels;
}

bool wuerstchen_webp_open(void) {
    pthread_once(&webp_once, find_webp);
    return webp_is_there;
}

bool wuerstchen_webp_size(const uint8_t *bytes, size_t count, int *width, int *height) {
    return webp_size(bytes, count, width, height) != 0;
}

bool wuerstchen_webp_decode(const uint8_t *bytes, size_t count, uint8_t *rgba, int width,
                            int height) {
    return webp_pixels(bytes, count, rgba, (size_t)4 * width * height, 4 * width) != NULL;
}
