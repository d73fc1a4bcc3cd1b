/* slot.c - one session, one update, one atomic word between the threads.
 *
 * `offer` says whose the update is, and who may write the session's parameters:
 *   NONE    the updater's. It reads the parameters to decode; nobody writes them.
 *   READY   the reader's, from the updater's store on. The reader exchanges update and parameters
 *           before its next frame, sees what the student answers, and gives the update back as
 *   TAKEN   it runs, or
 *   REFUSED it was undone. Either is the updater's again; slot_settle makes it NONE.
 */
#include "edge/slot.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/update.h"
#include "nn/checkpoint.h"

enum offer { OFFER_NONE, OFFER_READY, OFFER_TAKEN, OFFER_REFUSED };

struct slot {
    const struct nn_model *model;
    struct delta_model delta_model;
    struct nn_session *session;
    struct delta_update *update;
    size_t count; /* parameters */
    int threads;
    _Atomic(enum offer) offer;
    _Atomic uint64_t version; /* of the session's parameters */
};

static enum status open_parts(struct slot *s, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.logits = true;
    o.threads = s->threads;
    o.precision = nn_precision_of_model(s->model);
    enum status st = nn_session_open(s->model, &o, &s->session, err);
    if (st == ST_OK)
        st = delta_model_init(s->model, &s->delta_model, err);
    return st == ST_OK ? delta_update_open(&s->delta_model, &s->update, err) : st;
}

enum status slot_open(const struct nn_model *m, int threads, struct slot **ret, struct error *err)
{
    struct slot *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the model slot");
    s->model = m;
    s->threads = threads;
    s->count = nn_model_param_count(m);
    enum status st = open_parts(s, err);
    if (st == ST_OK)
        *ret = s;
    else
        slot_close(&s);
    return st;
}

void slot_close(struct slot **s)
{
    if (!s || !*s)
        return;
    delta_update_close(&(*s)->update);
    delta_model_clear(&(*s)->delta_model);
    nn_session_close(&(*s)->session);
    free(*s);
    *s = NULL;
}

struct nn_session *slot_session(struct slot *s)
{
    return s->session;
}

uint64_t slot_version(const struct slot *s)
{
    return atomic_load(&s->version);
}

/* ---- reader ---- */

static void exchange(struct slot *s)
{
    delta_update_exchange(s->update, nn_session_params(s->session), s->threads);
    for (size_t begin = 0, end; delta_update_part(s->update, &begin, &end); begin = end)
        nn_session_params_changed_in(s->session, begin, end);
}

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

static bool finite_view(const struct nn_view *v)
{
    size_t span = 1;
    for (int i = 0; i < v->rank; i++)
        span += (size_t)((v->dim[i] - 1) * v->stride[i]);
    return all_finite(v->data, span);
}

/* Of the update's tensors. The answer of a session in int8 is finite whatever its weights are. */
static bool finite_update(const struct slot *s)
{
    const float *params = nn_session_params(s->session);
    for (size_t begin = 0, end; delta_update_part(s->update, &begin, &end); begin = end)
        if (!all_finite(params + begin, end - begin))
            return false;
    return true;
}

/* The first frame with the update. An answer that is not finite is seen before anyone relies on it.
 */
static enum status forward_updated(struct slot *s, struct error *err)
{
    uint64_t version = delta_update_version(s->update);
    exchange(s);
    enum status st = nn_session_forward(s->session, err);
    if (st != ST_OK)
        return st;
    const struct nn_view logits = nn_session_output(s->session, 0);
    if (finite_view(&logits) && finite_update(s)) {
        atomic_store(&s->version, version);
        atomic_store(&s->offer, OFFER_TAKEN);
        return ST_OK;
    }
    exchange(s);
    atomic_store(&s->offer, OFFER_REFUSED);
    return nn_session_forward(s->session, err);
}

enum status slot_forward(struct slot *s, uint64_t *ret_version, struct error *err)
{
    enum status st = atomic_load(&s->offer) == OFFER_READY ? forward_updated(s, err)
                                                           : nn_session_forward(s->session, err);
    *ret_version = slot_version(s);
    return st;
}

/* ---- updater ---- */

enum status slot_settle(struct slot *s, struct error *err)
{
    enum offer offer = atomic_load(&s->offer);
    if (offer == OFFER_READY)
        return error_set(err, ST_AGAIN, "no frame has come since the update");
    atomic_store(&s->offer, OFFER_NONE);
    delta_update_clear(s->update);
    if (offer == OFFER_REFUSED)
        return error_set(err, ST_INVALID,
                         "with these parameters the student's answer is not a "
                         "number; the update was refused");
    return ST_OK;
}

/* ST_AGAIN unless the update is the updater's; an outcome that nobody asked for is forgotten. */
static enum status take_back(struct slot *s, struct error *err)
{
    enum status st = slot_settle(s, err);
    return st == ST_INVALID ? ST_OK : st;
}

enum status slot_offer(struct slot *s, const void *delta, size_t n, bool *ret_offered,
                       struct error *err)
{
    bool applies = false;
    enum status st = take_back(s, err);
    if (st == ST_OK)
        st = delta_update_decode(s->update, delta, n, slot_version(s),
                                 nn_session_params(s->session), NULL, &applies, err);
    if (st != ST_OK)
        return st;
    if (applies)
        atomic_store(&s->offer, OFFER_READY);
    *ret_offered = applies;
    return ST_OK;
}

enum status slot_offer_reset(struct slot *s, struct error *err)
{
    enum status st = take_back(s, err);
    if (st != ST_OK)
        return st;
    memcpy(delta_update_whole(s->update, 0), nn_model_values(s->model), s->count * sizeof(float));
    atomic_store(&s->offer, OFFER_READY);
    return ST_OK;
}

enum status slot_save(const struct slot *s, const char *path, struct error *err)
{
    return nn_checkpoint_write(path, s->model, nn_session_params(s->session), NULL, slot_version(s),
                               NULL, err);
}

enum status slot_load(struct slot *s, const char *path, struct error *err)
{
    enum status st = take_back(s, err);
    if (st != ST_OK)
        return st;
    uint64_t version;
    float *whole = delta_update_whole(s->update, 0);
    st = nn_checkpoint_read(path, s->model, whole, NULL, NULL, &version, err);
    if (st != ST_OK) {
        delta_update_clear(s->update);
        return st;
    }
    delta_update_whole(s->update, version);
    atomic_store(&s->offer, OFFER_READY);
    st = slot_forward(s, &version, err);
    return st == ST_OK ? slot_settle(s, err) : st;
}

uint32_t slot_params_crc32(const struct slot *s)
{
    return file_crc32(nn_session_params(s->session), s->count * sizeof(float));
}
