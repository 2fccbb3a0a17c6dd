#define _GNU_SOURCE
#include "wuerstchen_blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*sgemm_function)(int order, int transpose_a, int transpose_b, int rows, int columns,
                               int depth, float alpha, const float *a, int lda, const float *b,
                               int ldb, float beta, float *c, int ldc);
typedef char *(*text_function)(void);
typedef void (*threads_function)(int);

enum { row_major = 101, as_is = 111, transposed = 112 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *failure = "OpenBLAS has not been opened";
static sgemm_function sgemm;
static text_function config, core_name;

// What the loader says of a library that is there: too little memory, say.
static char refusal[512];

static void *open_library(void) {
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
        const char *error = dlerror();
        if (error && !refusal[0] && !strstr(error, "No such file"))
            snprintf(refusal, sizeof refusal, "OpenBLAS cannot be loaded: %s", error);
    }
    return NULL;
}

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names; ++names)
        if (!strcmp(name, *names))
            return true;
    return false;
}

// The core type to ask for instead of the one that OpenBLAS chose, or NULL to leave it. A release
// older than the processor may take it for one with narrower vectors, at half the speed.
static const char *better_core(const char *chosen) {
#if defined(__x86_64__)
    static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids", "Zen4",
                                         "Zen5",     NULL};
    static const char *const avx2[] = {"Haswell", "Zen", "Excavator", NULL};
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return is_one_of(chosen, avx512) ? NULL : "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return is_one_of(chosen, avx512) || is_one_of(chosen, avx2) ? NULL : "Haswell";
#endif
    (void)chosen;
    (void)is_one_of;
    return NULL;
}

static void open_once(void) {
    // The library's constructor reads these variables, so they must be set before it is opened.
    // One thread: the rows are split by our own pool, and OpenBLAS's would spin against it.
    const bool threads_were_set = getenv("OPENBLAS_NUM_THREADS") != NULL;
    if (!threads_were_set)
        setenv("OPENBLAS_NUM_THREADS", "1", 1);
    void *library = open_library();
    if (library && !getenv("OPENBLAS_CORETYPE")) {
        text_function name = (text_function)dlsym(library, "openblas_get_corename");
        const char *better = name ? better_core(name()) : NULL;
        if (better) {
            dlclose(library);
            setenv("OPENBLAS_CORETYPE", better, 1);
            library = open_library();
            unsetenv("OPENBLAS_CORETYPE");
        }
    }
    if (!threads_were_set)
        unsetenv("OPENBLAS_NUM_THREADS");
    if (!library) {
        failure = refusal[0] ? refusal
                             : "OpenBLAS is not installed; install it with: "
                               "apt-get install libopenblas-dev";
        return;
    }
    sgemm = (sgemm_function)dlsym(library, "cblas_sgemm");
    config = (text_function)dlsym(library, "openblas_get_config");
    core_name = (text_function)dlsym(library, "openblas_get_corename");
    threads_function set_threads = (threads_function)dlsym(library, "openblas_set_num_threads");
    if (!sgemm || !config || !core_name || !set_threads) {
        failure = "the installed libopenblas lacks cblas_sgemm or openblas_get_config; "
                  "install the full library with: apt-get install libopenblas-dev";
        return;
    }
    set_threads(1);
    failure = NULL;
}

const char *wuerstchen_blas_open(void) {
    pthread_once(&once, open_once);
    return failure;
}

const char *wuerstchen_blas_config(void) { return config ? config() : ""; }

const char *wuerstchen_blas_core_name(void) { return core_name ? core_name() : ""; }

const char *wuerstchen_blas_better_core(void) {
    return core_name ? better_core(core_name()) : NULL;
}

void wuerstchen_sgemm(bool transpose_a, bool transpose_b, ptrdiff_t rows, ptrdiff_t columns,
                      ptrdiff_t depth, const float *a, ptrdiff_t lda, const float *b,
                      ptrdiff_t ldb, float beta, float *c, ptrdiff_t ldc) {
    sgemm(row_major, transpose_a ? transposed : as_is, transpose_b ? transposed : as_is, (int)rows,
          (int)columns, (int)depth, 1.0f, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}
