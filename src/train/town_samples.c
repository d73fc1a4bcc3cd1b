/* Pixels of classes are weighed by a fixed power of their frequency in the town, so that people and
 * cyclists are not lost among houses and road. Crops are drawn by class instead: what is in a frame
 * is as likely as what else is in it. A frame is rendered once for the crops that come from it. */
#include "train/town_samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "synth/crops.h"
#include "synth/things.h"
#include "video/crop.h"
#include "video/frame.h"

#define TOWNS 8
#define TOWN_CAMERAS 4
#define TOWN_LIFE_SAMPLES 640 /* of all towns together, until one has been replaced by another */
#define TOWN_SPAN_S 2000
#define VIEW_WIDTH 320 /* of frames that crops are cut from */
#define VIEW_HEIGHT 192

/* (mean frequency / frequency) ^ 0.35 of the town's classes, measured over 400 frames. */
static const float class_weight[TOWN_CLASS_COUNT] = {1.20f, 0.62f, 0.75f, 1.10f, 1.24f,
                                                     1.36f, 1.37f, 1.26f, 1.41f, 2.40f};

/* A frame that crops are cut from. */
struct view {
    uint64_t number; /* UINT64_MAX: none yet */
    struct frame frame;
    struct box crops[TOWN_CROPS_MAX];
    size_t count;
    struct cropper cropper;
};

struct town_samples {
    struct samples head;
    struct view *view; /* NULL: samples are frames */
    int width, height; /* of the towns' frames */
    uint64_t seed;
    struct scenario scenario;
    struct town *towns[TOWNS];
    uint64_t town_seeds[TOWNS];
};

const struct town_classes *town_classes_of(enum task_kind task)
{
    static const struct town_classes classes[] = {
        [TASK_SEGMENT] = {town_class_names, TOWN_CLASS_COUNT},
        [TASK_CLASSIFY] = {town_crop_class_names, TOWN_CROP_CLASS_COUNT},
        [TASK_DETECT] = {town_thing_names, TOWN_THING_COUNT}};
    return &classes[task];
}

enum status town_spec_read(const struct nn_model *m, struct task_spec *ret, struct error *err)
{
    struct task_spec spec;
    enum status st = task_spec_read(m, &spec, err);
    if (st != ST_OK)
        return st;
    bool pixels = spec.task == TASK_SEGMENT;
    const struct town_classes *t = town_classes_of(spec.task);
    const char *const *names = t->names;
    int count = t->count;
    bool same = spec.class_count == count &&
                (!pixels || (spec.width == spec.out_width && spec.height == spec.out_height));
    for (int i = 0; same && i < count; i++)
        same = strcmp(spec.class_name[i], names[i]) == 0;
    if (!same)
        return error_set(err, ST_UNSUPPORTED,
                         "this network is not for the town: it needs the town's %d classes in "
                         "their order%s",
                         count, pixels ? " and logits of its input's size" : "");
    *ret = spec;
    return ST_OK;
}

