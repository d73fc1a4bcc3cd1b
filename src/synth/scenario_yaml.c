/* scenario_yaml.c - reads a scenario file (docs/formats.md, "scenario"). One table of fields per
 * map; unknown keys, values out of range and keyframes out of order are errors with their place. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/names.h"
#include "base/yaml.h"
#include "synth/scenario.h"

struct field {
    const char *key;
    size_t offset; /* of a float in the map's struct */
    float min, max;
};

static const struct field condition_fields[] = {
    {"dusk", offsetof(struct town_condition, dusk), 0, 1},
    {"night", offsetof(struct town_condition, night), 0, 1},
    {"rain", offsetof(struct town_condition, rain), 0, 1},
    {"fog", offsetof(struct town_condition, fog), 0, 1},
    {"snow", offsetof(struct town_condition, snow), 0, 1},
    {"traffic", offsetof(struct town_condition, traffic), 0, 1},
    {"crowd", offsetof(struct town_condition, crowd), 0, 1}};

static const struct field bump_fields[] = {
    {"t_s", offsetof(struct scenario_bump, t_s), 0, SCENARIO_TIME_S_MAX},
    {"yaw_deg", offsetof(struct scenario_bump, yaw_deg), -30, 30},
    {"pitch_deg", offsetof(struct scenario_bump, pitch_deg), -30, 30},
    {"roll_deg", offsetof(struct scenario_bump, roll_deg), -30, 30}};

static const struct field dirt_fields[] = {
    {"t_s", offsetof(struct scenario_dirt, t_s), 0, SCENARIO_TIME_S_MAX},
    {"x", offsetof(struct scenario_dirt, x), 0, 1},
    {"y", offsetof(struct scenario_dirt, y), 0, 1},
    {"radius", offsetof(struct scenario_dirt, radius), 0.01f, 1},
    {"density", offsetof(struct scenario_dirt, density), 0, 1},
    {"until_s", offsetof(struct scenario_dirt, until_s), 0, SCENARIO_TIME_S_MAX}};

static const struct field blind_fields[] = {
    {"t_s", offsetof(struct scenario_blind, t_s), 0, SCENARIO_TIME_S_MAX},
    {"until_s", offsetof(struct scenario_blind, until_s), 0, SCENARIO_TIME_S_MAX}};

static const struct field front_fields[] = {
    {"heading_deg", offsetof(struct scenario, front_heading_deg), -360, 360},
    {"speed_m_s", offsetof(struct scenario, front_speed_m_s), 0.1f, 1000}};

static const struct field random_fields[] = {
    {"slice_s", offsetof(struct scenario, slice_s), 1, SCENARIO_TIME_S_MAX},
    {"blend_s", offsetof(struct scenario, blend_s), 0, SCENARIO_TIME_S_MAX}};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Sets the fields that are there. */
static enum status read_fields(const struct yaml_doc *d, const yaml_node *map,
                               const struct field *fields, size_t count, void *out,
                               struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const yaml_node *n = yaml_get(d, map, fields[i].key);
        double v;
        if (!n)
            continue;
        enum status st = yaml_number(d, n, (double)fields[i].min, (double)fields[i].max, &v, err);
        if (st != ST_OK)
            return st;
        float f = (float)v;
        memcpy((char *)out + fields[i].offset, &f, sizeof f);
    }
    return ST_OK;
}

/* A map of these fields (first `required` of them must be there) and, where they are not NULL, one
 * or two keys more. */
static enum status read_map_with(const struct yaml_doc *d, const yaml_node *map, const char *what,
                                 const struct field *fields, size_t count, size_t required,
                                 const char *extra, const char *another, void *out,
                                 struct error *err)
{
    const char *keys[16];
    size_t n = 0;
    for (; n < count; n++)
        keys[n] = fields[n].key;
    if (extra)
        keys[n++] = extra;
    if (another)
        keys[n++] = another;
    if (!yaml_is_map(map))
        return yaml_fail(d, map, err, "%s is a map of settings", what);
    enum status st = yaml_check_keys(d, map, keys, n, err);
    for (size_t i = 0; i < required && st == ST_OK; i++)
        if (!yaml_get(d, map, fields[i].key))
            st = yaml_fail(d, map, err, "%s needs '%s'", what, fields[i].key);
    return st == ST_OK ? read_fields(d, map, fields, count, out, err) : st;
}

