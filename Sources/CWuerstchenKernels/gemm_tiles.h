// Products by AMX: part of gemm_template.h where WG_TILES is defined, on its rows and panels.
//
// A tile register holds 16 rows of 16 words. One instruction adds the product of a tile of rows and
// a tile of a panel, 16 words deep, to a tile of sums. Four tiles of sums, 32 × 32, share two tiles
// of each factor: as many loads as multiplications, which take twice as long.

enum {
    tile = 16,           // rows, columns and words of a tile
    turned_rows = 96,    // rows that are turned around at a time
    turned_words = 256,  // and how deep
    deep_words = 512,    // depth after which floats go to memory and back
};

// What ldtilecfg reads.
typedef struct tile_shapes {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

// Sums 0 and 1 and rows 4 belong to the first sixteen rows, sums 2 and 3 and rows 5 to the second.
INLINE void configure(ptrdiff_t first, ptrdiff_t second) {
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; ++i) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = tile;
    }
    shapes.rows[0] = shapes.rows[1] = shapes.rows[4] = (uint8_t)first;
    shapes.rows[2] = shapes.rows[3] = shapes.rows[5] = (uint8_t)second;
    _tile_loadconfig(&shapes);
}

#if WG_FEATURES == 2
#define TILE_DOT(sum, row, column) _tile_dpbf16ps(sum, row, column)
#else
#define TILE_DOT(sum, row, column) _tile_dpbusd(sum, row, column)
#endif

// Sixteen columns of a panel.
typedef struct tile_columns {
    const uint32_t *words;
    ptrdiff_t ld; // words between the panel's rows
    ptrdiff_t column;
    __mmask16 mask; // the columns that exist
} tile_columns;

// The last words of rows, or rows of words of a panel, filled up to a tile with zeros.
typedef uint32_t tile_words[tile][tile] __attribute__((aligned(64)));

INLINE void fill(tile_words words, const uint32_t *x, ptrdiff_t ld, ptrdiff_t rows,
                 ptrdiff_t length) {
    for (ptrdiff_t r = 0; r < tile; ++r)
        _mm512_store_si512(
            words[r], r < rows ? _mm512_maskz_loadu_epi32(lanes(length), x + r * ld)
                               : _mm512_setzero_si512());
}

// What belongs to all tiles of a product.
typedef struct tile_product {
    float *c;
    ptrdiff_t ldc;
    const uint32_t *rows;
    ptrdiff_t ld;
    ptrdiff_t words; // depth
    const float *row_scale, *row_offset;
    const float *column_scale, *column_sums;
    bool adding;
} tile_product;

// Sums of a tile that do not go straight to the result and back: integers, or some of the columns.
INLINE void finish(const tile_product *p, const tile_words sums, ptrdiff_t row, ptrdiff_t rows,
                   ptrdiff_t place, const tile_columns *b) {
#if WG_FEATURES == 4
    const __m512 scale = _mm512_maskz_loadu_ps(b->mask, p->column_scale + b->column);
    const __m512 column_sums = _mm512_maskz_loadu_ps(b->mask, p->column_sums + b->column);
#endif
    for (ptrdiff_t r = 0; r < rows; ++r) {
        float *out = p->c + (row + r) * p->ldc + place;
        __m512 y = _mm512_load_ps(sums[r]);
#if WG_FEATURES == 4
        y = _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)y), scale);
        y = _mm512_mul_ps(y, _mm512_set1_ps(p->row_scale[row + r]));
        y = _mm512_fmadd_ps(_mm512_set1_ps(p->row_offset[row + r]), column_sums, y);
        if (p->adding)
            y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(b->mask, out));
#endif
        _mm512_mask_storeu_ps(out, b->mask, y);
    }
}

