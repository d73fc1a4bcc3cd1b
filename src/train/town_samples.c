/* Classes are weighed by a fixed power of their frequency in the town, so that people and cyclists
 * are not lost among houses and road. */
#include "train/town_samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOWNS 8
#define TOWN_CAMERAS 4
#define TOWN_LIFE_SAMPLES 640 /* of all towns together, until one has been replaced by another */
#define TOWN_SPAN_S 2000

/* (mean frequency / frequency) ^ 0.35 of the town's classes, measured over 400 frames. */
static const float class_weight[TOWN_CLASS_COUNT] = {1.20f, 0.62f, 0.75f, 1.10f, 1.24f,
                                                     1.36f, 1.37f, 1.26f, 1.41f, 2.40f};

struct town_samples {
    struct samples head;
    int width, height;
    uint64_t seed;
    struct scenario scenario;
    struct town *towns[TOWNS];
    uint64_t town_seeds[TOWNS];
};

enum status town_spec_read(const struct nn_model *m, struct task_spec *ret, struct error *err)
{
    struct task_spec spec;
    enum status st = task_spec_read(m, &spec, err);
    if (st != ST_OK)
        return st;
    bool same = spec.class_count == TOWN_CLASS_COUNT && spec.width == spec.out_width &&
                spec.height == spec.out_height;
    for (int i = 0; same && i < TOWN_CLASS_COUNT; i++)
        same = strcmp(spec.class_name[i], town_class_names[i]) == 0;
    if (!same)
        return error_set(err, ST_UNSUPPORTED,
                         "this network is not for the town: it needs the town's %d classes in "
                         "their order and logits of its input's size",
                         TOWN_CLASS_COUNT);
    *ret = spec;
    return ST_OK;
}

static void close_town(struct samples *s)
{
    struct town_samples *p = (struct town_samples *)s;
    for (int i = 0; i < TOWNS; i++)
        town_close(&p->towns[i]);
    free(p);
}

/* The town that stands in place `slot` at sample n; places change one after the other. */
static enum status town_at(struct town_samples *p, uint32_t slot, uint64_t n, struct town **ret,
                           struct error *err)
{
    uint64_t generation = (n + (uint64_t)slot * TOWN_LIFE_SAMPLES) / (TOWNS * TOWN_LIFE_SAMPLES);
    uint64_t seed = TOWN_SAMPLES_SEED_MIN + rng_hash(p->seed, slot, generation, 1) % 1000000000u;
    if (p->towns[slot] && p->town_seeds[slot] == seed) {
        *ret = p->towns[slot];
        return ST_OK;
    }
    town_close(&p->towns[slot]);
    struct town_options o;
    town_options_init(&o);
    o.seed = seed;
    o.cameras = TOWN_CAMERAS;
    o.width = p->width;
    o.height = p->height;
    struct scenario s = p->scenario;
    if (s.town.keyframe_count == 1) { /* a still scenario: traffic from still to dense */
        struct town_condition *c = &s.town.keyframes[0].condition;
        c->traffic = 0.3f + 0.6f * (float)(rng_hash(seed, 2, 0, 0) >> 40) * 0x1p-24f;
        c->crowd = 0.3f + 0.6f * (float)(rng_hash(seed, 3, 0, 0) >> 40) * 0x1p-24f;
    }
    o.scenario = &s;
    enum status st = town_open(&o, &p->towns[slot], err);
    if (st != ST_OK)
        return st;
    p->town_seeds[slot] = seed;
    *ret = p->towns[slot];
    return ST_OK;
}

static enum status draw_town(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                             struct label_map *labels, struct error *err)
{
    struct town_samples *p = (struct town_samples *)s;
    struct town *town = NULL;
    enum status st = town_at(p, rng_below(r, TOWNS), n, &town, err);
    if (st != ST_OK)
        return st;
    int camera = (int)rng_below(r, TOWN_CAMERAS);
    uint64_t t_us = (uint64_t)rng_below(r, TOWN_SPAN_S * 1000u) * 1000u;
    return town_render(town, camera, t_us, frame, labels, NULL, 0, NULL, err);
}

