/* pretrain.c - the training loop. Classes are weighed by a fixed power of their frequency in the
 * town, so that people and cyclists are not lost among houses and road. */
#include "train/pretrain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/checkpoint.h"
#include "nn/loss.h"
#include "nn/session.h"

#define TOWNS 8
#define TOWN_CAMERAS 4
#define TOWN_LIFE_SAMPLES 640 /* of all towns together, until one has been replaced by another */
#define TOWN_SPAN_S 2000
#define BATCH_MAX 64
#define SCORE_EVERY 10
#define SCORES 20

/* (mean frequency / frequency) ^ 0.35 of the town's classes, measured over 400 frames. */
static const float class_weight[TOWN_CLASS_COUNT] = {1.20f, 0.62f, 0.75f, 1.10f, 1.24f,
                                                     1.36f, 1.37f, 1.26f, 1.41f, 2.40f};

struct pretrain {
    struct pretrain_options options;
    const struct nn_model *model;
    struct segment_spec spec;
    struct nn_session *session;
    struct nn_optimizer *optimizer;
    struct scenario scenario;
    struct town *towns[TOWNS];
    uint64_t town_seeds[TOWNS];
    struct frame frame;
    uint8_t *labels, *predicted; /* [batch][height][width] */
    uint64_t step;
    struct confusion scores[SCORES];
    uint64_t scored;
};

void pretrain_options_init(struct pretrain_options *o)
{
    *o = (struct pretrain_options){.seed = 1,
                                   .steps = 1000,
                                   .batch = 8,
                                   .learning_rate = 2e-3f,
                                   .weight_decay = 1e-4f,
                                   .threads = 1,
                                   .scenario = "clear"};
}

/* A segmentation network whose classes are the town's, with logits of its input's size. */
static enum status read_spec(const struct nn_model *m, struct segment_spec *spec, struct error *err)
{
    enum status st = segment_spec_read(m, spec, err);
    if (st != ST_OK)
        return st;
    bool same = spec->class_count == TOWN_CLASS_COUNT && spec->width == spec->out_width &&
                spec->height == spec->out_height;
    for (int i = 0; same && i < TOWN_CLASS_COUNT; i++)
        same = strcmp(spec->class_name[i], town_class_names[i]) == 0;
    if (!same)
        return error_set(err, ST_UNSUPPORTED,
                         "this network is not for the town: it needs the town's %d classes in "
                         "their order and logits of its input's size",
                         TOWN_CLASS_COUNT);
    return ST_OK;
}

static enum status check(const struct pretrain_options *o, struct error *err)
{
    if (o->steps < 1 || o->steps > PRETRAIN_STEPS_MAX || o->batch < 1 || o->batch > BATCH_MAX ||
        !(o->learning_rate > 0 && o->learning_rate < 1) ||
        !(o->weight_decay >= 0 && o->weight_decay < 1) ||
        !(o->color_jitter >= 0 && o->color_jitter <= 1))
        return error_set(err, ST_INVALID,
                         "pre-training takes 1 to %d steps, a batch of 1 to %d, a learning rate "
                         "and a weight decay below 1, a colour jitter of 0 to 1",
                         PRETRAIN_STEPS_MAX, BATCH_MAX);
    return ST_OK;
}

static enum status open_engine(struct pretrain *p, struct error *err)
{
    struct nn_session_options so;
    nn_session_options_init(&so);
    so.mode = NN_TRAIN;
    so.batch = p->options.batch;
    so.threads = p->options.threads;
    so.bn_mode = NN_BN_BATCH;
    enum status st = nn_session_open(p->model, &so, &p->session, err);
    if (st != ST_OK)
        return st;
    struct nn_optimizer_options oo;
    nn_optimizer_options_init(&oo);
    oo.kind = NN_ADAM;
    oo.learning_rate = p->options.learning_rate;
    oo.weight_decay = p->options.weight_decay;
    return nn_optimizer_open(nn_model_trainable_count(p->model), &oo, &p->optimizer, err);
}

