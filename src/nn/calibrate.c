/* Calibration: a float32 session with nothing fused, watched step by step (see calibrate.h). */
#include "nn/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/observe.h"

#define BINS NN_CALIBRATION_BINS
#define WIDTH_MIN 0x1p-60F

/* Bin i counts values of [(i - BINS / 2) * width, that + width). */
struct histogram {
    float lo, hi;    /* the extremes seen, with 0 */
    float width;     /* 0: nothing seen yet */
    uint32_t *count; /* [BINS]; NULL: a tensor that is not watched */
};

struct nn_calibration {
    const struct nn_graph *graph;
    struct nn_session *session;
    struct histogram *histogram; /* [tensor] */
    uint32_t *counts;
    uint64_t runs;
};

static bool is_watched(const struct nn_tensor *t)
{
    return t->dtype == NN_F32 && (t->kind == NN_TENSOR_ACTIVATION || t->kind == NN_TENSOR_INPUT);
}

static enum status histograms_make(struct nn_calibration *c, struct error *err)
{
    size_t tensors = (size_t)c->graph->tensor_count, watched = 0;
    for (size_t i = 0; i < tensors; i++)
        watched += is_watched(&c->graph->tensors[i]);
    c->histogram = calloc(tensors + 1, sizeof *c->histogram);
    c->counts = calloc(watched + 1, BINS * sizeof *c->counts);
    if (!c->histogram || !c->counts)
        return error_set(err, ST_NOMEM, "no memory for the histograms of %zu tensors", watched);
    uint32_t *next = c->counts;
    for (size_t i = 0; i < tensors; i++) {
        if (!is_watched(&c->graph->tensors[i]))
            continue;
        c->histogram[i].count = next;
        next += BINS;
    }
    return ST_OK;
}

enum status nn_calibration_open(const struct nn_model *m, const float *params, int threads,
                                struct nn_calibration **ret, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = threads;
    o.fuse = false;
    o.winograd = false; /* and with it blocks, which have padding */
    struct nn_calibration *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "no memory to calibrate a network");
    c->graph = nn_model_graph(m);
    enum status st = nn_session_open(m, &o, &c->session, err);
    if (!st)
        st = histograms_make(c, err);
    if (st) {
        nn_calibration_close(&c);
        return st;
    }
    if (params) {
        memcpy(nn_session_params(c->session), params, nn_model_param_count(m) * sizeof *params);
        nn_session_params_changed(c->session);
    }
    *ret = c;
    return ST_OK;
}

void nn_calibration_close(struct nn_calibration **c)
{
    if (!c || !*c)
        return;
    nn_session_close(&(*c)->session);
    free((*c)->histogram);
    free((*c)->counts);
    free(*c);
    *c = NULL;
}

struct nn_view nn_calibration_input(struct nn_calibration *c, int index)
{
    return nn_session_input(c->session, index);
}

struct nn_view nn_calibration_output(struct nn_calibration *c, int index)
{
    return nn_session_output(c->session, index);
}

/* --- counting --- */

/* Half as many bins for the same values, so that twice as large ones have room. */
static void widen(struct histogram *h)
{
    uint32_t half[BINS] = {0};
    for (int i = 0; i < BINS; i++)
        half[BINS / 4 + i / 2] += h->count[i];
    memcpy(h->count, half, sizeof half);
    h->width *= 2;
}

static float largest_of(const float *x, size_t n, struct histogram *h)
{
    float lo = h->lo, hi = h->hi, odd = 0;
    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        odd += x[i] - x[i]; /* 0 unless a value is not finite */
    }
    h->lo = lo;
    h->hi = hi;
    return odd == 0 ? fmaxf(-lo, hi) : NAN;
}

/* A bin stops at the largest count. */
static void count(struct histogram *h, const float *x, size_t n)
{
    float by = 1 / h->width;
    for (size_t i = 0; i < n; i++) {
        uint32_t *bin = &h->count[(int)floorf(x[i] * by) + BINS / 2];
        *bin += *bin < UINT32_MAX;
    }
}

/* A width of which BINS / 2 reach beyond `most`. */
static void fit(struct histogram *h, float most)
{
    h->width = fmaxf(h->width, WIDTH_MIN);
    while (h->width * (BINS / 2 - 1) <= most)
        widen(h);
}

static enum status see(void *context, int tensor, const float *x, size_t n, struct error *err)
{
    struct nn_calibration *c = context;
    struct histogram *h = &c->histogram[tensor];
    if (!h->count)
        return ST_OK;
    float most = largest_of(x, n, h);
    if (!isfinite(most))
        return error_set(err, ST_INVALID,
                         "a value of tensor '%.120s' is not finite: such a network or picture "
                         "cannot be calibrated",
                         c->graph->tensors[tensor].name);
    fit(h, most);
    count(h, x, n);
    return ST_OK;
}

enum status nn_calibration_run(struct nn_calibration *c, struct error *err)
{
    const struct nn_observer o = {see, c};
    enum status st = nn_session_observe(c->session, &o, err);
    c->runs += st == ST_OK;
    return st;
}

/* --- ranges --- */

static float middle(const struct histogram *h, int i)
{
    return ((float)(i - BINS / 2) + 0.5F) * h->width;
}

/* Squared differences over all values, which are taken to be in the middle of their bins; within
 * the range they are those of rounding, and none for the zeros that activations make. */
static double error_of(const struct histogram *h, struct nn_range r)
{
    double step = (double)(r.hi - r.lo) / 255, rounding = step * step / 12, sum = 0;
    for (int i = 0; i < BINS; i++) {
        double v = middle(h, i), beyond = fmax(0, fmax(v - r.hi, r.lo - v));
        sum += i == BINS / 2 ? 0 : h->count[i] * (beyond > 0 ? beyond * beyond : rounding);
    }
    return sum;
}

static struct nn_range least_error(const struct histogram *h)
{
    struct nn_range best = {h->lo, h->hi};
    double least = error_of(h, best);
    for (int k = 1; k < NN_CLIP_STEPS; k++) {
        float part = (float)k / NN_CLIP_STEPS;
        struct nn_range r = {h->lo * part, h->hi * part};
        double e = error_of(h, r);
        if (e < least) {
            least = e;
            best = r;
        }
    }
    return best;
}

static struct nn_range range_of(const struct histogram *h, enum nn_clip clip)
{
    if (h->lo == h->hi) /* zeros only: any range holds them */
        return (struct nn_range){0, 1};
    return clip == NN_CLIP_ERROR ? least_error(h) : (struct nn_range){h->lo, h->hi};
}

enum status nn_calibration_ranges(const struct nn_calibration *c, enum nn_clip clip, float headroom,
                                  struct nn_range *ret, struct error *err)
{
    if (c->runs == 0)
        return error_set(err, ST_INVALID, "a network is calibrated on at least one picture");
    for (int i = 0; i < c->graph->tensor_count; i++) {
        const struct histogram *h = &c->histogram[i];
        float wider = c->graph->tensors[i].kind == NN_TENSOR_INPUT ? 1 : headroom;
        ret[i] = h->width > 0 ? range_of(h, clip) : (struct nn_range){0, 0};
        ret[i].lo *= wider;
        ret[i].hi *= wider;
    }
    return ST_OK;
}
