/* source.c - parses "town:key=value,..." and steps through the town at a frame rate. */
#include "synth/source.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "base/yaml.h"

#define PREFIX "town:"
#define URL_CHARS_MAX 1023

enum key {
    KEY_CAMERA,
    KEY_CAMERAS,
    KEY_DISTRICTS,
    KEY_SEED,
    KEY_SCENARIO,
    KEY_WIDTH,
    KEY_HEIGHT,
    KEY_FPS,
    KEY_SECONDS,
    KEY_START,
    KEY_COUNT
};

static const char *const key_names[KEY_COUNT] = {"camera",   "cameras", "districts", "seed",
                                                 "scenario", "width",   "height",    "fps",
                                                 "seconds",  "start"};

static const struct {
    double min, max, initial;
    bool whole;
} ranges[KEY_COUNT] = {
    [KEY_CAMERA] = {0, TOWN_CAMERAS_MAX - 1, 0, true},
    [KEY_CAMERAS] = {0, TOWN_CAMERAS_MAX, 0, true},
    [KEY_DISTRICTS] = {1, SCENARIO_DISTRICTS_MAX, 2, true},
    [KEY_SEED] = {0, 9007199254740992.0, 1, true},
    [KEY_WIDTH] = {TOWN_SIDE_MIN, TOWN_SIDE_MAX, 320, true},
    [KEY_HEIGHT] = {TOWN_SIDE_MIN, TOWN_SIDE_MAX, 192, true},
    [KEY_FPS] = {0.01, 120, 15, false},
    [KEY_SECONDS] = {0, SCENARIO_TIME_S_MAX, 0, false},
    [KEY_START] = {0, SCENARIO_TIME_S_MAX, 0, false},
};

bool synth_url_is(const char *url)
{
    return strncmp(url, PREFIX, strlen(PREFIX)) == 0;
}

struct fields {
    double value[KEY_COUNT];
    const char *scenario;
    bool seen[KEY_COUNT];
};

static enum status set_number(struct fields *f, enum key k, const char *text, struct error *err)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (errno || end == text || *end || !(v >= ranges[k].min && v <= ranges[k].max) ||
        (ranges[k].whole && v != floor(v)))
        return error_set(err, ST_INVALID, "town: '%s=%.40s' is not a %snumber in %g to %g",
                         key_names[k], text, ranges[k].whole ? "whole " : "", ranges[k].min,
                         ranges[k].max);
    f->value[k] = v;
    return ST_OK;
}

