/* settings.c - the two tables and their values; settings_load.c fills them. What can be said of a
 * table of settings as such is in setting_table.c: adding a setting is adding a row to a .def file.
 */
#include "server/settings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The forms of the .def files as rows. */
#define TEXT_OF(x) #x
#define LIVE true
#define RESTART false
#define ROW(is, row_name, when, row_unit, row_standard, row_help, ...)                             \
    {.kind = (is),                                                                                 \
     .name = #row_name,                                                                            \
     .live = (when),                                                                               \
     .unit = (row_unit),                                                                           \
     .standard = (row_standard),                                                                   \
     .help = (row_help),                                                                           \
     .offset = offsetof(struct VALUES, row_name),                                                  \
     __VA_ARGS__},
#define SECTION(title) {.kind = SETTING_SECTION, .name = (title)},
#define TEXT(name, when, standard, help) ROW(SETTING_TEXT, name, when, "", standard, help, .min = 0)
#define CHOICE(name, when, standard, words, help)                                                  \
    ROW(SETTING_CHOICE, name, when, "", standard, help, .choices = (words))
#define INT(name, when, unit, standard, least, most, help)                                         \
    ROW(SETTING_INT, name, when, unit, TEXT_OF(standard), help, .min = (least), .max = (most))
#define REAL(name, when, unit, standard, least, most, help)                                        \
    ROW(SETTING_REAL, name, when, unit, TEXT_OF(standard), help, .min = (least), .max = (most))
#define BOOL(name, when, standard, help)                                                           \
    ROW(SETTING_BOOL, name, when, "", #standard, help, .max = 1)
#define VALUES settings
static const struct setting server_rows[] = {
#include "server/settings.def"
};
#undef VALUES
#define VALUES camera_settings
static const struct setting camera_rows[] = {
#include "server/camera_settings.def"
};
#undef VALUES
#undef ROW
#undef SECTION
#undef TEXT
#undef CHOICE
#undef INT
#undef REAL
#undef BOOL
#undef LIVE
#undef RESTART

#define COUNT_OF(rows) ((int)(sizeof(rows) / sizeof(rows)[0]))

/* The rows without the headings, each of which the rows below it name. */
static struct setting server_kept[SETTINGS_ROWS], camera_kept[CAMERA_ROWS];
static struct setting_table server_table, camera_table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct setting_table without_headings(const struct setting *rows, int count,
                                             struct setting *kept)
{
    struct setting_table t = {.rows = kept};
    const char *section = "";
    for (int i = 0; i < count; i++) {
        if (rows[i].kind == SETTING_SECTION) {
            section = rows[i].name;
            continue;
        }
        kept[t.count] = rows[i];
        kept[t.count++].section = section;
    }
    return t;
}

static void make_tables(void)
{
    server_table = without_headings(server_rows, COUNT_OF(server_rows), server_kept);
    server_table.origins_offset = offsetof(struct settings, origins);
    camera_table = without_headings(camera_rows, COUNT_OF(camera_rows), camera_kept);
    camera_table.origins_offset = offsetof(struct camera_settings, origins);
}

const struct setting_table *settings_table(void)
{
    pthread_once(&once, make_tables);
    return &server_table;
}

const struct setting_table *camera_settings_table(void)
{
    pthread_once(&once, make_tables);
    return &camera_table;
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof *s);
    setting_table_init(settings_table(), s);
    train_configurations_init(&s->configurations);
}

void camera_settings_init(struct camera_settings *c)
{
    memset(c, 0, sizeof *c);
    setting_table_init(camera_settings_table(), c);
}

void camera_list_init(struct camera_list *l)
{
    *l = (struct camera_list){0};
}

void camera_list_clear(struct camera_list *l)
{
    free(l->cameras);
    camera_list_init(l);
}

const struct camera_settings *camera_list_find(const struct camera_list *l, const char *id)
{
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->cameras[i].id, id) == 0)
            return &l->cameras[i];
    return NULL;
}

enum status settings_set(struct settings *s, const char *name, const char *value, struct error *err)
{
    return setting_table_set(settings_table(), s, name, value, err);
}

void settings_origin(const struct settings *s, const struct setting_origin *origin,
                     char ret[SETTINGS_ORIGIN_BYTES])
{
    if (origin->from == SETTING_FROM_FILE && origin->file < s->file_count)
        snprintf(ret, SETTINGS_ORIGIN_BYTES, "%s:%u", s->files[origin->file], origin->line);
    else
        snprintf(ret, SETTINGS_ORIGIN_BYTES, "%s", setting_from_name(origin->from));
}

#define LIVE(name) ret->name = s->name;
#define RESTART(name)
#define SECTION(title)
#define TEXT(name, ...)
#define CHOICE(name, ...)
#define INT(name, when, ...) when(name)
#define REAL(name, when, ...) when(name)
#define BOOL(name, when, ...) when(name)
void settings_live(const struct settings *s, struct settings_live *ret)
{
#include "server/settings.def"
}