static void close_town(struct samples *s)
{
    struct town_samples *p = (struct town_samples *)s;
    for (int i = 0; i < TOWNS; i++)
        town_close(&p->towns[i]);
    if (p->view) {
        frame_clear(&p->view->frame);
        cropper_clear(&p->view->cropper);
        free(p->view);
    }
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

/* What a camera of a town sees at some time. */
struct moment {
    struct town *town;
    int camera;
    uint64_t t_us;
};

static enum status some_moment(struct town_samples *p, uint64_t n, struct rng *r,
                               struct moment *ret, struct error *err)
{
    enum status st = town_at(p, rng_below(r, TOWNS), n, &ret->town, err);
    if (st != ST_OK)
        return st;
    ret->camera = (int)rng_below(r, TOWN_CAMERAS);
    ret->t_us = (uint64_t)rng_below(r, TOWN_SPAN_S * 1000u) * 1000u;
    return ST_OK;
}

static enum status render(const struct moment *m, struct frame *frame, struct label_map *labels,
                          struct error *err)
{
    return town_render(m->town, m->camera, m->t_us, frame, labels, NULL, 0, NULL, err);
}

static enum status draw_town(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                             struct label_map *labels, struct error *err)
{
    struct moment m;
    enum status st = some_moment((struct town_samples *)s, n, r, &m, err);
    return st == ST_OK ? render(&m, frame, labels, err) : st;
}

/* Labels are boxes. */
static enum status render_boxes(const struct moment *m, struct frame *frame,
                                struct label_map *labels, struct error *err)
{
    struct box boxes[TOWN_BOXES_MAX];
    uint8_t class_of[TOWN_CLASS_COUNT];
    size_t count;
    for (int k = 0; k < TOWN_CLASS_COUNT; k++)
        class_of[k] = k < TOWN_THING_FIRST ? LABEL_IGNORE : (uint8_t)(k - TOWN_THING_FIRST);
    enum status st =
        town_render(m->town, m->camera, m->t_us, frame, NULL, boxes, TOWN_BOXES_MAX, &count, err);
    if (st == ST_OK)
        detect_from_boxes(boxes, count, frame->width, frame->height, class_of, TOWN_THING_SIDE_MIN,
                          labels->classes);
    return st;
}

static enum status draw_boxes(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                              struct label_map *labels, struct error *err)
{
    struct moment m;
    enum status st = some_moment((struct town_samples *)s, n, r, &m, err);
    return st == ST_OK ? render_boxes(&m, frame, labels, err) : st;
}

/* ---- crops ---- */

static enum status look(struct view *v, const struct moment *m, uint64_t number, struct rng *r,
                        struct error *err)
{
    struct box boxes[TOWN_BOXES_MAX];
    size_t count;
    enum status st = town_render(m->town, m->camera, m->t_us, &v->frame, NULL, boxes,
                                 TOWN_BOXES_MAX, &count, err);
    v->number = st == ST_OK ? number : UINT64_MAX;
    if (st == ST_OK)
        v->count = town_crops(boxes, count, v->frame.width, v->frame.height, r, v->crops);
    return st;
}

/* A class that is there, then one of its crops; NULL for an empty view. */
static const struct box *pick(const struct view *v, struct rng *r)
{
    int of_class[TOWN_CROP_CLASS_COUNT] = {0}, there = 0;
    for (size_t i = 0; i < v->count; i++)
        there += of_class[v->crops[i].class_id]++ == 0;
    if (!there)
        return NULL;
    int k = 0, skip = (int)rng_below(r, (uint32_t)there);
    while (!of_class[k] || skip-- > 0)
        k++;
    skip = (int)rng_below(r, (uint32_t)of_class[k]);
    for (const struct box *b = v->crops;; b++)
        if (b->class_id == k && skip-- == 0)
            return b;
}

/* Detectors are never exact. */
static struct box shaken(const struct box *b, struct rng *r)
{
    float w = b->x1 - b->x0, h = b->y1 - b->y0;
    float x = w * 0.1f * (rng_float(r) - 0.5f), y = h * 0.1f * (rng_float(r) - 0.5f);
    float grow = 0.15f * rng_float(r) - 0.05f;
    return (struct box){b->x0 + x - w * grow, b->y0 + y - h * grow, b->x1 + x + w * grow,
                        b->y1 + y + h * grow, b->class_id,          b->score};
}

static enum status cut(struct view *v, const struct box *box, struct frame *frame,
                       struct label_map *labels, struct error *err)
{
    const struct box whole = {.x1 = (float)v->frame.width, .y1 = (float)v->frame.height};
    memset(labels->classes, box ? box->class_id : LABEL_IGNORE,
           (size_t)labels->width * (size_t)labels->height);
    return cropper_cut(&v->cropper, &v->frame, box ? box : &whole, frame, err);
}

static enum status draw_crop(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                             struct label_map *labels, struct error *err)
{
    struct town_samples *p = (struct town_samples *)s;
    uint64_t number = n / TOWN_CROPS_A_VIEW;
    if (p->view->number != number) {
        struct rng of_view;
        struct moment m;
        rng_init(&of_view, p->seed, rng_hash(number, 0x43524f50, 0, 0));
        enum status st = some_moment(p, number, &of_view, &m, err);
        if (st == ST_OK)
            st = look(p->view, &m, number, &of_view, err);
        if (st != ST_OK)
            return st;
    }
    const struct box *box = pick(p->view, r);
    struct box moved = box ? shaken(box, r) : (struct box){.x0 = 0};
    return cut(p->view, box ? &moved : NULL, frame, labels, err);
}

static enum status init(struct town_samples *p, const struct task_spec *spec,
                        const struct samples_kind *kind, struct error *err)
{
    p->head.kind = kind;
    p->width = spec->width;
    p->height = spec->height;
    class_map_identity(spec, &p->head.map);
    memcpy(p->head.class_weight, class_weight, sizeof class_weight);
    if (spec->task != TASK_CLASSIFY)
        return ST_OK;
    for (int k = 0; k < TOWN_CROP_CLASS_COUNT; k++)
        p->head.class_weight[k] = 1;
    p->width = VIEW_WIDTH;
    p->height = VIEW_HEIGHT;
    p->view = calloc(1, sizeof *p->view);
    if (!p->view)
        return error_set(err, ST_NOMEM, "no memory for the town");
    p->view->number = UINT64_MAX;
    frame_init(&p->view->frame);
    cropper_init(&p->view->cropper);
    return frame_resize(&p->view->frame, p->width, p->height, err);
}

uint64_t town_samples_a_view(const struct task_spec *spec)
{
    return spec->task == TASK_CLASSIFY ? TOWN_CROPS_A_VIEW : 1;
}

enum status town_samples_open(const struct task_spec *spec, const char *scenario, uint64_t seed,
                              struct samples **ret, struct error *err)
{
    static const struct samples_kind kinds[] = {[TASK_SEGMENT] = {draw_town, close_town},
                                                [TASK_CLASSIFY] = {draw_crop, close_town},
                                                [TASK_DETECT] = {draw_boxes, close_town}};
    struct town_samples *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory for the town");
    enum status st = init(p, spec, &kinds[spec->task], err);
    p->seed = seed;
    snprintf(p->head.text, sizeof p->head.text, "samples=town%s\nconditions=%.63s\n",
             p->view                     ? " crops"
             : spec->task == TASK_DETECT ? " boxes"
                                         : "",
             scenario);
    if (st == ST_OK)
        st = scenario_preset(scenario, &p->scenario, err);
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

/* Frame n of the trials. */
static enum status trial_moment(struct trial_samples *p, uint64_t n, struct moment *ret,
                                struct error *err)
{
    uint64_t town = n / TOWN_TRIAL_FRAMES, i = n % TOWN_TRIAL_FRAMES;
    enum status st = ST_OK;
    if (!p->town.towns[0] || p->town.town_seeds[0] != TRIAL_SEED + town)
        st = open_trial_town(p, TRIAL_SEED + town, town % p->trial_count, err);
    if (st != ST_OK)
        return st;
    *ret = (struct moment){p->town.towns[0], (int)(i & 1), 30000000u + i * 17300000u};
    return ST_OK;
}

/* The same frames and crops for everyone, whatever r is. */
static enum status draw_trial(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                              struct label_map *labels, struct error *err)
{
    (void)r;
    struct moment m;
    enum status st = trial_moment((struct trial_samples *)s, n, &m, err);
    return st == ST_OK ? render(&m, frame, labels, err) : st;
}

static enum status draw_trial_boxes(struct samples *s, uint64_t n, struct rng *r,
                                    struct frame *frame, struct label_map *labels,
                                    struct error *err)
{
    (void)r;
    struct moment m;
    enum status st = trial_moment((struct trial_samples *)s, n, &m, err);
    return st == ST_OK ? render_boxes(&m, frame, labels, err) : st;
}

static enum status draw_trial_crop(struct samples *s, uint64_t n, struct rng *r,
                                   struct frame *frame, struct label_map *labels, struct error *err)
{
    (void)r;
    struct trial_samples *p = (struct trial_samples *)s;
    struct view *v = p->town.view;
    uint64_t number = n / TOWN_CROPS_A_VIEW;
    struct rng own;
    if (v->number != number) {
        struct moment m;
        rng_init(&own, TRIAL_SEED, number);
        enum status st = trial_moment(p, number, &m, err);
        if (st == ST_OK)
            st = look(v, &m, number, &own, err);
        if (st != ST_OK)
            return st;
    }
    rng_init(&own, TRIAL_SEED, rng_hash(n, 1, 0, 0));
    return cut(v, pick(v, &own), frame, labels, err);
}

enum status town_trial_samples_open(const struct task_spec *spec, const struct town_trial *trials,
                                    int trial_count, struct samples **ret, struct error *err)
{
    static const struct samples_kind kinds[] = {[TASK_SEGMENT] = {draw_trial, close_town},
                                                [TASK_CLASSIFY] = {draw_trial_crop, close_town},
                                                [TASK_DETECT] = {draw_trial_boxes, close_town}};
    struct trial_samples *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory for the town");
    enum status st = init(&p->town, spec, &kinds[spec->task], err);
    p->trials = trials;
    p->trial_count = (uint64_t)trial_count;
    if (st == ST_OK)
        st = scenario_preset("clear", &p->town.scenario, err);
    if (st != ST_OK) {
        close_town(&p->town.head);
        return st;
    }
    *ret = &p->town.head;
    return ST_OK;
}