// `m` times 16 rows, the last sixteen of them perhaps fewer, and `n` times 16 columns; both are 1
// or 2 and constant at each call. `tails` holds the panel's last words, which are no whole tile.
INLINE void tiles(int m, int n, const tile_product *p, ptrdiff_t row, ptrdiff_t count,
                  ptrdiff_t first, const tile_columns *b, tile_words *tails) {
    const ptrdiff_t ld = 4 * p->ld, ldb0 = 4 * b[0].ld, ldb1 = n > 1 ? 4 * b[1].ld : 0;
    const uint32_t *a0 = p->rows + row * p->ld, *a1 = a0 + tile * p->ld;
    const uint32_t *b0 = b[0].words, *b1 = n > 1 ? b[1].words : NULL;
    tile_words sums[4];
    const bool whole = WG_FEATURES < 4 && b[0].mask == 0xffff && b[n - 1].mask == 0xffff;
    float *c = p->c + row * p->ldc, *c0 = c + b[0].column - first, *c1 = c + b[n - 1].column - first;
    const ptrdiff_t ldc = 4 * p->ldc;
    if (WG_FEATURES < 4 && p->adding) {
        if (!whole)
            for (int i = 0; i < 2 * m; ++i)
                if (i % 2 < n)
                    for (ptrdiff_t r = 0; r < tile && i / 2 * tile + r < count; ++r)
                        _mm512_store_ps(sums[i][r],
                                        _mm512_maskz_loadu_ps(
                                            b[i % 2].mask,
                                            (i % 2 ? c1 : c0) + (i / 2 * tile + r) * p->ldc));
        _tile_loadd(0, whole ? (void *)c0 : sums[0], whole ? ldc : 64);
        if (n > 1)
            _tile_loadd(1, whole ? (void *)c1 : sums[1], whole ? ldc : 64);
        if (m > 1)
            _tile_loadd(2, whole ? (void *)(c0 + tile * p->ldc) : sums[2], whole ? ldc : 64);
        if (m > 1 && n > 1)
            _tile_loadd(3, whole ? (void *)(c1 + tile * p->ldc) : sums[3], whole ? ldc : 64);
    } else {
        _tile_zero(0);
        if (n > 1)
            _tile_zero(1);
        if (m > 1)
            _tile_zero(2);
        if (m > 1 && n > 1)
            _tile_zero(3);
    }
#define STEP(A0, LDA, A1, B0, LDB0, B1, LDB1)                                                      \
    do {                                                                                           \
        _tile_loadd(6, B0, LDB0);                                                                  \
        _tile_loadd(4, A0, LDA);                                                                   \
        TILE_DOT(0, 4, 6);                                                                         \
        if (n > 1) {                                                                               \
            _tile_loadd(7, B1, LDB1);                                                              \
            TILE_DOT(1, 4, 7);                                                                     \
        }                                                                                          \
        if (m > 1) {                                                                               \
            _tile_loadd(5, A1, LDA);                                                               \
            TILE_DOT(2, 5, 6);                                                                     \
        }                                                                                          \
        if (m > 1 && n > 1)                                                                        \
            TILE_DOT(3, 5, 7);                                                                     \
    } while (0)
    ptrdiff_t k = 0;
    for (; k + tile <= p->words; k += tile) {
        STEP(a0, ld, a1, b0, ldb0, b1, ldb1);
        a0 += tile, a1 += tile, b0 += 4 * ldb0, b1 += 4 * ldb1;
    }
    if (k < p->words) {
        tile_words last[2];
        fill(last[0], a0, p->ld, count, p->words - k);
        if (m > 1)
            fill(last[1], a1, p->ld, count - tile, p->words - k);
        STEP(last[0], 64, last[1], tails[0], 64, tails[1], 64);
    }
#undef STEP
    _tile_stored(0, whole ? (void *)c0 : sums[0], whole ? ldc : 64);
    if (n > 1)
        _tile_stored(1, whole ? (void *)c1 : sums[1], whole ? ldc : 64);
    if (m > 1)
        _tile_stored(2, whole ? (void *)(c0 + tile * p->ldc) : sums[2], whole ? ldc : 64);
    if (m > 1 && n > 1)
        _tile_stored(3, whole ? (void *)(c1 + tile * p->ldc) : sums[3], whole ? ldc : 64);
    if (whole)
        return;
    for (int i = 0; i < 2 * m; ++i)
        if (i % 2 < n) {
            const ptrdiff_t rest = count - i / 2 * tile;
            finish(p, sums[i], row + i / 2 * tile, rest < tile ? rest : tile,
                   b[i % 2].column - first, b + i % 2);
        }
}

// All rows times `n` times 16 columns.
INLINE void tiles_of(int n, const tile_product *p, ptrdiff_t rows, ptrdiff_t first,
                     const tile_columns *b) {
    tile_words tails[2];
    const ptrdiff_t whole = p->words / tile * tile;
    if (whole < p->words)
        for (int j = 0; j < n; ++j)
            fill(tails[j], b[j].words + whole * b[j].ld, b[j].ld, p->words - whole, tile);
    ptrdiff_t row = 0;
    for (; row + 2 * tile <= rows; row += 2 * tile)
        tiles(2, n, p, row, 2 * tile, first, b, tails);
    const ptrdiff_t rest = rows - row;
    if (rest == 0)
        return;
    configure(rest < tile ? rest : tile, rest > tile ? rest - tile : tile);
    if (rest > tile)
        tiles(2, n, p, row, rest, first, b, tails);
    else
        tiles(1, n, p, row, rest, first, b, tails);
    configure(tile, tile);
}