static enum status set_field(struct fields *f, char *pair, struct error *err)
{
    char *value = strchr(pair, '=');
    if (!value)
        return error_set(err, ST_INVALID, "town: '%.40s' is not of the form key=value", pair);
    *value++ = '\0';
    int k = names_find(key_names, KEY_COUNT, pair, -1);
    if (k < 0) {
        const char *near = yaml_nearest(pair, key_names, KEY_COUNT);
        return error_set(err, ST_INVALID, "town: there is no setting '%.40s'%s%s%s", pair,
                         near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (f->seen[k])
        return error_set(err, ST_INVALID, "town: '%s' is given twice", pair);
    f->seen[k] = true;
    if (k != KEY_SCENARIO)
        return set_number(f, (enum key)k, value, err);
    f->scenario = value;
    return ST_OK;
}

static enum status fill(const struct fields *f, struct synth_url *u, struct error *err)
{
    enum status st = scenario_open(f->scenario, &u->scenario, err);
    if (st != ST_OK)
        return st;
    town_options_init(&u->town);
    u->camera = (int)f->value[KEY_CAMERA];
    u->town.cameras = (int)f->value[KEY_CAMERAS];
    if (u->town.cameras == 0)
        u->town.cameras = u->camera < 1 ? 2 : u->camera + 1;
    if (u->camera >= u->town.cameras)
        return error_set(err, ST_INVALID, "town: camera %d is not among the %d cameras (0 to %d)",
                         u->camera, u->town.cameras, u->town.cameras - 1);
    u->town.districts = (int)f->value[KEY_DISTRICTS];
    u->town.seed = (uint64_t)f->value[KEY_SEED];
    u->town.width = (int)f->value[KEY_WIDTH];
    u->town.height = (int)f->value[KEY_HEIGHT];
    u->fps = f->value[KEY_FPS];
    u->start_s = f->value[KEY_START];
    u->seconds = f->seen[KEY_SECONDS] ? f->value[KEY_SECONDS]
                 : u->scenario.repeat ? 0
                                      : (double)u->scenario.duration_s;
    return ST_OK;
}

enum status synth_url_parse(const char *url, struct synth_url *ret, struct error *err)
{
    char text[URL_CHARS_MAX + 1];
    if (!synth_url_is(url) || strlen(url) > URL_CHARS_MAX)
        return error_set(err, ST_INVALID,
                         "'%.60s' is not a town: write town:camera=0,scenario=demo", url);
    snprintf(text, sizeof text, "%s", url + strlen(PREFIX));
    struct fields f = {.scenario = "clear"};
    for (int k = 0; k < KEY_COUNT; k++)
        f.value[k] = ranges[k].initial;
    char *rest = text;
    for (char *pair = strsep(&rest, ","); pair && *text; pair = strsep(&rest, ",")) {
        enum status st = set_field(&f, pair, err);
        if (st != ST_OK)
            return st;
    }
    struct synth_url u = {.camera = 0};
    enum status st = fill(&f, &u, err);
    if (st == ST_OK)
        *ret = u;
    return st;
}

struct synth_source {
    struct synth_url url;
    struct town *town;
    uint64_t next; /* frame */
    uint8_t *pixels, *classes;
    struct box boxes[TOWN_BOXES_MAX];
};

enum status synth_source_open(const char *url, struct synth_source **ret, struct error *err)
{
    struct synth_source *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for a town");
    enum status st = synth_url_parse(url, &s->url, err);
    if (st == ST_OK) {
        struct town_options o = s->url.town;
        o.scenario = &s->url.scenario;
        st = town_open(&o, &s->town, err);
    }
    size_t n = (size_t)s->url.town.width * (size_t)s->url.town.height;
    if (st == ST_OK) {
        s->pixels = malloc(3 * n);
        s->classes = malloc(n);
        if (!s->pixels || !s->classes)
            st = error_set(err, ST_NOMEM, "no memory for the town's pictures");
    }
    if (st != ST_OK) {
        synth_source_close(&s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void synth_source_close(struct synth_source **s)
{
    if (!s || !*s)
        return;
    town_close(&(*s)->town);
    free((*s)->pixels);
    free((*s)->classes);
    free(*s);
    *s = NULL;
}

enum status synth_source_next(struct synth_source *s, struct synth_view *out, struct error *err)
{
    const struct synth_url *u = &s->url;
    double t_s = (double)s->next / u->fps;
    if (u->seconds > 0 && t_s >= u->seconds)
        return ST_END;
    uint64_t t_us = (uint64_t)(t_s * 1e6 + 0.5);
    uint64_t town_us = t_us + (uint64_t)(u->start_s * 1e6 + 0.5);
    int w = u->town.width, h = u->town.height;
    struct synth_view v = {
        .frame = {.width = w, .height = h, .pixels = s->pixels},
        .labels = {.width = w, .height = h, .classes = s->classes},
        .boxes = s->boxes,
    };
    enum status st = town_render(s->town, u->camera, town_us, &v.frame, &v.labels, s->boxes,
                                 TOWN_BOXES_MAX, &v.box_count, err);
    if (st != ST_OK)
        return st;
    v.frame.t_us = t_us;
    struct town_condition c = town_condition_at(s->town, u->camera, town_us);
    town_condition_text(&c, v.condition, sizeof v.condition);
    s->next++;
    *out = v;
    return ST_OK;
}

void synth_source_skip(struct synth_source *s, uint64_t frames)
{
    s->next += frames;
}

const struct synth_url *synth_source_url(const struct synth_source *s)
{
    return &s->url;
}
