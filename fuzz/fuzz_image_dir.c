/* What lies in a folder of images: one file's bytes through the readers of pictures and labels that
 * a folder source and its labels use. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "video/frame.h"
#include "video/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Huge empty pictures are legal and slow. */
static int is_large_png(const uint8_t *data, size_t n)
{
    return n >= 24 && data[0] == 0x89 &&
           (data[16] || data[17] || data[18] > 2 || data[20] || data[21] || data[22] > 2);
}

/* A PNG's chunks with their checksums set right, so that what they say is looked at. */
static void correct_png(uint8_t *data, size_t n)
{
    size_t at = 8;
    while (n >= 12 && at <= n - 12) {
        uint32_t size = (uint32_t)data[at] << 24 | (uint32_t)data[at + 1] << 16 |
                        (uint32_t)data[at + 2] << 8 | data[at + 3];
        if (size > n - 12 - at)
            return;
        uint32_t crc = file_crc32(data + at + 4, size + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + size + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + (size_t)size;
    }
}

static void read_both(const uint8_t *data, size_t n)
{
    if (is_large_png(data, n))
        return;
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
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    read_both(data, n);
    if (n < 8 || data[0] != 0x89)
        return 0;
    uint8_t *copy = malloc(n);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    correct_png(copy, n);
    read_both(copy, n);
    free(copy);
    return 0;
}