// A square of words, turned around.
INLINE void turn(uint32_t *y, ptrdiff_t ldy, const uint32_t *x, ptrdiff_t ldx, ptrdiff_t rows,
                 ptrdiff_t columns) {
    __m512i v[tile];
    for (int i = 0; i < tile; ++i)
        v[i] = i < rows ? _mm512_maskz_loadu_epi32(lanes(columns), x + i * ldx)
                        : _mm512_setzero_si512();
    const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma clang loop unroll(full)
    for (int s = 1; s < tile; s *= 2) {
        // Lanes with bit s come from the other row's lanes without it, and the other way round.
        const __m512i bit = _mm512_set1_epi32(s);
        const __mmask16 has_bit = _mm512_test_epi32_mask(places, bit);
        const __m512i low = _mm512_mask_add_epi32(places, has_bit, places, _mm512_set1_epi32(16 - s));
        const __m512i high = _mm512_mask_add_epi32(_mm512_add_epi32(places, bit), has_bit, places,
                                                   _mm512_set1_epi32(16));
#pragma clang loop unroll(full)
        for (int i = 0; i < tile; ++i)
            if (!(i & s)) {
                const __m512i a = v[i], b = v[i + s];
                v[i] = _mm512_permutex2var_epi32(a, low, b);
                v[i + s] = _mm512_permutex2var_epi32(a, high, b);
            }
    }
    for (int i = 0; i < tile; ++i)
        _mm512_storeu_si512(y + i * ldy, v[i]);
}

// Some rows times some columns, from word `word` on.
static void multiply_tiles(tile_product *p, ptrdiff_t rows, const wk_panels *b, ptrdiff_t word,
                           ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns) {
    const ptrdiff_t vectors = (columns + 15) / 16;
    const ptrdiff_t words = (b->depth + WG_FEATURES - 1) / WG_FEATURES;
    tile_columns pair[2];
    int n = 0;
    for (ptrdiff_t v = first / 16; 16 * v < end;) {
        const ptrdiff_t width = panel_width(v, vectors);
        for (ptrdiff_t part = 0; part < width; ++part) {
            pair[n++] = (tile_columns){
                .words = b->words + 16 * (v * words + word * width + part),
                .ld = 16 * width,
                .column = 16 * (v + part),
                .mask = lanes(columns - 16 * (v + part)),
            };
            if (n == 2) {
                tiles_of(2, p, rows, first, pair);
                n = 0;
            }
        }
        v += width;
    }
    if (n == 1)
        tiles_of(1, p, rows, first, pair);
}

static void multiply(float *c, ptrdiff_t ldc, const wk_rows *a, ptrdiff_t rows, const wk_panels *b,
                     ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns, bool adding) {
    const ptrdiff_t words = (b->depth + WG_FEATURES - 1) / WG_FEATURES;
    const uint32_t *source = a->words;
    tile_product p = {
        .c = c,
        .ldc = ldc,
        .rows = source,
        .ld = a->ld,
        .words = words,
        .row_scale = a->scale,
        .row_offset = a->offset,
        .column_scale = b->scale,
        .column_sums = b->sums,
        .adding = adding,
    };
    configure(tile, tile);
    // What a block of the depth reads of both factors stays in the second-level cache. Rows whose
    // words lie apart are brought together, so many at a time as there is room for.
    const bool turns = a->step != 1;
    uint32_t turned[turned_rows * turned_words];
    const ptrdiff_t block = turns ? turned_words : WG_FEATURES == 4 ? words : deep_words;
    const ptrdiff_t strip = turns ? turned_rows : rows;
    for (ptrdiff_t word = 0; word < words || word == 0; word += block) {
        p.words = words - word < block ? words - word : block;
        p.adding = adding || word > 0;
        for (ptrdiff_t row = 0; row < rows; row += strip) {
            const ptrdiff_t some = rows - row < strip ? rows - row : strip;
            const uint32_t *corner = source + row * a->ld + word * a->step;
            if (turns) {
                for (ptrdiff_t k = 0; k < p.words; k += tile)
                    for (ptrdiff_t r = 0; r < some; r += tile)
                        turn(turned + r * turned_words + k, turned_words,
                             corner + k * a->step + r, a->step, p.words - k, some - r);
                p.rows = turned;
                p.ld = turned_words;
            } else
                p.rows = corner;
            p.c = c + row * ldc;
            multiply_tiles(&p, some, b, word, first, end, columns);
        }
        if (block == 0)
            break;
    }
    _tile_release();
}
