// Rows of a product in the words of its format. Part of the templates, which have convert_row.

static void convert(void *words, ptrdiff_t ld, float *scale, float *offset, const float *x,
                    ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t depth, const float *factors) {
    for (ptrdiff_t r = 0; r < rows; ++r)
        convert_row((uint32_t *)words + r * ld, scale ? scale + r : NULL,
                    offset ? offset + r : NULL, x + r * ldx, false, depth, factors);
}

static void convert_bfloat16(void *words, ptrdiff_t ld, float *scale, float *offset,
                             const void *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t depth,
                             const float *factors) {
    for (ptrdiff_t r = 0; r < rows; ++r)
        convert_row((uint32_t *)words + r * ld, scale ? scale + r : NULL,
                    offset ? offset + r : NULL, (const uint32_t *)x + r * ldx, true, depth,
                    factors);
}
