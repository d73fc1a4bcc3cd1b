/* The server's YAML settings: any bytes give settings in range or an error, never half a change. */
#include <assert.h>
#include <string.h>

#include "server/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct settings s, before;
    struct error err;
    int count;
    const struct setting *table = settings_table(&count);
    settings_init(&s);
    before = s;
    if (settings_read(&s, data, n, "fuzz", &err) != ST_OK) {
        assert(memcmp(&s, &before, sizeof s) == 0);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        const void *at = (const char *)&s + table[i].offset;
        if (table[i].kind == SETTING_INT)
            assert(*(const int *)at >= table[i].min && *(const int *)at <= table[i].max);
        if (table[i].kind == SETTING_REAL)
            assert(*(const double *)at >= table[i].min && *(const double *)at <= table[i].max);
    }
    return 0;
}
