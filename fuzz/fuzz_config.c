/* The server's YAML settings: any bytes give settings in range or an error, never half a change. */
#include <assert.h>
#include <string.h>

#include "server/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_ranges(const struct setting_table *t, const void *values)
{
    for (int i = 0; i < t->count; i++) {
        const struct setting *row = &t->rows[i];
        const void *at = (const char *)values + row->offset;
        if (row->kind == SETTING_INT)
            assert(*(const int *)at >= row->min && *(const int *)at <= row->max);
        if (row->kind == SETTING_REAL)
            assert(*(const double *)at >= row->min && *(const double *)at <= row->max);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct settings s, before;
    struct error err;
    struct camera_list cameras;
    camera_list_init(&cameras);
    settings_init(&s);
    before = s;
    if (settings_read(&s, &cameras, data, n, "fuzz", &err) != ST_OK) {
        assert(memcmp(&s, &before, sizeof s) == 0 && cameras.count == 0);
        return 0;
    }
    check_ranges(settings_table(), &s);
    for (int i = 0; i < cameras.count; i++)
        check_ranges(camera_settings_table(), &cameras.cameras[i]);
    camera_list_clear(&cameras);
    return 0;
}