static void init(struct town_samples *p, const struct task_spec *spec,
                 const struct samples_kind *kind)
{
    p->head.kind = kind;
    p->width = spec->width;
    p->height = spec->height;
    class_map_identity(spec, &p->head.map);
    memcpy(p->head.class_weight, class_weight, sizeof class_weight);
}

enum status town_samples_open(const struct task_spec *spec, const char *scenario, uint64_t seed,
                              struct samples **ret, struct error *err)
{
    static const struct samples_kind kind = {draw_town, close_town};
    struct town_samples *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory for the town");
    init(p, spec, &kind);
    p->seed = seed;
    snprintf(p->head.text, sizeof p->head.text, "samples=town\nconditions=%.63s\n", scenario);
    enum status st = scenario_preset(scenario, &p->scenario, err);
    if (st != ST_OK) {
        close_town(&p->head);
        return st;
    }
    *ret = &p->head;
    return ST_OK;
}

const struct town_trial town_trials[TOWN_TRIAL_COUNT] = {
    {"clear", {.traffic = 0.6f, .crowd = 0.6f}},
    {"dusk", {.dusk = 1, .traffic = 0.6f, .crowd = 0.6f}},
    {"night", {.dusk = 1, .night = 0.85f, .traffic = 0.6f, .crowd = 0.6f}},
    {"rain", {.rain = 0.75f, .traffic = 0.6f, .crowd = 0.6f}},
    {"night, rain", {.dusk = 1, .night = 0.85f, .rain = 0.75f, .traffic = 0.6f, .crowd = 0.6f}},
    {"fog", {.fog = 0.6f, .traffic = 0.6f, .crowd = 0.6f}},
    {"snow", {.snow = 0.8f, .traffic = 0.6f, .crowd = 0.6f}}};

#define TRIAL_SEED 501

struct trial_samples {
    struct town_samples town; /* its first place holds the town of sample n / TOWN_TRIAL_FRAMES */
    const struct town_trial *trials;
    uint64_t trial_count;
};

static enum status open_trial_town(struct trial_samples *p, uint64_t seed, uint64_t trial,
                                   struct error *err)
{
    struct town_options o;
    town_options_init(&o);
    o.seed = seed;
    o.width = p->town.width;
    o.height = p->town.height;
    p->town.scenario.town.keyframes[0].condition = p->trials[trial].condition;
    o.scenario = &p->town.scenario;
    town_close(&p->town.towns[0]);
    enum status st = town_open(&o, &p->town.towns[0], err);
    if (st == ST_OK)
        p->town.town_seeds[0] = seed;
    return st;
}

static enum status draw_trial(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                              struct label_map *labels, struct error *err)
{
    (void)r; /* the same frames for everyone */
    struct trial_samples *p = (struct trial_samples *)s;
    uint64_t town = n / TOWN_TRIAL_FRAMES, i = n % TOWN_TRIAL_FRAMES;
    enum status st = ST_OK;
    if (!p->town.towns[0] || p->town.town_seeds[0] != TRIAL_SEED + town)
        st = open_trial_town(p, TRIAL_SEED + town, town % p->trial_count, err);
    if (st != ST_OK)
        return st;
    uint64_t t_us = 30000000u + i * 17300000u;
    return town_render(p->town.towns[0], (int)(i & 1), t_us, frame, labels, NULL, 0, NULL, err);
}

enum status town_trial_samples_open(const struct task_spec *spec, const struct town_trial *trials,
                                    int trial_count, struct samples **ret, struct error *err)
{
    static const struct samples_kind kind = {draw_trial, close_town};
    struct trial_samples *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory for the town");
    init(&p->town, spec, &kind);
    p->trials = trials;
    p->trial_count = (uint64_t)trial_count;
    enum status st = scenario_preset("clear", &p->town.scenario, err);
    if (st != ST_OK) {
        close_town(&p->town.head);
        return st;
    }
    *ret = &p->town.head;
    return ST_OK;
}
