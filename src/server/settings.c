/* settings.c - the two tables, and the file that fills both. What can be said of a table of
 * settings as such is in setting_table.c: adding a setting is adding a row to a .def file. */
#include "server/settings.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "store/store.h"
#include "task/regions.h"
#include "uplink/gaimd.h"

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
static struct setting server_kept[COUNT_OF(server_rows)], camera_kept[COUNT_OF(camera_rows)];
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
    camera_table = without_headings(camera_rows, COUNT_OF(camera_rows), camera_kept);
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

/* ---- the file ---- */

static enum status read_camera(struct camera_list *l, const struct yaml_doc *d,
                               const yaml_node *key, const yaml_node *value, struct error *err)
{
    const char *id = yaml_text(key), *text = yaml_text(value);
    if (!id || !store_camera_id_valid(id))
        return yaml_fail(d, key, err, "a camera id is 1 to %d of a-z, 0-9, _ and -",
                         CAMERA_ID_CHARS_MAX);
    if (camera_list_find(l, id))
        return yaml_fail(d, key, err, "the camera '%s' is given twice", id);
    struct camera_settings *c = &l->cameras[l->count];
    camera_settings_init(c);
    snprintf(c->id, sizeof c->id, "%s", id);
    bool nothing = text && !*text; /* "gate:" */
    enum status st =
        nothing ? ST_OK : setting_table_read(camera_settings_table(), c, d, value, NULL, err);
    if (st != ST_OK)
        return st;
    if (c->fps > 0 && !c->source[0])
        return yaml_fail(d, key, err,
                         "'%s' has fps but no source; fps is the rate at which the server reads "
                         "one",
                         id);
    struct regions regions;
    struct error why;
    if (c->regions[0] && regions_parse(c->regions, &regions, &why) != ST_OK)
        return yaml_fail(d, key, err, "'%s': %s", id, why.message);
    l->count++;
    return ST_OK;
}

/* *l is empty before. */
static enum status read_cameras(struct camera_list *l, const struct yaml_doc *d,
                                const yaml_node *map, struct error *err)
{
    size_t count = yaml_count(map);
    if (!yaml_is_map(map))
        return yaml_fail(d, map, err, "cameras takes a map of camera ids to their settings");
    if (count > CAMERA_LIST_MAX)
        return yaml_fail(d, map, err, "there may be %d cameras, these are %zu", CAMERA_LIST_MAX,
                         count);
    l->cameras = calloc(count ? count : 1, sizeof *l->cameras);
    if (!l->cameras)
        return error_set(err, ST_NOMEM, "no memory for %zu cameras", count);
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = read_camera(l, d, yaml_key(d, map, i), yaml_value(d, map, i), err);
    return st;
}

enum status settings_read(struct settings *s, struct camera_list *cameras, const void *text,
                          size_t n, const char *source, struct error *err)
{
    struct yaml_doc *d;
    enum status st = yaml_open(text, n, source, &d, err);
    if (st != ST_OK)
        return st;
    struct settings copy = *s;
    struct camera_list list;
    camera_list_init(&list);
    static const char *const others[] = {"cameras", "configurations", NULL};
    const yaml_node *root = yaml_root(d), *map = root ? yaml_get(d, root, "cameras") : NULL;
    const yaml_node *trainings = root ? yaml_get(d, root, "configurations") : NULL;
    if (root)
        st = setting_table_read(settings_table(), &copy, d, root, others, err);
    if (st == ST_OK && map)
        st = read_cameras(&list, d, map, err);
    if (st == ST_OK && trainings)
        st = train_configurations_read(d, trainings, &copy.configurations, err);
    yaml_close(&d);
    if (st != ST_OK) {
        camera_list_clear(&list);
        return st;
    }
    *s = copy;
    camera_list_clear(cameras);
    *cameras = list;
    return ST_OK;
}

