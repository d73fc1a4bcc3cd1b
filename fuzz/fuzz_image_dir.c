/* What lies in a folder of images: one file's bytes through the readers of pictures and labels that
 * a folder source and its labels use. */
#include <stdlib.h>

#include "video/frame.h"
#include "video/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Huge empty pictures are legal and slow. */
static int is_large_png(const uint8_t *data, size_t n)
{
    return n >= 24 && data[0] == 0x89 &&
           (data[16] || data[17] || data[18] > 2 || data[20] || data[21] || data[22] > 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (is_large_png(data, n))
        return 0;
    struct frame f;
    struct label_map l;
    frame_init(&f);
    label_map_init(&l);
    enum status st = image_read(data, n, &f, NULL);
    if ((st == ST_OK) != (f.pixels != NULL && f.width > 0))
        abort();
    st = image_labels_read(data, n, &l, NULL);
    if ((st == ST_OK) != (l.classes != NULL))
        abort();
    frame_clear(&f);
    label_map_clear(&l);
    return 0;
}
