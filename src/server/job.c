#include "server/job.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "drift/signature.h"
#include "server/metrics.h"

#define CHUNKS_MAX 512 /* of a camera, told to the worker in one job */

/* ---- the group ---- */

const char *trainee_camera(const struct trainee *t)
{
    return t->count == 1 ? t->members[0].camera : "";
}

void trainee_event(struct server *s, const struct trainee *t, const char *kind, json_t *members,
                   const char *reason, ...)
{
    char text[STORE_REASON_CHARS_MAX + 1];
    va_list args;
    va_start(args, reason);
    vsnprintf(text, sizeof text, reason, args);
    va_end(args);
    if (!members)
        members = json_object();
    json_object_set_new(members, "group", json_string(t->id));
    if (t->count != 1) {
        json_t *cameras = json_array();
        for (int i = 0; i < t->count; i++)
            json_array_append_new(cameras, json_string(t->members[i].camera));
        json_object_set_new(members, "cameras", cameras);
    }
    server_event(s, trainee_camera(t), kind, members, "%s", text);
}

/* ---- asking ---- */

static void charge(struct job_run *r, const struct job *job)
{
    uint64_t used_us = limiter_used_us(r->server->limiter, r->member);
    uint64_t more_us = used_us > r->charged_us ? used_us - r->charged_us : 0;
    r->charged_us += more_us;
    server_charge(r->server, r->trainee ? r->trainee->id : "", job->kind, more_us);
}

enum status job_ask(struct job_run *r, const struct job *job, json_t *request, uint64_t until_us,
                    json_t **ret, struct error *err)
{
    if (!request)
        return error_set(err, ST_NOMEM, "no memory for a request to the worker");
    enum status st = worker_process_ask(r->worker, request, until_us, &r->server->bell, ret, err);
    charge(r, job);
    return st;
}

static enum status ask(struct job_run *r, const struct job *job, json_t *request, json_t **ret,
                       struct error *err)
{
    return job_ask(r, job, request, clock_mono_us() + JOB_ASK_US, ret, err);
}

/* For a request whose answer says nothing more. */
static enum status tell(struct job_run *r, const struct job *job, json_t *request,
                        struct error *err)
{
    json_t *reply;
    enum status st = ask(r, job, request, &reply, err);
    if (st == ST_OK)
        json_decref(reply);
    return st;
}

