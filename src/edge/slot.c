/* slot.c - two sides, one atomic offer between the threads.
 *
 * `offered` is the only thing that both threads write. The updater puts a finished side there, the
 * reader takes it between two frames. To reuse the idle side the updater first tries to take its
 * own offer back: when that succeeds the reader never saw it, when it fails the reader has moved
 * to it for good and the other side is idle. Either way no session is ever shared.
 *
 * An update is tried in `trial`, a copy of the newest parameters, so that a damaged one costs
 * nothing; then it is written to the idle side and run there once on whatever is in its input.
 */
#include "edge/slot.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/delta.h"
#include "nn/checkpoint.h"

struct side {
    struct nn_session *session;
    uint64_t version;
};

struct slot {
    const struct nn_model *model;
    struct delta_model delta_model;
    size_t count; /* parameters */
    struct side sides[2];
    struct side *active;            /* reader's */
    struct side *idle;              /* updater's; sides[] other than the last one offered */
    _Atomic(struct side *) offered; /* NULL: none, or taken */
    float *newest, *trial;          /* updater's, count each */
    _Atomic uint64_t version;       /* of newest */
};

static enum status open_parts(struct slot *s, int threads, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = threads;
    for (int i = 0; i < 2; i++) {
        enum status st = nn_session_open(s->model, &o, &s->sides[i].session, err);
        if (st != ST_OK)
            return st;
    }
    s->newest = malloc(s->count * sizeof *s->newest);
    s->trial = malloc(s->count * sizeof *s->trial);
    if (!s->newest || !s->trial)
        return error_set(err, ST_NOMEM, "no memory for %zu parameters", s->count);
    memcpy(s->newest, nn_model_values(s->model), s->count * sizeof *s->newest);
    return delta_model_init(s->model, &s->delta_model, err);
}

enum status slot_open(const struct nn_model *m, int threads, struct slot **ret, struct error *err)
{
    struct slot *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the model slot");
    s->model = m;
    s->count = nn_model_param_count(m);
    enum status st = open_parts(s, threads, err);
    if (st != ST_OK) {
        slot_close(&s);
        return st;
    }
    s->active = &s->sides[0];
    s->idle = &s->sides[1];
    *ret = s;
    return ST_OK;
}

void slot_close(struct slot **s)
{
    if (!s || !*s)
        return;
    for (int i = 0; i < 2; i++)
        nn_session_close(&(*s)->sides[i].session);
    delta_model_clear(&(*s)->delta_model);
    free((*s)->newest);
    free((*s)->trial);
    free(*s);
    *s = NULL;
}

struct nn_session *slot_take(struct slot *s, uint64_t *ret_version)
{
    struct side *offer = atomic_exchange(&s->offered, NULL);
    if (offer)
        s->active = offer;
    *ret_version = s->active->version;
    return s->active->session;
}

uint64_t slot_version(const struct slot *s)
{
    return atomic_load(&s->version);
}

static bool finite_view(const struct nn_view *v)
{
    int64_t span = 1;
    for (int i = 0; i < v->rank; i++)
        span += (v->dim[i] - 1) * v->stride[i];
    for (int64_t i = 0; i < span; i++)
        if (!isfinite(v->data[i]))
            return false;
    return true;
}

/* Brings the idle session to `params` and runs it once: weights are reordered here, not on the
 * reader's first frame, and an answer that is not finite is seen before anyone relies on it. */
static enum status load_idle(struct slot *s, const float *params, struct error *err)
{
    struct nn_session *session = s->idle->session;
    memcpy(nn_session_params(session), params, s->count * sizeof *params);
    nn_session_params_changed(session);
    enum status st = nn_session_forward(session, err);
    if (st != ST_OK)
        return st;
    const struct nn_view logits = nn_session_output(session, 0);
    if (!finite_view(&logits))
        return error_set(err, ST_INVALID,
                         "with these parameters the student's answer is not a "
                         "number; the update was refused");
    return ST_OK;
}

static void offer_idle(struct slot *s, uint64_t version)
{
    struct side *ready = s->idle;
    ready->version = version;
    s->idle = ready == &s->sides[0] ? &s->sides[1] : &s->sides[0];
    atomic_store(&s->offered, ready);
}

/* Makes `trial` the newest parameters, as `version`, and offers them. */
static enum status offer_trial(struct slot *s, uint64_t version, struct error *err)
{
    struct side *withdrawn = atomic_exchange(&s->offered, NULL);
    if (withdrawn)
        s->idle = withdrawn;
    enum status st = load_idle(s, s->trial, err);
    if (st != ST_OK) {
        /* What was withdrawn was good: offer it again. */
        if (withdrawn && load_idle(s, s->newest, NULL) == ST_OK)
            offer_idle(s, slot_version(s));
        return st;
    }
    float *old = s->newest;
    s->newest = s->trial;
    s->trial = old;
    atomic_store(&s->version, version);
    offer_idle(s, version);
    return ST_OK;
}

enum status slot_apply(struct slot *s, const void *delta, size_t n, bool *ret_applied,
                       struct error *err)
{
    uint64_t version = slot_version(s);
    bool applied = false;
    memcpy(s->trial, s->newest, s->count * sizeof *s->trial);
    enum status st =
        delta_apply(&s->delta_model, delta, n, &version, s->trial, NULL, &applied, err);
    if (st == ST_OK && applied)
        st = offer_trial(s, version, err);
    if (st == ST_OK)
        *ret_applied = applied;
    return st;
}

enum status slot_reset(struct slot *s, struct error *err)
{
    memcpy(s->trial, nn_model_values(s->model), s->count * sizeof *s->trial);
    return offer_trial(s, 0, err);
}

enum status slot_save(const struct slot *s, const char *path, struct error *err)
{
    return nn_checkpoint_write(path, s->model, s->newest, NULL, slot_version(s), NULL, err);
}

enum status slot_load(struct slot *s, const char *path, struct error *err)
{
    uint64_t version;
    enum status st = nn_checkpoint_read(path, s->model, s->trial, NULL, NULL, &version, err);
    return st == ST_OK ? offer_trial(s, version, err) : st;
}

uint32_t slot_params_crc32(const struct slot *s)
{
    return file_crc32(s->newest, s->count * sizeof *s->newest);
}
