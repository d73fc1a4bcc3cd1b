/* The server's settings: any bytes as a file give settings in range or an error, never half a
 * change; any text as a value of any row gives a value in range with its unit and what ${...}
 * stands for put in, or an error that has none of it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "server/settings.h"

#define SECRET "5q7vZ"

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

static void read_file(const uint8_t *data, size_t n)
{
    static struct settings s, before;
    struct error err;
    struct camera_list cameras;
    struct problems problems;
    camera_list_init(&cameras);
    settings_init(&s);
    before = s;
    if (settings_read(&s, &cameras, data, n, "fuzz", &err) != ST_OK) {
        assert(memcmp(&s, &before, sizeof s) == 0 && cameras.count == 0);
        return;
    }
    check_ranges(settings_table(), &s);
    for (int i = 0; i < cameras.count; i++)
        check_ranges(camera_settings_table(), &cameras.cameras[i]);
    problems_init(&problems);
    s.file_count = 0; /* rules look at the files' modes */
    settings_rules(&s, &cameras, true, &problems);
    camera_list_clear(&cameras);
}

/* Every row, as a value without and with the variables. */
static void read_value(const char *text)
{
    static const char *const environment[] = {"S=" SECRET, "T=10s", "E=", NULL};
    static const struct setting_origin origin = {.from = SETTING_FROM_ENVIRONMENT};
    const struct substitutes from = {environment, false};
    static struct settings s;
    const struct setting_table *t = settings_table();
    settings_init(&s);
    for (int i = 0; i < t->count; i++) {
        char shown[SETTING_TEXT_BYTES];
        struct error err = {0};
        if (setting_table_put(t, &s, i, text, &from, &origin, &err) != ST_OK) {
            assert(err.message[0]);
            assert(strstr(text, SECRET) || !strstr(err.message, SECRET));
            continue;
        }
        setting_table_show(t, &s, i, shown);
        bool hidden = t->rows[i].kind == SETTING_TEXT && strstr(text, "${S");
        assert(!hidden || strstr(text, SECRET) || !strstr(shown, SECRET));
    }
    check_ranges(t, &s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[512];
    read_file(data, n);
    if (n >= sizeof text)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    read_value(text);
    return 0;
}