static enum status read_map(const struct yaml_doc *d, const yaml_node *map, const char *what,
                            const struct field *fields, size_t count, size_t required,
                            const char *extra, void *out, struct error *err)
{
    return read_map_with(d, map, what, fields, count, required, extra, NULL, out, err);
}

/* A keyframe keeps what the one before it had, save what it says. */
static enum status read_keyframe(const struct yaml_doc *d, const yaml_node *n,
                                 struct scenario_track *track, struct error *err)
{
    const struct scenario_keyframe *before =
        track->keyframe_count ? &track->keyframes[track->keyframe_count - 1] : NULL;
    struct scenario_keyframe k = {.condition = {.traffic = 0.5f, .crowd = 0.5f}};
    if (before)
        k = *before;
    enum status st = read_map(d, n, "a keyframe", condition_fields, COUNT(condition_fields), 0,
                              "t_s", &k.condition, err);
    if (st != ST_OK)
        return st;
    const yaml_node *time = yaml_get(d, n, "t_s");
    double t_s;
    if (!time)
        return yaml_fail(d, n, err, "a keyframe needs 't_s'");
    st = yaml_number(d, time, 0, (double)SCENARIO_TIME_S_MAX, &t_s, err);
    if (st != ST_OK)
        return st;
    k.t_s = (float)t_s;
    if (before && k.t_s <= before->t_s)
        return yaml_fail(d, time, err, "keyframes are in the order of time");
    track->keyframes[track->keyframe_count++] = k;
    return ST_OK;
}

static enum status read_keyframes(const struct yaml_doc *d, const yaml_node *list,
                                  struct scenario_track *track, struct error *err)
{
    if (!yaml_is_list(list) || yaml_count(list) < 1 || yaml_count(list) > SCENARIO_KEYFRAMES_MAX)
        return yaml_fail(d, list, err, "'keyframes' is a list of 1 to %d keyframes",
                         SCENARIO_KEYFRAMES_MAX);
    enum status st = ST_OK;
    for (size_t i = 0; i < yaml_count(list) && st == ST_OK; i++)
        st = read_keyframe(d, yaml_value(d, list, i), track, err);
    return st;
}

/* A whole number in 0..limit-1. */
static enum status read_index(const struct yaml_doc *d, const yaml_node *n, int limit, int *ret,
                              struct error *err)
{
    double v;
    enum status st = yaml_number(d, n, 0, limit - 1, &v, err);
    if (st == ST_OK && (double)(int)v != v)
        st = yaml_fail(d, n, err, "this is a whole number");
    if (st == ST_OK)
        *ret = (int)v;
    return st;
}

static enum status read_district(const struct yaml_doc *d, const yaml_node *key,
                                 const yaml_node *map, struct scenario *s, struct error *err)
{
    static const struct field fields[] = {
        {"delay_s", offsetof(struct scenario_track, delay_s), 0, SCENARIO_TIME_S_MAX}};
    int district = 0;
    enum status st = read_index(d, key, SCENARIO_DISTRICTS_MAX, &district, err);
    if (st != ST_OK)
        return st;
    struct scenario_track *track = &s->districts[district];
    if (track->keyframe_count || track->delay_s > 0)
        return yaml_fail(d, key, err, "district %d is given twice", district);
    st = read_map(d, map, "a district", fields, 1, 0, "keyframes", track, err);
    const yaml_node *list = st == ST_OK ? yaml_get(d, map, "keyframes") : NULL;
    return list ? read_keyframes(d, list, track, err) : st;
}

static enum status read_districts(const struct yaml_doc *d, const yaml_node *map,
                                  struct scenario *s, struct error *err)
{
    if (!yaml_is_map(map))
        return yaml_fail(d, map, err, "'districts' maps district numbers to settings");
    enum status st = ST_OK;
    for (size_t i = 0; i < yaml_count(map) && st == ST_OK; i++)
        st = read_district(d, yaml_key(d, map, i), yaml_value(d, map, i), s, err);
    return st;
}