enum status settings_open(struct settings *s, struct camera_list *cameras, const char *path,
                          struct error *err)
{
    struct buf text;
    buf_init(&text);
    enum status st = file_read(path, SETTINGS_FILE_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = settings_read(s, cameras, text.data, text.size_bytes, path, err);
    buf_clear(&text);
    return st;
}

static enum status check_cameras(const struct settings *s, const struct camera_list *cameras,
                                 struct error *err)
{
    if (cameras->count > s->cameras_max)
        return error_set(err, ST_INVALID, "%d cameras are configured, cameras_max is %d; raise it",
                         cameras->count, s->cameras_max);
    return ST_OK;
}

enum status settings_check(const struct settings *s, const struct camera_list *cameras,
                           struct error *err)
{
    if (!s->student[0])
        return error_set(err, ST_INVALID, "no student is given; add --student FILE.onnx");
    if (!s->teacher[0])
        return error_set(err, ST_INVALID, "no teacher is given; add --teacher FILE.onnx");
    if (s->sampling_fps_min > s->sampling_fps_max)
        return error_set(err, ST_INVALID, "sampling_fps_min (%g) is above sampling_fps_max (%g)",
                         s->sampling_fps_min, s->sampling_fps_max);
    if (s->horizon_s < s->chunk_s)
        return error_set(err, ST_INVALID, "horizon_s (%g) is shorter than chunk_s (%g)",
                         s->horizon_s, s->chunk_s);
    if (s->upload_scale_min > s->upload_scale_max)
        return error_set(err, ST_INVALID, "upload_scale_min (%g) is above upload_scale_max (%g)",
                         s->upload_scale_min, s->upload_scale_max);
    if (!gaimd_law_parse(s->gaimd_law))
        return error_set(err, ST_INVALID, "gaimd_law is price or aimd, not '%s'", s->gaimd_law);
    if (strcmp(s->listen, "off") == 0 && strcmp(s->http, "off") == 0)
        return error_set(err, ST_INVALID, "listen and http are both off; nobody could connect");
    return check_cameras(s, cameras, err);
}

static void write_configurations(struct buf *out)
{
    struct train_configurations standard;
    train_configurations_init(&standard);
    buf_printf(out,
               "\n## Retraining configurations\n\n"
               "What plans choose from, beside the recipe of the preset (`recipe`); in the file "
               "only, a list that takes the place of the standard one:\n\n```yaml\n"
               "configurations:\n");
    for (int i = 0; i < standard.count; i++)
        buf_printf(out, "  - {name: %s, epochs: %d, layers: %d}\n", standard.items[i].name,
                   standard.items[i].epochs, standard.items[i].layers);
    buf_printf(
        out, "```\n\n`epochs` is passes over the labelled frames, `data` the part of them that is "
             "used (1), `layers` how many train, from the output back (0: all), `learning_rate` "
             "and `batch` the recipe's where they are 0, `head_width` the part of the last layer's "
             "inputs whose weights train (1). Configurations that differ in nothing but epochs are "
             "one training that goes on for longer. `recipe` cannot be a name.\n");
}

void settings_write_markdown(struct buf *out)
{
    buf_printf(
        out, "# Settings of `attune server`\n\n"
             "Made by `attune server --settings-markdown` from the tables that the parser "
             "uses; do not edit.\n\nIn a YAML file (`--config FILE`) as `name: value`, on "
             "the command line as `--name VALUE` with dashes for underscores; the command "
             "line wins. A reload of the file (SIGHUP, or `POST /v1/reload`) changes at once what "
             "is marked live; the rest needs a restart.\n");
    setting_table_write_markdown(settings_table(), out);
    buf_printf(
        out,
        "\n## Settings of a camera\n\n"
        "In the file only, a mapping for each camera id (`[a-z0-9_-]`, 1 to %d "
        "characters). A reload starts a camera's process on the server anew where a setting that "
        "is not live has changed, and no other camera's:\n\n```yaml\ncameras:\n"
        "  gate-1: {source: \"rtsp://10.0.0.7/main\", fps: 10} # only streams: the server "
        "infers\n"
        "  gate-2: {uplink_kbps: 100}                        # has a computer of its own\n"
        "```\n",
        CAMERA_ID_CHARS_MAX);
    setting_table_write_markdown(camera_settings_table(), out);
    write_configurations(out);
}

void settings_write_help(struct buf *out)
{
    setting_table_write_help(settings_table(), out);
}
