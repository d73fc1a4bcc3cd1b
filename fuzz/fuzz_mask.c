/* Masks as users write them: a mask whose corners are within the picture, or an error; and the
 * pixels that it paints are the picture's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "video/mask.h"

#define SIDE 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mask m;
    struct error err;
    uint8_t pixels[SIDE * SIDE * 3];
    struct frame f = {.width = SIDE, .height = SIDE, .pixels = pixels};
    char *text = malloc(n + 1);
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    mask_init(&m);
    if (mask_parse(text, &m, &err) == ST_OK) {
        for (int i = 0; m.polygons && i < m.ends[m.polygons - 1]; i++)
            assert(m.corners[i].x >= 0 && m.corners[i].x <= 1 && m.corners[i].y >= 0 &&
                   m.corners[i].y <= 1);
        memset(pixels, 0, sizeof pixels);
        assert(mask_paint(&m, &f, &err) == ST_OK);
        for (size_t i = 0; i < sizeof pixels; i++)
            assert(pixels[i] == 0 || (m.polygons && pixels[i] == MASK_GREY));
    }
    mask_clear(&m);
    free(text);
    return 0;
}
