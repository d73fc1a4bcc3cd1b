/* Label files: any bytes give valid labels, which survive a second round, or an error. */
#include <assert.h>
#include <string.h>

#include "base/file.h"
#include "label/label_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const void *data, size_t n)
{
    struct label_set l, again;
    struct buf out;
    if (label_set_read(data, n, &l, NULL) != ST_OK)
        return;
    size_t bytes = (size_t)l.count * (size_t)l.width * (size_t)l.height;
    buf_init(&out);
    assert(label_set_write(&l, &out, NULL) == ST_OK);
    assert(label_set_read(out.data, out.size_bytes, &again, NULL) == ST_OK);
    assert(memcmp(l.classes, again.classes, bytes) == 0);
    buf_clear(&out);
    label_set_clear(&l);
    label_set_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t copy[4096];
    check(data, n);
    /* Behind the checksum too: patch it to fit. */
    if (n < 24 || n > sizeof copy)
        return 0;
    memcpy(copy, data, n);
    uint32_t crc = file_crc32(copy + 24, n - 24);
    for (int i = 0; i < 4; i++)
        copy[20 + i] = (uint8_t)(crc >> 8 * i);
    check(copy, n);
    return 0;
}
