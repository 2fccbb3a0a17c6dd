// JPEG and WebP images from the system's libturbojpeg and libwebp, opened at run time by whoever
// meets such an image: nobody needs them to build or to read PNG files.
#ifndef WUERSTCHEN_PHOTOS_H
#define WUERSTCHEN_PHOTOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { wuerstchen_photo_message_length = 200 };

// Each format's library is opened once per process, whichever thread comes first. True where it is
// there.
bool wuerstchen_jpeg_open(void);
bool wuerstchen_webp_open(void);

// The size of an image in pixels, from its header. Returns false, and for JPEG a message, where the
// bytes hold no whole header. Call only after the library was opened.
bool wuerstchen_jpeg_size(const uint8_t *_Nonnull bytes, size_t count, int *_Nonnull width,
                          int *_Nonnull height, char *_Nonnull message);
bool wuerstchen_webp_size(const uint8_t *_Nonnull bytes, size_t count, int *_Nonnull width,
                          int *_Nonnull height);

// Decodes into width × height × 4 bytes of red, green, blue and opacity. Returns false, and for
// JPEG a message, where the image is damaged or ends early.
bool wuerstchen_jpeg_decode(const uint8_t *_Nonnull bytes, size_t count, uint8_t *_Nonnull rgba,
                            int width, int height, char *_Nonnull message);
bool wuerstchen_webp_decode(const uint8_t *_Nonnull bytes, size_t count, uint8_t *_Nonnull rgba,
                            int width, int height);

#ifdef __cplusplus
}
#endif
#endif