enum status pretrain_open(const struct nn_model *m, const struct pretrain_options *options,
                          struct pretrain **ret, struct error *err)
{
    enum status st = check(options, err);
    if (st != ST_OK)
        return st;
    struct pretrain *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, ST_NOMEM, "no memory to train");
    p->options = *options;
    p->model = m;
    st = read_spec(m, &p->spec, err);
    if (st == ST_OK)
        st = scenario_preset(options->scenario, &p->scenario, err);
    if (st == ST_OK)
        st = open_engine(p, err);
    size_t n = (size_t)p->spec.width * (size_t)p->spec.height;
    if (st == ST_OK) {
        p->frame = (struct frame){
            .width = p->spec.width, .height = p->spec.height, .pixels = malloc(3 * n)};
        p->labels = malloc(n * (size_t)options->batch);
        p->predicted = malloc(n * (size_t)options->batch);
        if (!p->frame.pixels || !p->labels || !p->predicted)
            st = error_set(err, ST_NOMEM, "no memory to train");
    }
    if (st != ST_OK) {
        pretrain_close(&p);
        return st;
    }
    *ret = p;
    return ST_OK;
}

void pretrain_close(struct pretrain **p)
{
    if (!p || !*p)
        return;
    for (int i = 0; i < TOWNS; i++)
        town_close(&(*p)->towns[i]);
    nn_session_close(&(*p)->session);
    nn_optimizer_close(&(*p)->optimizer);
    free((*p)->frame.pixels);
    free((*p)->labels);
    free((*p)->predicted);
    free(*p);
    *p = NULL;
}

