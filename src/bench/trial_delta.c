/* trial_delta.c - what an update costs a live session, and how long decoding it takes beside that.
 * Random coordinates with random moves: the worst there is, to decode and to put in place. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "bench/times.h"
#include "bench/trial.h"
#include "delta/update.h"

#define FRACTION 0.05
#define MOVE 1e-3f /* about one step of Adam */
#define SELECT_SEED 3

struct update {
    struct delta_model model;
    struct delta_update *received;
    struct buf bytes;
    float *base, *moved; /* parameter vectors at versions 1 and 2 */
    uint8_t *mask;
    size_t count;
};

static enum status update_encode(struct update *u, struct error *err)
{
    struct rng r;
    rng_init(&r, SELECT_SEED, 0);
    size_t n = u->model.trainable_count;
    select_mask(SELECT_RANDOM, select_count(FRACTION, n), n, &r, u->mask);
    memcpy(u->moved, u->base, u->count * sizeof *u->moved);
    for (size_t i = 0; i < n; i++)
        if (mask_get(u->mask, i))
            u->moved[i] += MOVE * rng_normal(&r);
    enum status st = delta_round(&u->model, u->mask, DELTA_STEP_FLOAT16, false, u->moved, err);
    struct delta_versions v = {.base = 1, .new = 2};
    return st ? st
              : delta_encode(&u->model, v, u->base, u->moved, u->mask, DELTA_STEP_FLOAT16, false,
                             &u->bytes, err);
}

static enum status update_make(struct update *u, const struct trial *t, struct error *err)
{
    u->count = nn_model_param_count(t->model);
    u->base = malloc(u->count * sizeof *u->base);
    u->moved = malloc(u->count * sizeof *u->moved);
    u->mask = calloc(mask_bytes(u->count), 1);
    if (!u->base || !u->moved || !u->mask)
        return error_set(err, ST_NOMEM, "no memory for an update of %zu weights", u->count);
    memcpy(u->base, nn_model_values(t->model), u->count * sizeof *u->base);
    enum status st = delta_model_init(t->model, &u->model, err);
    if (!st)
        st = delta_update_open(&u->model, &u->received, err);
    return st ? st : update_encode(u, err);
}

static void update_clear(struct update *u)
{
    delta_update_close(&u->received);
    delta_model_clear(&u->model);
    buf_clear(&u->bytes);
    free(u->base);
    free(u->moved);
    free(u->mask);
}

/* Back to version 1, and a frame, so that everything is as before an update. */
static enum status rewind_session(const struct update *u, struct trial *t, struct error *err)
{
    memcpy(nn_session_params(t->session), u->base, u->count * sizeof *u->base);
    nn_session_params_changed(t->session);
    return trial_forward(t, err);
}

/* Of one update; frames are the ones before and after it. */
struct moments {
    double before_ms, decode_ms, exchange_ms, after_ms;
};

static double ms_since(uint64_t start_us)
{
    return (double)(clock_mono_us() - start_us) / 1e3;
}

static enum status time_frame(struct trial *t, double *ret_ms, struct error *err)
{
    uint64_t start_us = clock_mono_us();
    enum status st = trial_forward(t, err);
    *ret_ms = ms_since(start_us);
    return st;
}

static enum status time_decoding(const struct update *u, struct trial *t, struct moments *ret,
                                 struct error *err)
{
    bool applies;
    uint64_t start_us = clock_mono_us();
    enum status st = delta_update_decode(u->received, u->bytes.data, u->bytes.size_bytes, 1,
                                         nn_session_params(t->session), NULL, &applies, err);
    ret->decode_ms = ms_since(start_us);
    return st;
}

/* As edge/slot.c does it. */
static void time_exchange(const struct update *u, struct trial *t, struct moments *ret)
{
    uint64_t start_us = clock_mono_us();
    delta_update_exchange(u->received, nn_session_params(t->session), t->c->threads);
    for (size_t begin = 0, end; delta_update_part(u->received, &begin, &end); begin = end)
        nn_session_params_changed_in(t->session, begin, end);
    ret->exchange_ms = ms_since(start_us);
}

static enum status time_update(const struct update *u, struct trial *t, struct moments *ret,
                               struct error *err)
{
    enum status st = time_decoding(u, t, ret, err);
    if (!st)
        st = time_frame(t, &ret->before_ms, err);
    if (st)
        return st;
    time_exchange(u, t, ret);
    return time_frame(t, &ret->after_ms, err);
}

/* Times by what they are of. */
struct columns {
    struct bench_times before, decode, exchange, after;
};

static enum status repeat(const struct update *u, struct trial *t, struct columns *c,
                          struct error *err)
{
    uint64_t start_us = clock_mono_us();
    enum status st = rewind_session(u, t, err);
    while (!st && bench_times_more(&c->after, t->c->seconds, start_us, clock_mono_us())) {
        struct moments m = {0};
        st = time_update(u, t, &m, err);
        if (!st)
            st = rewind_session(u, t, err);
        bench_times_add(&c->before, m.before_ms);
        bench_times_add(&c->decode, m.decode_ms);
        bench_times_add(&c->exchange, m.exchange_ms);
        bench_times_add(&c->after, m.after_ms);
    }
    return st;
}

enum status trial_deltas(struct trial *t, struct bench_result *r, struct error *err)
{
    struct update u = {0};
    struct columns *c = calloc(1, sizeof *c);
    buf_init(&u.bytes);
    enum status st =
        c ? update_make(&u, t, err) : error_set(err, ST_NOMEM, "no memory for the times");
    if (!st)
        st = repeat(&u, t, c, err);
    if (!st) {
        r->frame_ms = bench_times_median(&c->before);
        r->decode_ms = bench_times_median(&c->decode);
        r->ms = bench_times_median(&c->exchange) + bench_times_median(&c->after) - r->frame_ms;
        r->best_ms = bench_times_best(&c->exchange) + bench_times_best(&c->after) -
                     bench_times_best(&c->before);
        r->runs = c->after.count;
    }
    update_clear(&u);
    free(c);
    return st;
}
