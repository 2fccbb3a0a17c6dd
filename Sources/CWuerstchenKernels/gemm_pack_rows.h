// Panels from rows that have the numbers of the format already, such as those of a file. Part of
// the templates for 16 and 8 bits, which have panel_width: vectors of the panel that begins at
// vector `v` of `count`.

static void pack_rows(uint32_t *words, const float *scale, float *sums, const void *x,
                      ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns, ptrdiff_t depth) {
    const ptrdiff_t vectors = (columns + 15) / 16, count = (depth + WG_FEATURES - 1) / WG_FEATURES;
    const ptrdiff_t length = depth * (4 / WG_FEATURES); // bytes of a row
    for (ptrdiff_t v = first / 16; 16 * v < end;) {
        const ptrdiff_t width = panel_width(v, vectors);
        for (ptrdiff_t part = 0; part < width; ++part) {
            const ptrdiff_t column = 16 * (v + part);
            const ptrdiff_t present = columns - column < 16 ? columns - column : 16;
            const char *rows = (const char *)x + (column - first) * length;
            uint32_t *out = words + 16 * (v * count + part);
            int32_t totals[16] = {0};
            // A square of words at a time is turned around.
            for (ptrdiff_t k = 0; k < count; k += 16) {
                uint32_t square[16][16] = {0};
                const ptrdiff_t rest = length - 4 * k;
                for (ptrdiff_t j = 0; j < present; ++j)
                    memcpy(square[j], rows + j * length + 4 * k, rest < 64 ? (size_t)rest : 64);
                const ptrdiff_t deep = count - k < 16 ? count - k : 16;
                for (ptrdiff_t i = 0; i < deep; ++i)
                    for (ptrdiff_t j = 0; j < 16; ++j)
                        out[(k + i) * 16 * width + j] = square[j][i];
                if (WG_FEATURES == 4)
                    for (ptrdiff_t j = 0; j < present; ++j)
                        for (ptrdiff_t i = 0; i < 64; ++i)
                            totals[j] += ((const int8_t *)square[j])[i];
            }
            if (WG_FEATURES == 4)
                for (ptrdiff_t j = 0; j < present; ++j)
                    sums[column + j] = scale[column + j] * (float)totals[j];
        }
        v += width;
    }
}