/* The town that stands in place `slot` at sample n; places change one after the other. */
static enum status town_at(struct pretrain *p, uint32_t slot, uint64_t n, struct town **ret,
                           struct error *err)
{
    uint64_t generation = (n + (uint64_t)slot * TOWN_LIFE_SAMPLES) / (TOWNS * TOWN_LIFE_SAMPLES);
    uint64_t seed =
        PRETRAIN_SEED_MIN + rng_hash(p->options.seed, slot, generation, 1) % 1000000000u;
    if (p->towns[slot] && p->town_seeds[slot] == seed) {
        *ret = p->towns[slot];
        return ST_OK;
    }
    town_close(&p->towns[slot]);
    struct town_options o;
    town_options_init(&o);
    o.seed = seed;
    o.cameras = TOWN_CAMERAS;
    o.width = p->spec.width;
    o.height = p->spec.height;
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

static void mirror(struct frame *f, uint8_t *labels)
{
    for (int y = 0; y < f->height; y++) {
        uint8_t *row = f->pixels + (size_t)y * (size_t)f->width * 3;
        uint8_t *classes = labels + (size_t)y * (size_t)f->width;
        for (int a = 0, b = f->width - 1; a < b; a++, b--) {
            uint8_t pixel[3], c = classes[a];
            memcpy(pixel, row + 3 * a, 3);
            memcpy(row + 3 * a, row + 3 * b, 3);
            memcpy(row + 3 * b, pixel, 3);
            classes[a] = classes[b];
            classes[b] = c;
        }
    }
}

static float between(struct rng *r, float low, float high)
{
    return low + (high - low) * rng_float(r);
}

/* Another camera's exposure, gamma, contrast and white balance; amount 0..1. */
static void jitter_colors(struct frame *f, struct rng *r, float amount)
{
    uint8_t table[3][256];
    float gain = expf(amount * between(r, -1.2f, 0.3f)),
          gamma = expf(amount * between(r, -0.5f, 0.5f));
    float contrast = 1 - amount * between(r, 0, 0.6f), gray = between(r, 0.2f, 0.7f) * gain;
    for (int c = 0; c < 3; c++) {
        float tint = expf(amount * between(r, -0.25f, 0.25f));
        for (int v = 0; v < 256; v++) {
            float x = gain * tint * powf((float)v / 255.0f, gamma);
            x = gray + (x - gray) * contrast;
            table[c][v] = (uint8_t)(fminf(fmaxf(x, 0), 1) * 255.0f + 0.5f);
        }
    }
    size_t n = (size_t)f->width * (size_t)f->height;
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            f->pixels[3 * i + (size_t)c] = table[c][f->pixels[3 * i + (size_t)c]];
}

static enum status draw_sample(struct pretrain *p, int index, struct error *err)
{
    uint64_t n = p->step * (uint64_t)p->options.batch + (uint64_t)index;
    struct rng r;
    rng_init(&r, p->options.seed, n);
    struct town *town = NULL;
    enum status st = town_at(p, rng_below(&r, TOWNS), n, &town, err);
    if (st != ST_OK)
        return st;
    size_t pixels = (size_t)p->spec.width * (size_t)p->spec.height;
    struct label_map labels = {p->spec.width, p->spec.height, p->labels + (size_t)index * pixels};
    int camera = (int)rng_below(&r, TOWN_CAMERAS);
    uint64_t t_us = (uint64_t)rng_below(&r, TOWN_SPAN_S * 1000u) * 1000u;
    st = town_render(town, camera, t_us, &p->frame, &labels, NULL, 0, NULL, err);
    if (st != ST_OK)
        return st;
    if (rng_below(&r, 2))
        mirror(&p->frame, labels.classes);
    if (p->options.color_jitter > 0)
        jitter_colors(&p->frame, &r, p->options.color_jitter);
    struct nn_view input = nn_session_input(p->session, 0);
    segment_input(&p->spec, &p->frame, &input, index);
    return ST_OK;
}

static float learning_rate(const struct pretrain *p)
{
    double done = (double)p->step / (double)p->options.steps, warm = 0.02;
    double k = done < warm ? (done + 1.0 / (double)p->options.steps) / warm
                           : 0.5 + 0.5 * cos(3.14159265358979 * (done - warm) / (1 - warm));
    return p->options.learning_rate * (float)fmin(1, fmax(k, 0.005));
}

static void score(struct pretrain *p, const struct nn_view *logits)
{
    struct confusion *c = &p->scores[p->scored++ % SCORES];
    size_t n = (size_t)p->spec.width * (size_t)p->spec.height * (size_t)p->options.batch;
    nn_argmax(logits, NULL, p->predicted);
    confusion_init(c, TOWN_CLASS_COUNT);
    confusion_add(c, p->labels, p->predicted, n);
}

static double recent_miou(const struct pretrain *p)
{
    struct confusion all;
    confusion_init(&all, TOWN_CLASS_COUNT);
    for (uint64_t i = 0; i < SCORES && i < p->scored; i++)
        confusion_merge(&all, &p->scores[i]);
    return confusion_miou(&all);
}

enum status pretrain_advance(struct pretrain *p, struct pretrain_step *ret, struct error *err)
{
    if (p->step >= p->options.steps)
        return ST_END;
    enum status st = ST_OK;
    for (int i = 0; i < p->options.batch && st == ST_OK; i++)
        st = draw_sample(p, i, err);
    if (st == ST_OK)
        st = nn_session_forward(p->session, err);
    if (st != ST_OK)
        return st;
    struct nn_view logits = nn_session_output(p->session, 0);
    struct nn_view grad = nn_session_output_grad(p->session, 0);
    struct nn_ce_options ce = {.class_weight = class_weight};
    double loss = nn_loss_hard(&logits, p->labels, &ce, 1, &grad);
    if (p->step % SCORE_EVERY == 0)
        score(p, &logits);
    st = nn_session_backward(p->session, err);
    if (st != ST_OK)
        return st;
    nn_optimizer_set_learning_rate(p->optimizer, learning_rate(p));
    nn_optimizer_step(p->optimizer, nn_session_params(p->session), nn_session_grads(p->session),
                      NULL);
    nn_session_params_changed(p->session);
    p->step++;
    *ret = (struct pretrain_step){p->step, loss, recent_miou(p)};
    return ST_OK;
}

const float *pretrain_params(const struct pretrain *p)
{
    return nn_session_params(p->session);
}

enum status pretrain_save(const struct pretrain *p, const char *path, struct error *err)
{
    return nn_checkpoint_write(path, p->model, pretrain_params(p), p->optimizer, p->step, err);
}

enum status pretrain_resume(struct pretrain *p, const char *path, struct error *err)
{
    enum status st = nn_checkpoint_read(path, p->model, nn_session_params(p->session), p->optimizer,
                                        &p->step, err);
    if (st == ST_OK)
        nn_session_params_changed(p->session);
    return st;
}

const struct pretrain_trial pretrain_trials[PRETRAIN_TRIAL_COUNT] = {
    {"clear", {.traffic = 0.6f, .crowd = 0.6f}},
    {"dusk", {.dusk = 1, .traffic = 0.6f, .crowd = 0.6f}},
    {"night", {.dusk = 1, .night = 0.85f, .traffic = 0.6f, .crowd = 0.6f}},
    {"rain", {.rain = 0.75f, .traffic = 0.6f, .crowd = 0.6f}},
    {"night, rain", {.dusk = 1, .night = 0.85f, .rain = 0.75f, .traffic = 0.6f, .crowd = 0.6f}},
    {"fog", {.fog = 0.6f, .traffic = 0.6f, .crowd = 0.6f}},
    {"snow", {.snow = 0.8f, .traffic = 0.6f, .crowd = 0.6f}}};

struct trial_run {
    struct nn_session *session;
    struct segment_spec spec;
    struct frame frame;
    struct label_map labels;
    uint8_t *predicted;
    struct confusion confusion;
};

#define TRIAL_SEED 501
#define TRIAL_TOWN_FRAMES 6 /* of two cameras */

static enum status score_town(struct trial_run *r, const struct scenario *s, uint64_t seed,
                              int frames, struct error *err)
{
    struct town_options o;
    town_options_init(&o);
    o.seed = seed;
    o.width = r->spec.width;
    o.height = r->spec.height;
    o.scenario = s;
    struct town *town = NULL;
    enum status st = town_open(&o, &town, err);
    for (int i = 0; i < frames && st == ST_OK; i++) {
        uint64_t t_us = 30000000u + (uint64_t)i * 17300000u;
        st = town_render(town, i & 1, t_us, &r->frame, &r->labels, NULL, 0, NULL, err);
        struct nn_view input = nn_session_input(r->session, 0);
        if (st == ST_OK) {
            segment_input(&r->spec, &r->frame, &input, 0);
            st = nn_session_forward(r->session, err);
        }
        if (st != ST_OK)
            break;
        struct nn_view logits = nn_session_output(r->session, 0);
        nn_argmax(&logits, NULL, r->predicted);
        confusion_add(&r->confusion, r->labels.classes, r->predicted,
                      (size_t)r->spec.width * (size_t)r->spec.height);
    }
    town_close(&town);
    return st;
}

static enum status open_trial(struct trial_run *r, const struct nn_model *m, const float *params,
                              int threads, struct error *err)
{
    enum status st = read_spec(m, &r->spec, err);
    if (st != ST_OK)
        return st;
    struct nn_session_options so;
    nn_session_options_init(&so);
    so.threads = threads;
    st = nn_session_open(m, &so, &r->session, err);
    if (st != ST_OK)
        return st;
    if (params) {
        memcpy(nn_session_params(r->session), params, nn_model_param_count(m) * sizeof *params);
        nn_session_params_changed(r->session);
    }
    size_t n = (size_t)r->spec.width * (size_t)r->spec.height;
    r->frame =
        (struct frame){.width = r->spec.width, .height = r->spec.height, .pixels = malloc(3 * n)};
    r->labels = (struct label_map){r->spec.width, r->spec.height, malloc(n)};
    r->predicted = malloc(n);
    confusion_init(&r->confusion, TOWN_CLASS_COUNT);
    if (!r->frame.pixels || !r->labels.classes || !r->predicted)
        return error_set(err, ST_NOMEM, "no memory to score a network");
    return ST_OK;
}

static void summarise(const struct confusion *c, int frames, struct pretrain_score *ret)
{
    ret->miou = confusion_miou(c);
    ret->frames = frames;
    for (int k = 0; k < TOWN_CLASS_COUNT; k++) {
        uint64_t both = c->count[k][k], either = 0;
        for (int j = 0; j < TOWN_CLASS_COUNT; j++)
            either += c->count[k][j] + (j == k ? 0 : c->count[j][k]);
        ret->class_iou[k] = either ? (double)both / (double)either : NAN;
    }
}

enum status pretrain_evaluate(const struct nn_model *m, const float *params,
                              const struct pretrain_trial *trial, int frames, int threads,
                              struct pretrain_score *ret, struct error *err)
{
    struct trial_run *r = calloc(1, sizeof *r);
    struct scenario s;
    if (!r)
        return error_set(err, ST_NOMEM, "no memory to score a network");
    enum status st = open_trial(r, m, params, threads, err);
    if (st == ST_OK)
        st = scenario_preset("clear", &s, err);
    for (int done = 0; done < frames && st == ST_OK; done += TRIAL_TOWN_FRAMES) {
        int n = frames - done < TRIAL_TOWN_FRAMES ? frames - done : TRIAL_TOWN_FRAMES;
        s.town.keyframes[0].condition = trial->condition;
        st = score_town(r, &s, TRIAL_SEED + (uint64_t)(done / TRIAL_TOWN_FRAMES), n, err);
    }
    if (st == ST_OK)
        summarise(&r->confusion, frames, ret);
    nn_session_close(&r->session);
    free(r->frame.pixels);
    free(r->labels.classes);
    free(r->predicted);
    free(r);
    return st;
}
