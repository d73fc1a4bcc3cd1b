/* worker_own.c - the request that trains a camera's own small delta (train/personal.h) on its
 * newest frames, on top of its group's model as a snapshot has it. No group's learner is touched.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/worker_bench.h"
#include "train/personal.h"

/* As the group's learner has the frames: oldest first. */
static enum status add_frames(const struct bench *b, struct learner *l, struct error *err)
{
    enum status st = ST_OK;
    uint64_t done_us = 0;
    for (int n = 0; n < b->count && st == ST_OK; n++) {
        int next = -1;
        for (int i = 0; i < b->count; i++)
            if (b->frames[i].t_us > done_us &&
                (next < 0 || b->frames[i].t_us < b->frames[next].t_us))
                next = i;
        if (next < 0)
            break;
        done_us = b->frames[next].t_us;
        st = learner_add(l, &b->frames[next], &b->truth[next], NULL, 0, err);
    }
    return st;
}

/* A learner at the snapshot's version with the frames, as the group's would be with this camera
 * alone. */
static enum status open_group(const struct bench *b, const struct worker *w, const json_t *q,
                              struct learner **ret, struct error *err)
{
    struct buf snapshot;
    const char *path = worker_text(q, "snapshot");
    struct learner *l;
    enum status st = learner_open(w->model, &w->options, w->seed, &l, err);
    if (st != ST_OK)
        return st;
    buf_init(&snapshot);
    if (path[0])
        st = file_read(path, BENCH_SNAPSHOT_BYTES_MAX, &snapshot, err);
    if (st == ST_OK && path[0])
        st = learner_install(l, snapshot.data, snapshot.size_bytes, err);
    if (st == ST_OK)
        st = add_frames(b, l, err);
    buf_clear(&snapshot);
    if (st == ST_OK)
        *ret = l;
    else
        learner_close(&l);
    return st;
}

static bool pace(void *context, int done, int total, double loss)
{
    (void)done, (void)total, (void)loss;
    throttle_step(context);
    return true;
}

static enum status write_own(const struct learner *group, const struct delta_personal *own,
                             const char *path, json_t *reply, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = delta_personal_write(learner_delta_model(group), own, &bytes, err);
    if (st == ST_OK)
        st = file_write(path, bytes.data, bytes.size_bytes, err);
    json_object_set_new(reply, "trained", json_boolean(st == ST_OK));
    json_object_set_new(reply, "bytes", json_integer((json_int_t)bytes.size_bytes));
    buf_clear(&bytes);
    return st;
}

/* Too few frames, or weights that diverged, are no error: there is no delta then. */
static enum status train(struct worker *w, const struct learner *group, const json_t *q,
                         json_t *reply, struct error *err)
{
    struct personal_options o;
    struct learner_result r;
    struct delta_personal own = {.count = 0};
    struct learner *l;
    struct error why = {.message = ""};
    const char *path = worker_text(q, "path");
    uint64_t seed = rng_hash(w->seed, file_crc32(path, strlen(path)), learner_version(group), 0);
    personal_options_init(&o);
    enum status st = personal_open(group, 0, &o, seed, &l, err);
    if (st != ST_OK)
        return st;
    st = personal_train(l, group, &o, pace, &w->throttle, &own, &r, &why);
    if (st == ST_OK)
        st = write_own(group, &own, path, reply, err);
    else if (st == ST_AGAIN)
        st = ST_OK;
    else
        error_set(err, st, "%s", why.message);
    json_object_set_new(reply, "reason", json_string(why.message));
    delta_personal_clear(&own);
    learner_close(&l);
    return st;
}

enum status worker_own(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct learner *group = NULL;
    struct bench *b = malloc(sizeof *b);
    if (!b)
        return error_set(err, ST_NOMEM, "no memory for a camera's own delta");
    enum status st =
        worker_text(q, "path")[0] ? ST_OK : error_set(err, ST_INVALID, "an own delta needs a path");
    if (st == ST_OK) {
        st = bench_init(b, w, err);
        b->count_max = TRIAL_FRAMES_MAX;
        if (st == ST_OK)
            st = bench_read(b, w, q, err);
        if (st == ST_OK)
            st = open_group(b, w, q, &group, err);
        bench_clear(b);
    }
    if (st == ST_OK)
        st = train(w, group, q, reply, err);
    learner_close(&group);
    free(b);
    return st;
}
