/* worker_train.c - the requests that train. State files are named by version and written before the
 * answer: v7.delta, v7.snap, then v7.learner; the server commits the row afterwards. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "profile/profiler.h"
#include "server/worker_internal.h"

static enum status write_named(const char *folder, uint64_t version, const char *kind,
                               const struct buf *bytes, struct error *err)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/v%llu.%s", folder, (unsigned long long)version, kind);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_set(err, ST_LIMIT, "the path of the models is too long");
    return file_write(path, bytes->data, bytes->size_bytes, err);
}

static enum status write_version(const struct pupil *p, const char *folder, uint64_t version,
                                 const struct buf *delta, size_t *ret_snapshot_bytes,
                                 struct error *err)
{
    struct buf snapshot, state;
    buf_init(&snapshot);
    buf_init(&state);
    enum status st = write_named(folder, version, "delta", delta, err);
    if (st == ST_OK)
        st = learner_snapshot(p->learner, &snapshot, err);
    if (st == ST_OK)
        st = write_named(folder, version, "snap", &snapshot, err);
    if (st == ST_OK)
        st = learner_save(p->learner, &state, err);
    if (st == ST_OK)
        st = write_named(folder, version, "learner", &state, err);
    if (st == ST_OK)
        *ret_snapshot_bytes = snapshot.size_bytes;
    buf_clear(&snapshot);
    buf_clear(&state);
    return st;
}

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void describe(const struct learner_result *r, size_t snapshot_bytes, json_t *reply)
{
    json_object_set_new(reply, "trained", json_boolean(r->trained));
    json_object_set_new(reply, "accepted", json_boolean(r->accepted));
    json_object_set_new(reply, "reason", json_string(r->reason));
    json_object_set_new(reply, "version", json_integer((json_int_t)r->version));
    json_object_set_new(reply, "steps", json_integer(r->steps));
    json_object_set_new(reply, "loss_first", real(r->loss_first));
    json_object_set_new(reply, "loss_last", real(r->loss_last));
    json_object_set_new(reply, "holdout_frames", json_integer(r->holdout_frames));
    json_object_set_new(reply, "score_current", real(r->score_current));
    json_object_set_new(reply, "score_candidate", real(r->score_candidate));
    json_object_set_new(reply, "coordinates", json_integer((json_int_t)r->coordinates));
    json_object_set_new(reply, "delta_bytes", json_integer((json_int_t)r->delta_bytes));
    json_object_set_new(reply, "snapshot_bytes", json_integer((json_int_t)snapshot_bytes));
}

/* A version that was accepted goes to its files; the reply says what came of it. */
static enum status conclude(const struct pupil *p, const json_t *q, const struct learner_result *r,
                            const struct buf *delta, json_t *reply, struct error *err)
{
    size_t snapshot_bytes = 0;
    enum status st = ST_OK;
    if (r->accepted)
        st = write_version(p, worker_text(q, "folder"), r->version, delta, &snapshot_bytes, err);
    if (st == ST_OK)
        describe(r, snapshot_bytes, reply);
    return st;
}

static bool pace(void *context, int done, int total, double loss)
{
    (void)done, (void)total, (void)loss;
    throttle_step(context);
    return true;
}

/* Ends a slice of training with a candidate: its result, and the delta where a version was made. */
typedef enum status train_end(struct worker *w, struct learner *l, struct learner_result *r,
                              struct buf *delta, struct error *err);

static enum status end_with(train_end *end, struct learner_result r, struct worker *w,
                            const json_t *q, json_t *reply, struct error *err)
{
    struct pupil *p;
    struct buf delta;
    enum status st = worker_pupil(w, q, &p, err);
    if (st != ST_OK)
        return st;
    buf_init(&delta);
    st = end(w, p->learner, &r, &delta, err);
    if (st == ST_OK)
        st = conclude(p, q, &r, &delta, reply, err);
    buf_clear(&delta);
    return st;
}

static enum status run_phase(struct worker *w, struct learner *l, struct learner_result *r,
                             struct buf *delta, struct error *err)
{
    return learner_phase(l, pace, &w->throttle, r, delta, err);
}

enum status worker_phase(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    return end_with(run_phase, (struct learner_result){0}, w, q, reply, err);
}

/* ---- the same in slices ---- */

static bool within(double v, double low, double high)
{
    return v >= low && v <= high;
}

