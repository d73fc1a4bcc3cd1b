/* scenario.c - presets, and a scenario's state at a place and a moment. */
#include "synth/scenario.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "synth/exact.h"

const char *const scenario_presets[] = {"clear", "demo", "day", "all", "bump", "faults", NULL};

static void key(struct scenario_track *t, float t_s, struct town_condition c)
{
    t->keyframes[t->keyframe_count++] = (struct scenario_keyframe){t_s, c};
}

static void preset_clear(struct scenario *s)
{
    key(&s->town, 0, (struct town_condition){.traffic = 0.55f, .crowd = 0.5f});
}

/* Three minutes: a clear day, then dusk, night and rain within 45 seconds, and they stay. */
static void preset_demo(struct scenario *s)
{
    s->duration_s = 180;
    struct town_condition c = {.traffic = 0.6f, .crowd = 0.6f};
    key(&s->town, 0, c);
    key(&s->town, 25, c);
    c.dusk = 1;
    key(&s->town, 42, c);
    c.night = 0.55f;
    c.rain = 0.3f;
    key(&s->town, 56, c);
    c.night = 0.85f;
    c.rain = 0.75f;
    key(&s->town, 70, c);
    for (int d = 1; d < SCENARIO_DISTRICTS_MAX; d++)
        s->districts[d].delay_s = 20.0f * (float)(d < 4 ? d : 4);
}

