/* fleet_scenario.c - one table of keys; a walk over the YAML tree. */
#include "eval/fleet_scenario.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

struct number {
    const char *key;
    size_t offset;
    double min, max;
};

static const struct number numbers[] = {
    {"seconds", offsetof(struct fleet_scenario, seconds), 10, 86400},
    {"fps", offsetof(struct fleet_scenario, fps), 0.1, 60},
    {"window_s", offsetof(struct fleet_scenario, window_s), 5, 86400},
    {"capacity", offsetof(struct fleet_scenario, capacity), 0.01, 10000},
    {"infer_part", offsetof(struct fleet_scenario, infer_part), 0.001, 100},
    {"infer_s", offsetof(struct fleet_scenario, infer_s), 0, 100},
    {"uplink_kbps", offsetof(struct fleet_scenario, uplink_kbps), 0, 1e6},
    {"chunk_s", offsetof(struct fleet_scenario, chunk_s), 1, 600},
    {"label_fps", offsetof(struct fleet_scenario, label_fps), 0.001, 60},
    {"label_part", offsetof(struct fleet_scenario, label_part), 0.001, 1},
    {"accuracy_min", offsetof(struct fleet_scenario, accuracy_min), 0, 1},
};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static const struct text {
    const char *key;
    size_t offset, size;
} texts[] = {
    {"fleet", offsetof(struct fleet_scenario, name), sizeof((struct fleet_scenario *)0)->name},
    {"student", offsetof(struct fleet_scenario, student), FLEET_TEXT_BYTES},
    {"teacher", offsetof(struct fleet_scenario, teacher), FLEET_TEXT_BYTES},
    {"recipe", offsetof(struct fleet_scenario, recipe), FLEET_TEXT_BYTES},
};
#define TEXTS (sizeof texts / sizeof texts[0])

static double *number_at(struct fleet_scenario *s, size_t offset)
{
    void *at = (char *)s + offset;
    return at;
}

static enum status copy_text(const struct yaml_doc *d, const yaml_node *n, const char *key,
                             char *to, size_t size, struct error *err)
{
    const char *text = yaml_text(n);
    if (!text || strlen(text) >= size)
        return yaml_fail(d, n, err, "%s is a text of at most %zu characters", key, size - 1);
    snprintf(to, size, "%s", text);
    return ST_OK;
}

static enum status read_place_of_inference(const struct yaml_doc *d, const yaml_node *root,
                                           struct fleet_scenario *s, struct error *err)
{
    const yaml_node *n = yaml_get(d, root, "infers");
    const char *where = n ? yaml_text(n) : "server";
    if (!where || (strcmp(where, "camera") != 0 && strcmp(where, "server") != 0))
        return yaml_fail(d, n, err, "infers is camera or server");
    s->at_cameras = strcmp(where, "camera") == 0;
    return ST_OK;
}

static enum status read_values(const struct yaml_doc *d, const yaml_node *root,
                               struct fleet_scenario *s, struct error *err)
{
    enum status st = ST_OK;
    const yaml_node *n;
    for (size_t i = 0; i < NUMBERS && st == ST_OK; i++)
        if ((n = yaml_get(d, root, numbers[i].key)))
            st = yaml_number(d, n, numbers[i].min, numbers[i].max, number_at(s, numbers[i].offset),
                             err);
    for (size_t i = 0; i < TEXTS && st == ST_OK; i++)
        if ((n = yaml_get(d, root, texts[i].key)))
            st = copy_text(d, n, texts[i].key, (char *)s + texts[i].offset, texts[i].size, err);
    double frames = s->frames_min;
    if (st == ST_OK && (n = yaml_get(d, root, "frames_min")))
        st = yaml_number(d, n, 2, 10000, &frames, err);
    s->frames_min = (int)frames;
    return st == ST_OK ? read_place_of_inference(d, root, s, err) : st;
}

static bool is_id(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(text) && *text;
}

/* Seconds, each later than the one before. */
static enum status read_changes(const struct yaml_doc *d, const yaml_node *value,
                                struct fleet_source *c, struct error *err)
{
    const yaml_node *list = yaml_get(d, value, "changes_s");
    size_t n = list && yaml_is_list(list) ? yaml_count(list) : 0;
    if (list && (n < 1 || n > FLEET_CHANGES_MAX))
        return yaml_fail(d, list, err, "changes_s is a list of 1 to %d times", FLEET_CHANGES_MAX);
    enum status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        double after = i > 0 ? c->changes_s[i - 1] : 0;
        st = yaml_number(d, yaml_value(d, list, i), after, 86400, &c->changes_s[i], err);
    }
    c->change_count = (int)n;
    return st;
}