/* The camera of something that happens to one. */
static enum status read_camera(const struct yaml_doc *d, const yaml_node *n, const char *what,
                               int *ret, struct error *err)
{
    const yaml_node *camera = yaml_get(d, n, "camera");
    if (!camera)
        return yaml_fail(d, n, err, "%s needs 'camera'", what);
    return read_index(d, camera, 64, ret, err);
}

static enum status read_bump(const struct yaml_doc *d, const yaml_node *n, struct scenario *s,
                             struct error *err)
{
    struct scenario_bump b = {0};
    enum status st =
        read_map(d, n, "a bump", bump_fields, COUNT(bump_fields), 1, "camera", &b, err);
    if (st == ST_OK)
        st = read_camera(d, n, "a bump", &b.camera, err);
    if (st == ST_OK)
        s->bumps[s->bump_count++] = b;
    return st;
}

static enum status check_until(const struct yaml_doc *d, const yaml_node *n, float t_s,
                               float until_s, struct error *err)
{
    return until_s > t_s ? ST_OK : yaml_fail(d, n, err, "'until_s' is after 't_s'");
}

static enum status read_dirt(const struct yaml_doc *d, const yaml_node *n, struct scenario *s,
                             struct error *err)
{
    struct scenario_dirt v = {.until_s = SCENARIO_TIME_S_MAX, .density = 0.9f};
    enum status st = read_map(d, n, "dirt", dirt_fields, COUNT(dirt_fields), 4, "camera", &v, err);
    if (st == ST_OK)
        st = read_camera(d, n, "dirt", &v.camera, err);
    if (st == ST_OK)
        st = check_until(d, n, v.t_s, v.until_s, err);
    if (st == ST_OK)
        s->dirt[s->dirt_count++] = v;
    return st;
}

static enum status read_look(const struct yaml_doc *d, const yaml_node *n, enum scenario_look *ret,
                             struct error *err)
{
    static const char *const names[LOOK_COUNT] = {
#define NAME(name, text) [LOOK_##name] = (text),
        SCENARIO_LOOK_LIST(NAME)
#undef NAME
    };
    const yaml_node *look = yaml_get(d, n, "look");
    if (!look)
        return ST_OK;
    int found = names_find(names, NAMES_COUNT(names), yaml_text(look), -1);
    if (found < 0)
        return yaml_fail(d, look, err, "'look' is black, white or frozen");
    *ret = (enum scenario_look)found;
    return ST_OK;
}

static enum status read_blind(const struct yaml_doc *d, const yaml_node *n, struct scenario *s,
                              struct error *err)
{
    struct scenario_blind v = {.until_s = SCENARIO_TIME_S_MAX, .look = LOOK_BLACK};
    enum status st = read_map_with(d, n, "blindness", blind_fields, COUNT(blind_fields), 1,
                                   "camera", "look", &v, err);
    if (st == ST_OK)
        st = read_camera(d, n, "blindness", &v.camera, err);
    if (st == ST_OK)
        st = read_look(d, n, &v.look, err);
    if (st == ST_OK)
        st = check_until(d, n, v.t_s, v.until_s, err);
    if (st == ST_OK)
        s->blind[s->blind_count++] = v;
    return st;
}

/* What happens to single cameras: lists of maps. */
static const struct happening {
    const char *key;
    size_t limit;
    enum status (*read)(const struct yaml_doc *d, const yaml_node *n, struct scenario *s,
                        struct error *err);
} happenings[] = {{"bumps", SCENARIO_BUMPS_MAX, read_bump},
                  {"dirt", SCENARIO_FAULTS_MAX, read_dirt},
                  {"blind", SCENARIO_FAULTS_MAX, read_blind}};

static enum status read_happenings(const struct yaml_doc *d, const yaml_node *root,
                                   const struct happening *h, struct scenario *s, struct error *err)
{
    const yaml_node *list = yaml_get(d, root, h->key);
    if (!list)
        return ST_OK;
    if (!yaml_is_list(list) || yaml_count(list) > h->limit)
        return yaml_fail(d, list, err, "'%s' is a list of at most %zu", h->key, h->limit);
    enum status st = ST_OK;
    for (size_t i = 0; i < yaml_count(list) && st == ST_OK; i++)
        st = h->read(d, yaml_value(d, list, i), s, err);
    return st;
}