/* An hour that stands for a day: fog in the morning, rain at noon, dusk, a night with snow. */
static void preset_day(struct scenario *s)
{
    s->duration_s = 3600;
    s->repeat = true;
    s->front_speed_m_s = 12;
    s->front_heading_deg = 20;
    static const struct scenario_keyframe keys[] = {
        {0, {.dusk = 1, .night = 0.3f, .traffic = 0.3f, .crowd = 0.2f}},
        {240, {.dusk = 0.6f, .fog = 0.7f, .traffic = 0.8f, .crowd = 0.6f}},
        {480, {.fog = 0.5f, .traffic = 0.8f, .crowd = 0.6f}},
        {720, {.traffic = 0.6f, .crowd = 0.5f}},
        {1200, {.traffic = 0.5f, .crowd = 0.7f}},
        {1320, {.rain = 0.7f, .traffic = 0.6f, .crowd = 0.4f}},
        {1680, {.rain = 0.8f, .traffic = 0.6f, .crowd = 0.4f}},
        {1800, {.traffic = 0.7f, .crowd = 0.6f}},
        {2160, {.dusk = 0.9f, .traffic = 0.9f, .crowd = 0.8f}},
        {2400, {.dusk = 1, .night = 0.9f, .traffic = 0.6f, .crowd = 0.6f}},
        {2760, {.dusk = 1, .night = 1, .traffic = 0.4f, .crowd = 0.4f}},
        {2940, {.dusk = 1, .night = 0.8f, .snow = 0.9f, .traffic = 0.3f, .crowd = 0.3f}},
        {3300, {.dusk = 1, .night = 0.7f, .snow = 0.6f, .traffic = 0.3f, .crowd = 0.2f}},
        {3600, {.dusk = 1, .night = 0.3f, .traffic = 0.3f, .crowd = 0.2f}}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        key(&s->town, keys[i].t_s, keys[i].condition);
}

static void preset_all(struct scenario *s)
{
    s->slice_s = 20;
    s->blend_s = 4;
    preset_clear(s);
}

static void preset_bump(struct scenario *s)
{
    preset_clear(s);
    s->duration_s = 120;
    s->bump_count = 2;
    s->bumps[0] = (struct scenario_bump){0, 40, 9, -4, 5};
    s->bumps[1] = (struct scenario_bump){1, 60, -8, -5, -6};
}

/* Each of the first three cameras has a fault after half a minute, and for half a minute. */
static void preset_faults(struct scenario *s)
{
    preset_clear(s);
    s->duration_s = 120;
    s->dirt_count = 1;
    s->dirt[0] = (struct scenario_dirt){0, 30, 60, 0.4f, 0.5f, 0.2f, 0.9f};
    s->blind_count = 2;
    s->blind[0] = (struct scenario_blind){1, 30, 60, LOOK_BLACK};
    s->blind[1] = (struct scenario_blind){2, 30, 60, LOOK_FROZEN};
}

enum status scenario_preset(const char *name, struct scenario *ret, struct error *err)
{
    void (*const fill[])(struct scenario *) = {preset_clear, preset_demo, preset_day,
                                               preset_all,   preset_bump, preset_faults};
    int i = names_find(scenario_presets, NAMES_COUNT(fill), name, -1);
    if (i < 0)
        return error_set(
            err, ST_NOT_FOUND,
            "there is no scenario '%.60s': use clear, demo, day, all, bump, faults or the "
            "path of a scenario file",
            name);
    memset(ret, 0, sizeof *ret);
    snprintf(ret->name, sizeof ret->name, "%s", name);
    fill[i](ret);
    return ST_OK;
}

static struct town_condition mix(const struct town_condition *a, const struct town_condition *b,
                                 float t)
{
    return (struct town_condition){
        .dusk = exact_mix(a->dusk, b->dusk, t),
        .night = exact_mix(a->night, b->night, t),
        .rain = exact_mix(a->rain, b->rain, t),
        .fog = exact_mix(a->fog, b->fog, t),
        .snow = exact_mix(a->snow, b->snow, t),
        .traffic = exact_mix(a->traffic, b->traffic, t),
        .crowd = exact_mix(a->crowd, b->crowd, t),
    };
}

static struct town_condition at_time(const struct scenario_track *track, float t_s)
{
    const struct scenario_keyframe *k = track->keyframes;
    int n = track->keyframe_count;
    if (n == 0)
        return (struct town_condition){0};
    if (t_s <= k[0].t_s)
        return k[0].condition;
    for (int i = 1; i < n; i++)
        if (t_s < k[i].t_s)
            return mix(&k[i - 1].condition, &k[i].condition,
                       (t_s - k[i - 1].t_s) / (k[i].t_s - k[i - 1].t_s));
    return k[n - 1].condition;
}

/* The condition of a slice: a kind of light, a kind of weather, each with a drawn intensity. */
static struct town_condition draw_slice(uint64_t seed, uint64_t slice)
{
    uint32_t h = exact_hash((uint32_t)seed ^ (uint32_t)(seed >> 32), (uint32_t)slice, 81);
    float light = exact_unit(exact_hash(h, 1, 0)), weather = exact_unit(exact_hash(h, 2, 0));
    float amount = exact_unit(exact_hash(h, 3, 0)), force = exact_unit(exact_hash(h, 4, 0));
    struct town_condition c = {.traffic = 0.3f + 0.6f * exact_unit(exact_hash(h, 5, 0)),
                               .crowd = 0.3f + 0.6f * exact_unit(exact_hash(h, 6, 0))};
    if (light > 0.75f)
        c.dusk = 0.4f + 0.6f * amount;
    else if (light > 0.4f) {
        c.dusk = 1;
        c.night = 0.3f + 0.7f * sqrtf(amount);
    }
    force = 0.3f + 0.7f * force;
    if (weather > 0.68f)
        c.rain = force;
    else if (weather > 0.52f)
        c.snow = force;
    else if (weather > 0.38f)
        c.fog = force;
    return c;
}

static struct town_condition random_condition(const struct scenario *s, uint64_t seed, double t_s)
{
    double at = t_s / (double)s->slice_s;
    uint64_t slice = (uint64_t)at;
    float into_s = (float)(at - (double)slice) * s->slice_s;
    struct town_condition now = draw_slice(seed, slice);
    if (slice == 0 || s->blend_s <= 0 || into_s >= s->blend_s)
        return now;
    struct town_condition before = draw_slice(seed, slice - 1);
    return mix(&before, &now, into_s / s->blend_s);
}

static float front_delay_s(const struct scenario *s, float x_m, float y_m)
{
    if (s->front_speed_m_s <= 0)
        return 0;
    float heading = s->front_heading_deg / 360.0f;
    float along_m = x_m * exact_cos(heading) + y_m * exact_sin(heading);
    return along_m > 0 ? along_m / s->front_speed_m_s : 0.0f;
}

struct town_condition scenario_condition(const struct scenario *s, uint64_t seed, int district,
                                         float x_m, float y_m, uint64_t t_us)
{
    const struct scenario_track *track = &s->districts[district];
    double t_s = (double)t_us * 1e-6 - (double)(front_delay_s(s, x_m, y_m) + track->delay_s);
    if (t_s < 0)
        t_s = 0;
    if (s->slice_s > 0)
        return random_condition(s, seed, t_s);
    if (s->repeat && s->duration_s > 0)
        t_s -= (double)(int64_t)(t_s / (double)s->duration_s) * (double)s->duration_s;
    return at_time(track->keyframe_count ? track : &s->town, (float)t_s);
}

int scenario_bump_at(const struct scenario *s, int camera, uint64_t t_us, struct scenario_bump *ret)
{
    *ret = (struct scenario_bump){.camera = camera};
    int happened = 0;
    for (int i = 0; i < s->bump_count; i++) {
        const struct scenario_bump *b = &s->bumps[i];
        if (b->camera != camera || (double)b->t_s > (double)t_us * 1e-6)
            continue;
        ret->yaw_deg += b->yaw_deg;
        ret->pitch_deg += b->pitch_deg;
        ret->roll_deg += b->roll_deg;
        happened++;
    }
    return happened;
}

bool scenario_fault_is_on(float t_s, float until_s, uint64_t t_us)
{
    double now_s = (double)t_us * 1e-6;
    return now_s >= (double)t_s && now_s < (double)until_s;
}

const struct scenario_blind *scenario_blind_at(const struct scenario *s, int camera, uint64_t t_us)
{
    for (int i = 0; i < s->blind_count; i++) {
        const struct scenario_blind *b = &s->blind[i];
        if (b->camera == camera && scenario_fault_is_on(b->t_s, b->until_s, t_us))
            return b;
    }
    return NULL;
}
