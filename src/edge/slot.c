/* slot.c - sessions with one vector of parameters, one update, one atomic word between the threads.
 *
 * `offer` says whose the update is, and who may write the session's parameters:
 *   NONE    the updater's. It reads the parameters to decode; nobody writes them.
 *   READY   the reader's, from the updater's store on. The reader exchanges update and parameters
 *           before its next frame, sees what the student answers, and gives the update back as
 *   TAKEN   it runs, or
 *   REFUSED it was undone. Either is the updater's again; slot_settle makes it NONE.
 */
#include "edge/slot.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "delta/personal.h"
#include "delta/update.h"
#include "nn/checkpoint.h"

enum offer { OFFER_NONE, OFFER_READY, OFFER_TAKEN, OFFER_REFUSED };

/* A camera's own differences; the updater's alone. */
struct own {
    bool there;
    struct delta_personal delta;
    float *shared; /* the parameters without them */
};

struct slot {
    const struct nn_model *model; /* the first one */
    struct delta_model delta_model;
    struct nn_session *sessions[SLOT_SIZES_MAX]; /* the first one's parameters are what counts */
    int session_count;
    struct delta_update *update;
    struct own own, next; /* with the parameters that run; with those that are offered */
    bool renews;          /* the offer puts next in the place of own */
    size_t count;         /* parameters */
    int threads;
    _Atomic(enum offer) offer;
    _Atomic uint64_t version; /* of the session's parameters */
};

static enum status open_session(struct slot *s, const struct nn_model *m, struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.logits = true;
    o.threads = s->threads;
    o.precision = nn_precision_of_model(m);
    if (strcmp(nn_model_identity_hex(m), nn_model_identity_hex(s->model)) != 0 ||
        nn_model_param_count(m) != s->count)
        return error_set(err, ST_CONFLICT,
                         "at another input size the network has other parameters");
    enum status st = nn_session_open(m, &o, &s->sessions[s->session_count], err);
    s->session_count += st == ST_OK;
    return st;
}

static enum status open_parts(struct slot *s, const struct nn_model *const *models, int count,
                              struct error *err)
{
    enum status st = delta_model_init(s->model, &s->delta_model, err);
    for (int i = 0; i < count && st == ST_OK; i++)
        st = open_session(s, models[i], err);
    return st == ST_OK ? delta_update_open(&s->delta_model, &s->update, err) : st;
}

enum status slot_open(const struct nn_model *const *models, int count, int threads,
                      struct slot **ret, struct error *err)
{
    assert(count >= 1 && count <= SLOT_SIZES_MAX);
    struct slot *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the model slot");
    s->model = models[0];
    s->threads = threads;
    s->count = nn_model_param_count(s->model);
    enum status st = open_parts(s, models, count, err);
    if (st == ST_OK)
        *ret = s;
    else
        slot_close(&s);
    return st;
}

static void own_clear(struct own *o)
{
    delta_personal_clear(&o->delta);
    free(o->shared);
    *o = (struct own){.there = false};
}

void slot_close(struct slot **s)
{
    if (!s || !*s)
        return;
    own_clear(&(*s)->own);
    own_clear(&(*s)->next);
    delta_update_close(&(*s)->update);
    delta_model_clear(&(*s)->delta_model);
    for (int i = 0; i < (*s)->session_count; i++)
        nn_session_close(&(*s)->sessions[i]);
    free(*s);
    *s = NULL;
}

struct nn_session *slot_session(struct slot *s, int size)
{
    assert(size >= 0 && size < s->session_count);
    return s->sessions[size];
}

static float *params_of(const struct slot *s)
{
    return nn_session_params(s->sessions[0]);
}

uint64_t slot_version(const struct slot *s)
{
    return atomic_load(&s->version);
}

/* ---- reader ---- */

/* Parameters from begin up to end changed in the first session. */
static void spread(struct slot *s, size_t begin, size_t end)
{
    nn_session_params_changed_in(s->sessions[0], begin, end);
    for (int i = 1; i < s->session_count; i++) {
        memcpy(nn_session_params(s->sessions[i]) + begin, params_of(s) + begin,
               (end - begin) * sizeof(float));
        nn_session_params_changed_in(s->sessions[i], begin, end);
    }
}

static void exchange(struct slot *s)
{
    delta_update_exchange(s->update, params_of(s), s->threads);
    for (size_t begin = 0, end; delta_update_part(s->update, &begin, &end); begin = end)
        spread(s, begin, end);
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
    const float *params = params_of(s);
    for (size_t begin = 0, end; delta_update_part(s->update, &begin, &end); begin = end)
        if (!all_finite(params + begin, end - begin))
            return false;
    return true;
}

/* The first frame with the update. An answer that is not finite is seen before anyone relies on it.
 */
static enum status forward_updated(struct slot *s, struct nn_session *session, struct error *err)
{
    uint64_t version = delta_update_version(s->update);
    exchange(s);
    enum status st = nn_session_forward(session, err);
    if (st != ST_OK)
        return st;
    const struct nn_view logits = nn_session_output(session, 0);
    if (finite_view(&logits) && finite_update(s)) {
        atomic_store(&s->version, version);
        atomic_store(&s->offer, OFFER_TAKEN);
        return ST_OK;
    }
    exchange(s);
    atomic_store(&s->offer, OFFER_REFUSED);
    return nn_session_forward(session, err);
}