/* What there is of where a camera stands. */
static enum status read_place(const struct yaml_doc *d, const yaml_node *value,
                              struct fleet_source *c, struct error *err)
{
    const yaml_node *x = yaml_get(d, value, "x_m"), *y = yaml_get(d, value, "y_m");
    const yaml_node *district = yaml_get(d, value, "district");
    if (!x != !y)
        return yaml_fail(d, value, err, "camera %s: a place is x_m and y_m", c->id);
    c->placed = x != NULL;
    enum status st = x ? yaml_number(d, x, -1e7, 1e7, &c->x_m, err) : ST_OK;
    if (st == ST_OK && y)
        st = yaml_number(d, y, -1e7, 1e7, &c->y_m, err);
    if (st == ST_OK && district)
        st = copy_text(d, district, "district", c->district, sizeof c->district, err);
    return st;
}

static enum status read_camera(const struct yaml_doc *d, const yaml_node *key,
                               const yaml_node *value, struct fleet_scenario *s, struct error *err)
{
    static const char *const keys[] = {"source", "x_m", "y_m", "district", "changes_s"};
    struct fleet_source *c = &s->cameras[s->camera_count];
    enum status st = copy_text(d, key, "a camera's id", c->id, sizeof c->id, err);
    if (st == ST_OK && !is_id(c->id))
        return yaml_fail(d, key, err, "a camera's id has a-z, 0-9, _ and - only");
    if (st == ST_OK && !yaml_is_map(value))
        return yaml_fail(d, value, err, "a camera is a mapping, as {source: town:camera=0}");
    if (st == ST_OK)
        st = yaml_check_keys(d, value, keys, sizeof keys / sizeof keys[0], err);
    const yaml_node *source = st == ST_OK ? yaml_get(d, value, "source") : NULL;
    if (st == ST_OK && !source)
        return yaml_fail(d, value, err, "camera %s needs a source", c->id);
    if (st == ST_OK)
        st = copy_text(d, source, "source", c->source, sizeof c->source, err);
    if (st == ST_OK)
        st = read_place(d, value, c, err);
    if (st == ST_OK)
        st = read_changes(d, value, c, err);
    s->camera_count += st == ST_OK;
    return st;
}

static enum status read_cameras(const struct yaml_doc *d, const yaml_node *root,
                                struct fleet_scenario *s, struct error *err)
{
    const yaml_node *map = yaml_get(d, root, "cameras");
    size_t n = map && yaml_is_map(map) ? yaml_count(map) : 0;
    if (n < 1 || n > FLEET_CAMERAS_MAX)
        return yaml_fail(d, map ? map : root, err, "cameras is a mapping of 1 to %d, keyed by id",
                         FLEET_CAMERAS_MAX);
    enum status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = read_camera(d, yaml_key(d, map, i), yaml_value(d, map, i), s, err);
    return st;
}

static enum status read_root(const struct yaml_doc *d, struct fleet_scenario *s, struct error *err)
{
    const char *keys[NUMBERS + TEXTS + 4] = {"frames_min", "cameras", "configurations", "infers"};
    const yaml_node *root = yaml_root(d), *n;
    for (size_t i = 0; i < NUMBERS; i++)
        keys[4 + i] = numbers[i].key;
    for (size_t i = 0; i < TEXTS; i++)
        keys[4 + NUMBERS + i] = texts[i].key;
    if (!root || !yaml_is_map(root))
        return yaml_fail(d, root, err, "a fleet scenario is a mapping");
    enum status st = yaml_check_keys(d, root, keys, sizeof keys / sizeof keys[0], err);
    if (st == ST_OK)
        st = read_values(d, root, s, err);
    if (st == ST_OK)
        st = read_cameras(d, root, s, err);
    if (st == ST_OK && (n = yaml_get(d, root, "configurations")))
        st = train_configurations_read(d, n, &s->configurations, err);
    if (st == ST_OK && (!s->student[0] || !s->teacher[0]))
        st = yaml_fail(d, root, err, "student and teacher are needed");
    return st;
}

enum status fleet_scenario_read(const void *text, size_t n, const char *name,
                                struct fleet_scenario *ret, struct error *err)
{
    struct fleet_scenario s = {.name = "fleet",
                               .seconds = 240,
                               .fps = 4,
                               .window_s = 60,
                               .capacity = 1,
                               .infer_part = 0.6,
                               .chunk_s = 5,
                               .label_fps = 0.2,
                               .label_part = 0.2,
                               .frames_min = 6};
    struct yaml_doc *d;
    train_configurations_init(&s.configurations);
    enum status st = yaml_open(text, n, name, &d, err);
    if (st != ST_OK)
        return st;
    st = read_root(d, &s, err);
    yaml_close(&d);
    if (st == ST_OK)
        *ret = s;
    return st;
}

enum status fleet_scenario_open(const char *path, struct fleet_scenario *ret, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, YAML_BYTES_MAX, &b, err);
    if (st == ST_OK)
        st = fleet_scenario_read(b.data, b.size_bytes, path, ret, err);
    buf_clear(&b);
    return st;
}