static json_t *request_of(const struct job_run *r, const char *op)
{
    return json_pack("{s:s,s:s}", "op", op, "group", r->trainee->id);
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static uint64_t whole(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t ? t : "";
}

/* ---- the learner ---- */

static enum status open_learner(struct job_run *r, const struct job *job, struct error *err)
{
    struct trainee *t = r->trainee;
    struct store *store = r->server->store;
    struct store_group group;
    char name[32], state[PATH_MAX], snapshot[PATH_MAX];
    enum status st = store_group_get(store, t->id, &group, err);
    if (st != ST_OK)
        return st;
    snprintf(name, sizeof name, "v%llu.learner", (unsigned long long)group.version);
    store_model_path(store, t->id, name, state);
    snprintf(name, sizeof name, "v%llu.snap", (unsigned long long)group.version);
    store_model_path(store, t->id, name, snapshot);
    json_t *reply;
    st = ask(r, job,
             json_pack("{s:s,s:s,s:I,s:s,s:s}", "op", "open", "group", t->id, "version",
                       (json_int_t)group.version, "state", state, "snapshot", snapshot),
             &reply, err);
    if (st != ST_OK)
        return st;
    if (text(reply, "note")[0])
        log_write(LOG_WARN, "learner restored", "group=%s note=\"%s\"", t->id, text(reply, "note"));
    json_decref(reply);
    t->process = r->process;
    t->stale = false;
    t->frames = 0;
    for (int i = 0; i < t->count; i++)
        t->members[i].added_seq = 0;
    return ST_OK;
}

static bool is_open(const struct job_run *r)
{
    return r->trainee->process == r->process;
}

static enum status close_learner(struct job_run *r, const struct job *job, struct error *err)
{
    if (!is_open(r))
        return ST_OK;
    r->trainee->process = 0;
    return tell(r, job, request_of(r, "close"), err);
}

/* ---- its frames ---- */

struct chunk_ref {
    int member;
    uint64_t seq, received_us;
};

struct chunk_list {
    struct chunk_ref *refs; /* [count_max] */
    int count, count_max;
    int member;        /* whose are being listed */
    uint64_t since_us; /* older ones are passed over */
    uint64_t newest_seq[STORE_MEMBERS_MAX];
};

static void add_ref(const struct store_chunk *chunk, void *context)
{
    struct chunk_list *l = context;
    l->newest_seq[l->member] = chunk->seq;
    if (chunk->received_us >= l->since_us && l->count < l->count_max)
        l->refs[l->count++] = (struct chunk_ref){l->member, chunk->seq, chunk->received_us};
}

/* As they came; of those that came at once, in the members' order. */
static int by_time(const void *a, const void *b)
{
    const struct chunk_ref *x = a, *y = b;
    if (x->received_us != y->received_us)
        return x->received_us < y->received_us ? -1 : 1;
    if (x->member != y->member)
        return x->member - y->member;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* What a member has that the worker does not; many more may be kept than are trained on. */
static enum status list_member(const struct job_run *r, struct chunk_list *l, struct error *err)
{
    const struct trainee_member *m = &r->trainee->members[l->member];
    uint64_t old = 0;
    enum status st = store_chunk_before(r->server->store, m->camera, l->since_us, &old, err);
    if (st != ST_OK)
        return st;
    l->newest_seq[l->member] = old;
    return store_chunks_labelled(r->server->store, m->camera,
                                 m->added_seq > old ? m->added_seq : old, CHUNKS_MAX, add_ref, l,
                                 err);
}

/* Chunks that the worker does not have; all of the horizon for a new one. */
static enum status list_chunks(const struct job_run *r, struct chunk_list *l, struct error *err)
{
    const struct trainee *t = r->trainee;
    uint64_t horizon_us = (uint64_t)(r->server->set.horizon_s * 1.25e6), now_us = clock_wall_us();
    enum status st = ST_OK;
    l->since_us = now_us > horizon_us ? now_us - horizon_us : 0;
    for (l->member = 0; l->member < t->count && st == ST_OK; l->member++)
        if (!t->members[l->member].paused)
            st = list_member(r, l, err);
    if (l->count > 1)
        qsort(l->refs, (size_t)l->count, sizeof *l->refs, by_time);
    return st;
}

static enum status add_chunk(struct job_run *r, const struct job *job, const struct chunk_ref *c,
                             struct error *err)
{
    char chunk[PATH_MAX], labels[PATH_MAX];
    struct trainee *t = r->trainee;
    const char *camera = t->members[c->member].camera;
    json_t *reply, *request = request_of(r, "add");
    store_chunk_path(r->server->store, camera, c->seq, chunk);
    store_label_path(r->server->store, camera, c->seq, labels);
    json_object_set_new(request, "source", json_integer(c->member));
    json_object_set_new(request, "chunk", json_string(chunk));
    json_object_set_new(request, "labels", json_string(labels));
    enum status st = ask(r, job, request, &reply, err);
    if (st == ST_INVALID) { /* that chunk is lost for training, the rest is not */
        server_event(r->server, camera, "chunk_untrained",
                     json_pack("{s:I}", "seq", (json_int_t)c->seq),
                     "chunk %llu is not trained on: %s", (unsigned long long)c->seq, err->message);
        return ST_OK;
    }
    if (st != ST_OK)
        return st;
    t->frames = (int)whole(reply, "buffered");
    json_decref(reply);
    return ST_OK;
}

static enum status add_chunks(struct job_run *r, const struct job *job, const struct chunk_list *l,
                              struct error *err)
{
    struct trainee *t = r->trainee;
    enum status st = ST_OK;
    for (int i = 0; i < l->count && st == ST_OK; i++) {
        st = add_chunk(r, job, &l->refs[i], err);
        if (st == ST_OK)
            t->members[l->refs[i].member].added_seq = l->refs[i].seq;
    }
    for (int i = 0; i < t->count && st == ST_OK; i++)
        if (l->newest_seq[i] > t->members[i].added_seq)
            t->members[i].added_seq = l->newest_seq[i]; /* older than the horizon: passed over */
    return st;
}

static enum status bring_up_to_date(struct job_run *r, const struct job *job, struct error *err)
{
    struct trainee *t = r->trainee;
    struct chunk_list l = {.count_max = t->count * CHUNKS_MAX};
    l.refs = malloc((size_t)l.count_max * sizeof *l.refs);
    if (!l.refs)
        return error_set(err, ST_NOMEM, "no memory for a training");
    enum status st = t->stale ? close_learner(r, job, err) : ST_OK;
    if (st == ST_OK && !is_open(r))
        st = open_learner(r, job, err);
    if (st == ST_OK)
        st = list_chunks(r, &l, err);
    if (st == ST_OK)
        st = add_chunks(r, job, &l, err);
    free(l.refs);
    return st;
}

static void note_seq(const struct store_chunk *chunk, void *context)
{
    *(uint64_t *)context = chunk->seq;
}

enum status job_is_due(struct server *s, const struct trainee *t, bool *ret, struct error *err)
{
    bool due = false;
    enum status st = ST_OK;
    for (int i = 0; i < t->count && st == ST_OK && !due; i++) {
        const struct trainee_member *m = &t->members[i];
        uint64_t seq = 0, after = m->trained_seq > m->barren_seq ? m->trained_seq : m->barren_seq;
        if (m->paused || m->to_pause)
            continue;
        st = store_chunks_labelled(s->store, m->camera, after, 1, note_seq, &seq, err);
        due = seq > after;
    }
    if (st == ST_OK)
        *ret = due;
    return st;
}

/* ---- recording ---- */

static void announce(struct job_run *r, const struct store_version *v, const json_t *reply,
                     const struct job_result *so_far)
{
    json_t *more = json_pack(
        "{s:I,s:b,s:o,s:o,s:I,s:I,s:o,s:I,s:f}", "version", (json_int_t)v->version, "accepted",
        (int)v->accepted, "score_before", server_json_real(v->score_before), "score_after",
        server_json_real(v->score_after), "delta_bytes", (json_int_t)v->delta_bytes, "steps",
        (json_int_t)whole(reply, "steps"), "loss", server_json_real(number(reply, "loss_last")),
        "coordinates", (json_int_t)whole(reply, "coordinates"), "compute_s",
        (double)so_far->compute_us / 1e6);
    trainee_event(r->server, r->trainee, v->accepted ? "accepted" : "rejected", more, "%s",
                  v->reason);
}

/* The previous version's learner state is not needed once the next one is committed. */
static void drop_state(struct job_run *r, uint64_t version)
{
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "v%llu.learner", (unsigned long long)version);
    store_model_path(r->server->store, r->trainee->id, name, path);
    unlink(path);
}

static struct store_version version_of(const json_t *reply, uint64_t base)
{
    struct store_version v = {.version = base + 1,
                              .base = base,
                              .accepted = json_is_true(json_object_get(reply, "accepted")),
                              .delta_bytes = whole(reply, "delta_bytes"),
                              .snapshot_bytes = whole(reply, "snapshot_bytes"),
                              .score_before = number(reply, "score_current"),
                              .score_after = number(reply, "score_candidate"),
                              .t_us = clock_wall_us()};
    snprintf(v.reason, sizeof v.reason, "%s", text(reply, "reason"));
    return v;
}

static int list_trained(const struct trainee *t, struct store_trained *ret)
{
    int n = 0;
    for (int i = 0; i < t->count; i++) {
        const struct trainee_member *m = &t->members[i];
        if (m->paused)
            continue;
        memcpy(ret[n].camera, m->camera, sizeof ret[n].camera);
        ret[n++].seq = m->added_seq;
    }
    return n;
}

static enum status record(struct job_run *r, const json_t *reply, struct job_result *so_far,
                          struct error *err)
{
    struct store_group group;
    struct trainee *t = r->trainee;
    struct store_trained trained[STORE_MEMBERS_MAX];
    enum status st = store_group_get(r->server->store, t->id, &group, err);
    if (st != ST_OK)
        return st;
    struct store_version v = version_of(reply, group.version);
    int count = list_trained(t, trained);
    if (v.accepted && whole(reply, "version") != v.version)
        return error_set(err, ST_INTERNAL, "the worker made version %llu, %llu was due",
                         (unsigned long long)whole(reply, "version"),
                         (unsigned long long)v.version);
    st = store_version_put(r->server->store, t->id, &v, trained, count, err);
    if (st != ST_OK)
        return st;
    if (v.accepted && v.base > 0)
        drop_state(r, v.base);
    so_far->accepted = v.accepted;
    so_far->before = v.score_before;
    so_far->after = v.score_after;
    snprintf(so_far->reason, sizeof so_far->reason, "%s", v.reason);
    announce(r, &v, reply, so_far);
    return ST_OK;
}

static void note_verdict(struct job_run *r, const json_t *reply, int steps)
{
    struct job_progress *p = &r->board->now;
    pthread_mutex_lock(&r->board->lock);
    p->judged++;
    p->judged_steps = steps;
    p->accepted = json_is_true(json_object_get(reply, "accepted"));
    p->before = number(reply, "score_current");
    p->after = number(reply, "score_candidate");
    pthread_mutex_unlock(&r->board->lock);
}

static void note_decided(struct job_run *r)
{
    pthread_mutex_lock(&r->board->lock);
    r->board->now.decided = true;
    pthread_mutex_unlock(&r->board->lock);
}

/* Has the worker judge what there is and records it: "checkpoint" or "finish". A checkpoint that is
 * not better is nothing to record. */
static enum status judge(struct job_run *r, const struct job *job, const char *op,
                         struct job_result *so_far, struct error *err)
{
    char folder[PATH_MAX];
    json_t *reply;
    bool last = strcmp(op, "finish") == 0;
    store_model_path(r->server->store, r->trainee->id, "", folder);
    enum status st = job_ask(
        r, job, json_pack("{s:s,s:s,s:s}", "op", op, "group", r->trainee->id, "folder", folder),
        r->until_us, &reply, err);
    if (st != ST_OK)
        return st;
    bool accepted = json_is_true(json_object_get(reply, "accepted"));
    if (last) {
        note_decided(r);
    } else {
        so_far->checkpoints += accepted;
        note_verdict(r, reply, so_far->steps);
    }
    if (last || accepted)
        st = record(r, reply, so_far, err);
    json_decref(reply);
    return st;
}

/* ---- training ---- */

/* The next slice's steps, from what the last one took. */
static int slice_of(int steps, uint64_t took_us, int left)
{
    double fit = steps * (double)JOB_SLICE_US / (double)(took_us ? took_us : 1);
    double most = 4.0 * steps;
    int next = (int)fmax(1, fmin(fit, most));
    return next < left ? next : left;
}

/* One slice of `steps`; *ret_loss is NaN when the weights have run away. */
static enum status train_slice(struct job_run *r, const struct job *job, int steps,
                               double *ret_loss, struct error *err)
{
    json_t *reply, *request = request_of(r, "train");
    json_object_set_new(request, "steps", json_integer(steps));
    enum status st = job_ask(r, job, request, r->until_us, &reply, err);
    if (st != ST_OK)
        return st;
    *ret_loss = number(reply, "loss");
    json_decref(reply);
    return ST_OK;
}

static void note_steps(struct job_run *r, int steps, uint64_t compute_us)
{
    pthread_mutex_lock(&r->board->lock);
    r->board->now.steps = steps;
    r->board->now.compute_us = compute_us;
    pthread_mutex_unlock(&r->board->lock);
}

static void wait_while_paused(const struct job_run *r)
{
    struct bell *bell = &r->server->bell;
    while (atomic_load(&r->wishes->pause) && !atomic_load(&r->wishes->cancel) &&
           clock_mono_us() < r->until_us && !bell_stopped(bell))
        bell_wait(bell, bell_count(bell), clock_mono_us() + JOB_SLICE_US);
}

static int total_of(const struct job_run *r, int total)
{
    int wished = atomic_load(&r->wishes->steps);
    return wished ? wished : total;
}

/* Until `total` steps are done, or what is wished instead, it is cancelled, or the loss is not a
 * number (ret->end). */
static enum status train(struct job_run *r, const struct job *job, int total,
                         struct job_result *ret, struct error *err)
{
    int steps = 1;
    enum status st = ST_OK;
    ret->end = JOB_TRAINED;
    while (st == ST_OK && ret->end == JOB_TRAINED && ret->steps < total_of(r, total)) {
        double loss = NAN;
        uint64_t start_us = clock_mono_us();
        st = train_slice(r, job, steps, &loss, err);
        if (st != ST_OK)
            break;
        ret->steps += steps;
        note_steps(r, ret->steps, r->charged_us - r->began_us);
        int left = total_of(r, total) - ret->steps;
        if (left > 0)
            steps = slice_of(steps, clock_mono_us() - start_us, left);
        if (!isfinite(loss))
            ret->end = JOB_DIVERGED;
        else if (atomic_load(&r->wishes->cancel))
            ret->end = JOB_CANCELLED;
        else if (atomic_exchange(&r->wishes->checkpoint, false) && left > 0)
            st = judge(r, job, "checkpoint", ret, err);
        wait_while_paused(r);
    }
    return st;
}

/* Ends a training that does not come to its end. */
static enum status give_up(struct job_run *r, const struct job *job, struct job_result *ret,
                           struct error *err)
{
    if (ret->end == JOB_DIVERGED)
        snprintf(ret->reason, sizeof ret->reason,
                 "the loss was not a number after %d steps; the weights stay as they were",
                 ret->steps);
    else
        snprintf(ret->reason, sizeof ret->reason, "given up after %d steps", ret->steps);
    return tell(r, job, request_of(r, "abandon"), err);
}

static json_t *request_under(const struct job_run *r, const char *op,
                             const struct train_configuration *c)
{
    json_t *request = request_of(r, op);
    if (c)
        json_object_set_new(request, "configuration",
                            json_pack("{s:s,s:i,s:f,s:i,s:f,s:i,s:f}", "name", c->name, "epochs",
                                      c->epochs, "data", c->data, "layers", c->layers,
                                      "learning_rate", c->learning_rate, "batch", c->batch,
                                      "head_width", c->head_width));
    return request;
}

/* *ret_steps 0: there is nothing to train on, ret->reason says why. */
static enum status begin(struct job_run *r, const struct job *job, struct job_result *ret,
                         int *ret_steps, struct error *err)
{
    json_t *reply;
    enum status st = ask(r, job, request_under(r, "begin", job->configuration), &reply, err);
    if (st != ST_OK)
        return st;
    bool begun = json_is_true(json_object_get(reply, "begun"));
    int recipe = (int)whole(reply, "steps");
    *ret_steps = !begun ? 0 : job->steps ? job->steps : recipe;
    snprintf(ret->reason, sizeof ret->reason, "%s", text(reply, "reason"));
    json_decref(reply);
    return ST_OK;
}

static enum status run_phase(struct job_run *r, const struct job *job, struct job_result *ret,
                             struct error *err)
{
    int total = 0;
    enum status st = begin(r, job, ret, &total, err);
    if (st != ST_OK || total == 0)
        return st;
    st = train(r, job, total, ret, err);
    if (st != ST_OK)
        return st;
    return ret->end == JOB_TRAINED ? judge(r, job, "finish", ret, err) : give_up(r, job, ret, err);
}

/* ---- profiling ---- */

static enum status profile_item(struct job_run *r, const struct job *job, int item,
                                struct error *err)
{
    json_t *reply;
    struct outlook_profile *p = job->profile;
    enum status st =
        job_ask(r, job, request_under(r, "profile", &job->menu->items[item].configuration),
                r->until_us, &reply, err);
    if (st != ST_OK)
        return st;
    p->end[item] = number(reply, "end");
    if (isfinite(p->end[item])) {
        p->start = number(reply, "start");
        p->samples = (int)whole(reply, "samples");
    }
    json_decref(reply);
    return ST_OK;
}

static enum status run_profile(struct job_run *r, const struct job *job, struct job_result *ret,
                               struct error *err)
{
    enum status st = ST_OK;
    outlook_profile_init(job->profile);
    for (int k = 0; k < job->menu->count && st == ST_OK; k++)
        if (k != OUTLOOK_RECIPE && job->wanted[k] && !atomic_load(&r->wishes->cancel))
            st = profile_item(r, job, k, err);
    ret->end = JOB_PROFILED;
    return st;
}

/* ---- trials ---- */

static json_t *trial_chunks(const struct job_run *r, const struct trial *t)
{
    char chunk[PATH_MAX], labels[PATH_MAX];
    json_t *chunks = json_array();
    for (int i = 0; i < t->chunk_count; i++) {
        store_chunk_path(r->server->store, t->camera, t->seq[i], chunk);
        store_label_path(r->server->store, t->camera, t->seq[i], labels);
        json_array_append_new(chunks, json_pack("{s:s,s:s}", "chunk", chunk, "labels", labels));
    }
    return chunks;
}

static json_t *trial_request(const struct job_run *r, const struct trial *t)
{
    json_t *models = json_array();
    for (int i = 0; i < t->model_count; i++)
        json_array_append_new(
            models, json_pack("{s:s,s:s}", "path", t->models[i].path, "own", t->models[i].own));
    return json_pack("{s:s,s:i,s:o,s:o}", "op", "trial", "frames", t->frames_max, "chunks",
                     trial_chunks(r, t), "models", models);
}

static void take_scores(const json_t *frames, struct trial_model *m)
{
    double sum = 0;
    m->frames = 0;
    for (size_t i = 0; i < json_array_size(frames) && m->frames < TRIAL_FRAMES_MAX; i++) {
        const json_t *v = json_array_get(frames, i);
        double score = json_is_number(v) ? json_number_value(v) : 0;
        m->score[m->frames++] = (float)score;
        sum += score;
    }
    m->mean = m->frames ? sum / m->frames : NAN;
}

static bool take_signature(const json_t *values, struct signature *ret)
{
    if (json_array_size(values) != SIGNATURE_VALUES)
        return false;
    for (size_t i = 0; i < SIGNATURE_VALUES; i++)
        ret->value[i] = (float)json_number_value(json_array_get(values, i));
    return signature_is_valid(ret);
}

static enum status run_own(struct job_run *r, const struct job *job, struct error *err)
{
    struct trial *t = job->trial;
    json_t *reply,
        *request = json_pack("{s:s,s:o,s:s,s:s}", "op", "own", "chunks", trial_chunks(r, t),
                             "snapshot", t->models[0].path, "path", t->own.path);
    enum status st = ask(r, job, request, &reply, err);
    if (st != ST_OK)
        return st;
    const char *reason = json_string_value(json_object_get(reply, "reason"));
    t->own.trained = json_is_true(json_object_get(reply, "trained"));
    t->own.bytes = whole(reply, "bytes");
    snprintf(t->own.reason, sizeof t->own.reason, "%.150s", reason ? reason : "");
    json_decref(reply);
    return ST_OK;
}

static enum status run_trial(struct job_run *r, const struct job *job, struct job_result *ret,
                             struct error *err)
{
    struct trial *t = job->trial;
    json_t *reply;
    ret->end = JOB_TRIED;
    if (t->own.path[0])
        return run_own(r, job, err);
    enum status st = ask(r, job, trial_request(r, t), &reply, err);
    if (st != ST_OK)
        return st;
    const json_t *scores = json_object_get(reply, "scores");
    for (int i = 0; i < t->model_count; i++)
        take_scores(json_array_get(scores, (size_t)i), &t->models[i]);
    t->has_signature = take_signature(json_object_get(reply, "signature"), &t->signature);
    json_decref(reply);
    return ST_OK;
}

/* ---- the whole ---- */

static enum status end_learner(struct job_run *r, const struct job *job, struct job_result *ret,
                               struct error *err)
{
    ret->end = JOB_CLOSED;
    return close_learner(r, job, err);
}

static enum status run_job(struct job_run *r, const struct job *job, struct job_result *ret,
                           struct error *err)
{
    struct server *s = r->server;
    uint64_t start_us = clock_mono_us();
    if (job->close)
        return end_learner(r, job, ret, err);
    if (job->trial)
        return run_trial(r, job, ret, err);
    enum status st = bring_up_to_date(r, job, err);
    if (st != ST_OK || r->trainee->frames < config_live(s->config).frames_min)
        return st;
    if (job->kind == LEDGER_PROFILE)
        return run_profile(r, job, ret, err);
    st = run_phase(r, job, ret, err);
    atomic_fetch_add(&s->counters.phases, st == ST_OK);
    uint64_t took_us = clock_mono_us() - start_us;
    atomic_fetch_add(&s->counters.phase_us, st == ST_OK ? took_us : 0);
    if (st == ST_OK)
        metrics_observe(s->metrics, METRICS_RETRAIN, (double)took_us / 1e6);
    return st;
}

enum status job_execute(struct job_run *r, const struct job *job, struct job_result *ret,
                        struct error *err)
{
    struct error ignored;
    struct job_result result = {.end = JOB_NOTHING, .before = NAN, .after = NAN};
    r->began_us = r->charged_us;
    r->until_us =
        clock_mono_us() + (uint64_t)(config_live(r->server->config).phase_timeout_s * 1e6);
    enum status st = run_job(r, job, &result, err);
    /* After a failure the worker's memory may be ahead of the disk. */
    if (st != ST_OK && st != ST_NETWORK && st != ST_AGAIN && !job->trial)
        close_learner(r, job, &ignored);
    result.compute_us = r->charged_us - r->began_us;
    *ret = result;
    return st;
}