static enum status read_configuration(const json_t *q, struct train_configuration *ret,
                                      struct error *err)
{
    double epochs = worker_number(q, "epochs"), layers = worker_number(q, "layers");
    double batch = worker_number(q, "batch");
    struct train_configuration c = {.data = worker_number(q, "data"),
                                    .learning_rate = worker_number(q, "learning_rate"),
                                    .head_width = worker_number(q, "head_width")};
    if (!within(epochs, 1, 1000) || !within(layers, 0, 10000) || !within(batch, 0, 1024) ||
        !within(c.data, 0.001, 1) || !within(c.learning_rate, 0, 10) ||
        !within(c.head_width, 0.001, 1))
        return error_set(err, ST_INVALID, "the configuration is out of range");
    c.epochs = (int)epochs;
    c.layers = (int)layers;
    c.batch = (int)batch;
    snprintf(c.name, sizeof c.name, "%.*s", CONFIGURATION_NAME_CHARS_MAX, worker_text(q, "name"));
    *ret = c;
    return ST_OK;
}

enum status worker_begin(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct pupil *p;
    struct error why = {.message = ""};
    enum status st = worker_pupil(w, q, &p, err);
    if (st != ST_OK)
        return st;
    struct train_configuration c;
    const json_t *wanted = json_object_get(q, "configuration");
    int steps = learner_options_of(p->learner)->steps;
    if (wanted)
        st = read_configuration(wanted, &c, err);
    if (st != ST_OK)
        return st;
    st = learner_begin_as(p->learner, wanted ? &c : NULL, &steps, &why);
    if (st != ST_OK && st != ST_AGAIN)
        return error_set(err, st, "%s", why.message);
    json_object_set_new(reply, "begun", json_boolean(st == ST_OK));
    json_object_set_new(reply, "reason", json_string(why.message));
    json_object_set_new(reply, "steps", json_integer(steps));
    return ST_OK;
}

/* Ends with the first step whose loss is not a number: more of them would not help. */
enum status worker_train(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct pupil *p;
    double steps = worker_number(q, "steps"), sum = 0;
    int done = 0;
    enum status st = worker_pupil(w, q, &p, err);
    if (st == ST_OK && !(steps >= 1 && steps <= LEARNER_STEPS_MAX))
        st = error_set(err, ST_INVALID, "steps are 1 to %d", LEARNER_STEPS_MAX);
    while (st == ST_OK && done < (int)steps && isfinite(sum)) {
        double loss = NAN;
        st = learner_train(p->learner, 1, &loss, err);
        sum += loss;
        done++;
        throttle_step(&w->throttle);
    }
    if (st != ST_OK)
        return st;
    json_object_set_new(reply, "steps", json_integer(done));
    json_object_set_new(reply, "loss", real(sum / done));
    return ST_OK;
}

/* Too early is no error: no version then. */
static enum status make_checkpoint(struct worker *w, struct learner *l, struct learner_result *r,
                                   struct buf *delta, struct error *err)
{
    (void)w;
    enum status st = learner_checkpoint(l, r, delta, err);
    return st == ST_AGAIN ? ST_OK : st;
}

enum status worker_checkpoint(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct learner_result r = {.loss_first = NAN,
                               .loss_last = NAN,
                               .score_current = NAN,
                               .score_candidate = NAN,
                               .reason = "the coordinates are not chosen yet"};
    return end_with(make_checkpoint, r, w, q, reply, err);
}

static enum status finish(struct worker *w, struct learner *l, struct learner_result *r,
                          struct buf *delta, struct error *err)
{
    (void)w;
    return learner_finish(l, r, delta, err);
}

enum status worker_finish(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    return end_with(finish, (struct learner_result){0}, w, q, reply, err);
}

enum status worker_abandon(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    (void)reply;
    struct pupil *p;
    enum status st = worker_pupil(w, q, &p, err);
    if (st == ST_OK)
        learner_abandon(p->learner);
    return st;
}

enum status worker_profile(struct worker *w, const json_t *q, json_t *reply, struct error *err)
{
    struct pupil *p;
    struct train_configuration c;
    struct profile_options o;
    struct profile_result r;
    struct error why = {.message = ""};
    enum status st = worker_pupil(w, q, &p, err);
    if (st == ST_OK)
        st = read_configuration(json_object_get(q, "configuration"), &c, err);
    if (st != ST_OK)
        return st;
    profile_options_init(&o);
    st = profile_run(p->learner, &c, &o, &r, &why);
    if (st != ST_OK && st != ST_AGAIN)
        return error_set(err, st, "%s", why.message);
    json_object_set_new(reply, "profiled", json_boolean(st == ST_OK));
    json_object_set_new(reply, "reason", json_string(why.message));
    if (st != ST_OK)
        return ST_OK;
    json_object_set_new(reply, "start", real(r.start));
    json_object_set_new(reply, "end", real(r.end));
    json_object_set_new(reply, "samples", json_integer(r.samples));
    json_object_set_new(reply, "steps", json_integer(r.steps));
    return ST_OK;
}