enum status slot_forward(struct slot *s, int size, uint64_t *ret_version, struct error *err)
{
    struct nn_session *session = slot_session(s, size);
    enum status st = atomic_load(&s->offer) == OFFER_READY ? forward_updated(s, session, err)
                                                           : nn_session_forward(session, err);
    *ret_version = slot_version(s);
    return st;
}

/* ---- updater ---- */

/* The parameters of the version, which are the server's, too. */
static const float *shared_of(const struct slot *s)
{
    return s->own.there ? s->own.shared : params_of(s);
}

static void settle_own(struct slot *s, bool taken)
{
    if (s->renews && taken) {
        own_clear(&s->own);
        s->own = s->next;
        s->next = (struct own){.there = false};
    }
    own_clear(&s->next);
    s->renews = false;
}

enum status slot_settle(struct slot *s, struct error *err)
{
    enum offer offer = atomic_load(&s->offer);
    if (offer == OFFER_READY)
        return error_set(err, ST_AGAIN, "no frame has come since the update");
    atomic_store(&s->offer, OFFER_NONE);
    delta_update_clear(s->update);
    settle_own(s, offer == OFFER_TAKEN);
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

/* Offers shared + differences, of next, as a whole vector. */
static void offer_next(struct slot *s, const float *shared, uint64_t version)
{
    float *whole = delta_update_whole(s->update, version);
    memcpy(whole, shared, s->count * sizeof *whole);
    if (s->next.there)
        delta_personal_put(&s->next.delta, shared, whole);
    s->renews = true;
    atomic_store(&s->offer, OFFER_READY);
}

/* next: a copy of the shared parameters, and of these differences. */
static enum status prepare_next(struct slot *s, const struct delta_personal *p, struct error *err)
{
    float *shared = malloc(s->count * sizeof *shared);
    struct delta_personal copy = {.count = 0};
    if (!shared || delta_personal_copy(p, &copy, err) != ST_OK) {
        free(shared);
        return error_set(err, ST_NOMEM, "no memory for a camera's own differences");
    }
    memcpy(shared, shared_of(s), s->count * sizeof *shared);
    s->next = (struct own){.there = true, .delta = copy, .shared = shared};
    return ST_OK;
}

/* The update that was decoded changes the shared parameters; the differences stay. */
static enum status offer_under_own(struct slot *s, struct error *err)
{
    uint64_t version = delta_update_version(s->update);
    enum status st = prepare_next(s, &s->own.delta, err);
    if (st != ST_OK) {
        delta_update_clear(s->update);
        return st;
    }
    delta_update_exchange(s->update, s->next.shared, 1);
    offer_next(s, s->next.shared, version);
    return ST_OK;
}

enum status slot_offer(struct slot *s, const void *delta, size_t n, bool *ret_offered,
                       struct error *err)
{
    bool applies = false;
    enum status st = take_back(s, err);
    if (st == ST_OK)
        st = delta_update_decode(s->update, delta, n, slot_version(s), shared_of(s), NULL, &applies,
                                 err);
    if (st == ST_OK && applies && s->own.there)
        st = offer_under_own(s, err);
    else if (st == ST_OK && applies)
        atomic_store(&s->offer, OFFER_READY);
    if (st == ST_OK)
        *ret_offered = applies;
    return st;
}

enum status slot_offer_personal(struct slot *s, const void *delta, size_t n, bool *ret_offered,
                                struct error *err)
{
    struct delta_personal p = {.count = 0};
    enum status st = take_back(s, err);
    if (st == ST_OK && n == 0) {
        *ret_offered = s->own.there;
        if (s->own.there)
            offer_next(s, s->own.shared, slot_version(s));
        return ST_OK;
    }
    if (st == ST_OK)
        st = delta_personal_read(&s->delta_model, delta, n, slot_version(s), &p, err);
    if (st == ST_OK)
        st = prepare_next(s, &p, err);
    if (st == ST_OK) {
        offer_next(s, s->next.shared, slot_version(s));
        *ret_offered = true;
    }
    delta_personal_clear(&p);
    return st;
}

bool slot_is_personal(const struct slot *s)
{
    return s->own.there;
}

enum status slot_offer_reset(struct slot *s, struct error *err)
{
    enum status st = take_back(s, err);
    if (st == ST_OK)
        offer_next(s, nn_model_values(s->model), 0);
    return st;
}

enum status slot_save(const struct slot *s, const char *path, struct error *err)
{
    return nn_checkpoint_write(path, s->model, shared_of(s), NULL, slot_version(s), NULL, err);
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
    s->renews = true; /* without differences */
    atomic_store(&s->offer, OFFER_READY);
    st = slot_forward(s, 0, &version, err);
    return st == ST_OK ? slot_settle(s, err) : st;
}

uint32_t slot_params_crc32(const struct slot *s)
{
    return file_crc32(shared_of(s), s->count * sizeof(float));
}