static enum status read_name(const struct yaml_doc *d, const yaml_node *n, struct scenario *s,
                             struct error *err)
{
    const char *name = yaml_text(n);
    if (!name || !*name || strlen(name) > SCENARIO_NAME_CHARS_MAX)
        return yaml_fail(d, n, err, "'scenario' is a name of 1 to %d characters",
                         SCENARIO_NAME_CHARS_MAX);
    snprintf(s->name, sizeof s->name, "%s", name);
    return ST_OK;
}

static enum status read_time(const struct yaml_doc *d, const yaml_node *root, struct scenario *s,
                             struct error *err)
{
    const yaml_node *duration = yaml_get(d, root, "duration_s");
    const yaml_node *repeat = yaml_get(d, root, "repeat");
    enum status st = ST_OK;
    if (duration) {
        double v = 0;
        st = yaml_number(d, duration, 1, (double)SCENARIO_TIME_S_MAX, &v, err);
        s->duration_s = (float)v;
    }
    if (st != ST_OK || !repeat)
        return st;
    const char *text = yaml_text(repeat);
    if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return yaml_fail(d, repeat, err, "'repeat' is true or false");
    s->repeat = strcmp(text, "true") == 0;
    if (s->repeat && s->duration_s <= 0)
        return yaml_fail(d, repeat, err, "'repeat' needs 'duration_s'");
    return ST_OK;
}

static enum status read_conditions(const struct yaml_doc *d, const yaml_node *root,
                                   struct scenario *s, struct error *err)
{
    const yaml_node *random = yaml_get(d, root, "random");
    const yaml_node *keyframes = yaml_get(d, root, "keyframes");
    const yaml_node *districts = yaml_get(d, root, "districts");
    if (!random == !keyframes)
        return yaml_fail(d, root, err, "a scenario has either 'keyframes' or 'random'");
    enum status st = ST_OK;
    if (random)
        st = read_map(d, random, "'random'", random_fields, 2, 1, NULL, s, err);
    else
        st = read_keyframes(d, keyframes, &s->town, err);
    if (st == ST_OK && districts)
        st = read_districts(d, districts, s, err);
    return st;
}

static enum status read_document(const struct yaml_doc *d, struct scenario *s, struct error *err)
{
    static const char *const keys[] = {"scenario",  "duration_s", "repeat", "front", "random",
                                       "keyframes", "districts",  "bumps",  "dirt",  "blind"};
    const yaml_node *root = yaml_root(d);
    if (!yaml_is_map(root))
        return yaml_fail(d, root, err, "a scenario file is a map: scenario, keyframes, ...");
    enum status st = yaml_check_keys(d, root, keys, COUNT(keys), err);
    if (st == ST_OK)
        st = read_name(d, yaml_get(d, root, "scenario"), s, err);
    if (st == ST_OK)
        st = read_time(d, root, s, err);
    const yaml_node *front = yaml_get(d, root, "front");
    if (st == ST_OK && front)
        st = read_map(d, front, "'front'", front_fields, 2, 2, NULL, s, err);
    if (st == ST_OK)
        st = read_conditions(d, root, s, err);
    for (size_t i = 0; i < COUNT(happenings) && st == ST_OK; i++)
        st = read_happenings(d, root, &happenings[i], s, err);
    return st;
}

enum status scenario_read(const void *text, size_t n, const char *name, struct scenario *ret,
                          struct error *err)
{
    struct yaml_doc *d = NULL;
    enum status st = yaml_open(text, n, name, &d, err);
    if (st != ST_OK)
        return st;
    struct scenario s = {.name = ""};
    st = read_document(d, &s, err);
    yaml_close(&d);
    if (st == ST_OK)
        *ret = s;
    return st;
}

enum status scenario_open(const char *preset_or_path, struct scenario *ret, struct error *err)
{
    if (!strpbrk(preset_or_path, "/."))
        return scenario_preset(preset_or_path, ret, err);
    struct buf text;
    buf_init(&text);
    enum status st = file_read(preset_or_path, YAML_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = scenario_read(text.data, text.size_bytes, preset_or_path, ret, err);
    buf_clear(&text);
    return st;
}
