/* labelling.c - one chunk at a time from upload to rows. A chunk that cannot be decoded or
 * labelled is marked as failed with an event and never tried again; the stream goes on. */
#include "server/labelling.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "drift/change.h"
#include "label/label_file.h"
#include "label/labeller.h"
#include "server/board.h"
#include "server/gate.h"
#include "server/kept.h"
#include "server/label_queue.h"
#include "server/metrics.h"
#include "server/params_cache.h"
#include "server/preview.h"
#include "server/rates.h"
#include "server/requests.h"
#include "share/pacer.h"
#include "task/scorer.h"
#include "train/asr.h"
#include "uplink/chunk.h"
#include "video/decode.h"
#include "video/frame.h"

#define WINDOW_S 10 /* AMS scores over the last 10 s */
#define RATE_WINDOW_US ((uint64_t)60 * 1000000)
#define IDLE_US ((uint64_t)1000000)
#define RETIRE_US ((uint64_t)20 * 1000000)
#define NICENESS 5
#define SCORED_TIMES 128
#define KEEP_WAIT_US ((uint64_t)1000000) /* until what could not be written is tried again */
#define KEEP_TRIES_MAX 60                /* where the disk is not full, but fails */

/* What labelling remembers of a camera between chunks; lost at a restart, which costs the first
 * window of scores and one step of the sampling rate. */
struct watched {
    char id[CAMERA_ID_CHARS_MAX + 1];
    struct scorer *scorer;
    struct label_map last; /* newest teacher labels, the first of their time */
    uint64_t last_t_us;
    double similarity_sum;
    int similarity_count;
    uint64_t rate_t_us; /* capture time up to which the rate was adapted */
    struct accuracy_watch falls;
    uint64_t scored_us[SCORED_TIMES]; /* of the last scored frames, a ring */
    uint64_t scored;
};

struct labelling {
    struct server *server;
    struct labeller *labeller;
    struct params_cache cache;
    struct preview_set previews;
    struct watched *watched; /* [cameras_max] */
    int watched_count;
    struct label_queue queue;
    struct rates *failures; /* of chunks that people hear of, by camera */
    struct frame frame;
    struct label_map student, original;
    uint64_t retire_us;
    struct pacer pacer; /* where label_share bounds labelling */
    uint64_t cpu_us;    /* the thread's processor time that is in the account */
    pthread_t thread;
    bool running;
};

/* One chunk under way. */
struct task {
    struct store_chunk row;
    struct buf bytes;
    struct chunk chunk;
    struct label_set labels;    /* the teacher's */
    struct label_set answers;   /* the student's, as the camera ran it */
    struct store_frame *frames; /* [chunk.count] */
};

/* ---- cameras ---- */

static enum status watched_get(struct labelling *l, const char *id, struct watched **ret,
                               struct error *err)
{
    for (int i = 0; i < l->watched_count; i++)
        if (strcmp(l->watched[i].id, id) == 0) {
            *ret = &l->watched[i];
            return ST_OK;
        }
    if (l->watched_count == l->server->set.cameras_max)
        return error_set(err, ST_LIMIT, "more cameras are stored than cameras_max allows (%d)",
                         l->watched_count);
    struct watched *w = &l->watched[l->watched_count];
    const struct task_spec *spec = labeller_student_spec(l->labeller);
    memset(w, 0, sizeof *w);
    label_map_init(&w->last);
    enum status st = scorer_open(spec->task, spec->class_count, WINDOW_S, &w->scorer, err);
    if (st != ST_OK)
        return st;
    memcpy(w->id, id, strlen(id) + 1);
    accuracy_watch_init(&w->falls, change_detector_parse(l->server->set.drift),
                        l->server->set.drift_fall);
    l->watched_count++;
    *ret = w;
    return ST_OK;
}

/* ---- sampling rate ---- */

static void watch_similarity(struct labelling *l, struct watched *w, const struct label_map *now,
                             uint64_t t_us)
{
    if (w->last.classes && t_us == w->last_t_us)
        return; /* another crop of the same picture */
    w->last_t_us = t_us;
    size_t n = (size_t)now->width * (size_t)now->height;
    int classes = labeller_student_spec(l->labeller)->class_count;
    if (w->last.classes) {
        double s =
            asr_similarity(labeller_student_spec(l->labeller)->task, &w->last, now, classes, NULL);
        if (isfinite(s)) {
            w->similarity_sum += s;
            w->similarity_count++;
        }
    } else if (label_map_resize(&w->last, now->width, now->height, NULL) != ST_OK)
        return;
    memcpy(w->last.classes, now->classes, n);
}

static void adapt_rate(struct labelling *l, struct watched *w, uint64_t t_us)
{
    struct server *s = l->server;
    const struct settings_live live = config_live(s->config);
    struct store_camera c;
    struct error err = {0};
    if (w->rate_t_us == 0)
        w->rate_t_us = t_us;
    if (t_us < w->rate_t_us + (uint64_t)(live.period_s * 1e6) || w->similarity_count < 1 ||
        store_camera_get(s->store, w->id, &c, NULL) != ST_OK)
        return;
    struct asr_options o;
    asr_options_init(&o);
    o.rate_min_fps = live.sampling_fps_min;
    o.rate_max_fps = live.sampling_fps_max;
    double similarity = w->similarity_sum / w->similarity_count;
    double rate = asr_rate(&o, c.sampling_fps, similarity);
    w->rate_t_us = t_us;
    w->similarity_sum = 0;
    w->similarity_count = 0;
    if (fabs(rate - c.sampling_fps) < 0.005)
        return;
    if (store_camera_sampling(s->store, w->id, rate, &err) != ST_OK)
        return;
    server_event(s, w->id, "sampling_changed",
                 json_pack("{s:f,s:f,s:f}", "sampling_fps", rate, "before_fps", c.sampling_fps,
                           "similarity", similarity),
                 "the scene %s: labels of consecutive frames agree by %.2f (target %.2f), %.2f -> "
                 "%.2f fps",
                 rate > c.sampling_fps ? "moves" : "is calm", similarity, o.target, c.sampling_fps,
                 rate);
}

/* ---- falls of accuracy ---- */

/* What a camera that is blind or dirty answers is no ground for training. */
static bool is_spoilt(const struct labelling *l, const char *camera)
{
    struct inference_report told;
    uint64_t age_us;
    return board_told(l->server->board, camera, clock_mono_us(), &told, &age_us) &&
           (told.drift.kind == DRIFT_BLIND || told.drift.kind == DRIFT_DIRTY);
}

/* One frame's score by itself: those over a window would follow each other. */
static void watch_falls(struct labelling *l, struct watched *w, double accuracy, uint64_t t_us)
{
    struct change c;
    w->scored_us[w->scored++ % SCORED_TIMES] = t_us;
    if (!accuracy_watch_add(&w->falls, accuracy, &c) || is_spoilt(l, w->id))
        return;
    uint64_t back = c.since < SCORED_TIMES ? c.since : SCORED_TIMES - 1;
    back = back < w->scored ? back : w->scored - 1;
    struct drift_request r = {.kind = DRIFT_ACCURACY,
                              .at_server = true,
                              .t_us = t_us,
                              .since_us = w->scored_us[(w->scored - 1 - back) % SCORED_TIMES],
                              .score = (c.before - c.after) / w->falls.fall_min,
                              .latitude_deg = NAN,
                              .longitude_deg = NAN};
    memcpy(r.camera, w->id, sizeof r.camera);
    snprintf(r.text, sizeof r.text,
             "%s against the teacher fell from %.2f to %.2f, %llu frames ago",
             task_score_name(l->server->student_spec.task), c.before, c.after,
             (unsigned long long)c.since);
    requests_raise(l->server, &r);
}

/* ---- a chunk ---- */

/* The reported version's parameters; the camera's latest, or the file's own, where that version
 * is not kept. *version is what they are. */
static const float *params_for(struct labelling *l, const char *camera, uint64_t *version,
                               uint64_t *ret_stamp)
{
    struct store_camera c;
    struct error err = {0};
    const float *params = NULL;
    *ret_stamp = 0;
    if (params_cache_get(&l->cache, l->server, camera, *version, &params, ret_stamp, &err) == ST_OK)
        return params;
    log_write(LOG_WARN, "version not kept", "camera=%s version=%llu why=\"%s\"", camera,
              (unsigned long long)*version, err.message);
    *version = store_camera_get(l->server->store, camera, &c, NULL) == ST_OK ? c.version : 0;
    if (params_cache_get(&l->cache, l->server, camera, *version, &params, ret_stamp, &err) == ST_OK)
        return params;
    *version = 0;
    return NULL;
}

/* Labels and predicts l->frame; truth is the teacher's map. */
static enum status look(struct labelling *l, const char *camera, uint64_t *version,
                        struct label_map *truth, struct error *err)
{
    uint64_t stamp;
    const float *params = params_for(l, camera, version, &stamp);
    enum status st = labeller_predict(l->labeller, &l->frame, NULL, 0, &l->original, err);
    if (st == ST_OK && params)
        st = labeller_predict(l->labeller, &l->frame, params, stamp, &l->student, err);
    else if (st == ST_OK)
        memcpy(l->student.classes, l->original.classes,
               (size_t)truth->width * (size_t)truth->height);
    return st;
}

static enum status label_frame(struct labelling *l, struct watched *w, struct task *t, int i,
                               struct error *err)
{
    uint64_t start_us = clock_mono_us();
    struct label_map truth = label_set_map(&t->labels, i);
    uint64_t version = t->chunk.version[i];
    enum status st = labeller_teach(l->labeller, &l->frame, &truth, err);
    if (st == ST_OK)
        st = look(l, w->id, &version, &truth, err);
    if (st != ST_OK)
        return st;
    scorer_add(w->scorer, t->chunk.t_us[i], truth.classes, l->student.classes, l->original.classes,
               (size_t)truth.width * (size_t)truth.height);
    watch_similarity(l, w, &truth, t->chunk.t_us[i]);
    struct score score, alone;
    scorer_window(w->scorer, 0, &score);
    scorer_window(w->scorer, 1, &alone);
    watch_falls(l, w, alone.adapted, t->chunk.t_us[i]);
    t->labels.t_us[i] = t->answers.t_us[i] = t->chunk.t_us[i];
    memcpy(label_set_map(&t->answers, i).classes, l->student.classes,
           (size_t)truth.width * (size_t)truth.height);
    t->frames[i] = (struct store_frame){.t_us = t->chunk.t_us[i],
                                        .seq = t->row.seq,
                                        .index = i,
                                        .version = version,
                                        .accuracy = score.adapted,
                                        .unadapted = score.unadapted,
                                        .sampling_fps = (double)t->chunk.sampling_fps,
                                        .agreement = alone.adapted};
    atomic_fetch_add(&l->server->counters.frames_labelled, 1);
    uint64_t took_us = clock_mono_us() - start_us;
    pulse_beat(&l->server->pulse, PULSE_LABELLING, start_us + took_us);
    atomic_fetch_add(&l->server->counters.label_us, took_us);
    metrics_observe(l->server->metrics, METRICS_LABEL, (double)took_us / 1e6);
    metrics_labelled(l->server->metrics, w->id);
    return ST_OK;
}

static enum status open_task(struct labelling *l, struct task *t, struct error *err)
{
    char path[PATH_MAX];
    const struct task_spec *spec = labeller_student_spec(l->labeller);
    store_chunk_path(l->server->store, t->row.camera, t->row.seq, path);
    enum status st = file_read(path, CHUNK_BYTES_MAX, &t->bytes, err);
    if (st == ST_OK)
        st = chunk_parse(t->bytes.data, t->bytes.size_bytes, &t->chunk, err);
    if (st == ST_OK)
        st = label_set_init_for(&t->labels, t->chunk.count, spec, err);
    if (st == ST_OK)
        st = label_set_init_for(&t->answers, t->chunk.count, spec, err);
    if (st != ST_OK)
        return st;
    t->frames = calloc((size_t)t->chunk.count, sizeof *t->frames);
    return t->frames ? ST_OK : error_set(err, ST_NOMEM, "no memory for a chunk");
}

static void task_clear(struct task *t)
{
    buf_clear(&t->bytes);
    label_set_clear(&t->labels);
    label_set_clear(&t->answers);
    free(t->frames);
}

/* Charges this thread's work since the last call, its team's as much for each, and waits until
 * labelling is within its share. */
static void account(struct labelling *l, const char *camera)
{
    struct server *s = l->server;
    uint64_t cpu_us = clock_thread_cpu_us(), now_us = clock_mono_us();
    uint64_t used_us = (cpu_us - l->cpu_us) * (uint64_t)s->set.label_threads;
    l->cpu_us = cpu_us;
    server_charge(s, camera, LEDGER_LABEL, used_us);
    if (s->set.label_share <= 0)
        return;
    pacer_charge(&l->pacer, used_us, now_us);
    while (pacer_due_us(&l->pacer) > clock_mono_us() && !bell_stopped(&s->bell))
        bell_wait(&s->bell, bell_count(&s->bell), pacer_due_us(&l->pacer));
}

static void open_account(struct labelling *l)
{
    double share = l->server->set.label_share;
    l->cpu_us = clock_thread_cpu_us();
    if (share <= 0)
        return;
    pacer_init(&l->pacer, share, clock_mono_us());
    ledger_plan(l->server->ledger, "", LEDGER_LABEL, share, clock_mono_us(), NULL);
}

static enum status label_frames(struct labelling *l, struct watched *w, struct task *t,
                                struct error *err)
{
    struct clip_decoder *d;
    struct error why = {0};
    const struct chunk *c = &t->chunk;
    enum status st =
        clip_decoder_open(c->payload, c->payload_bytes, c->width, c->height, c->count, &d, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < c->count && st == ST_OK; i++) {
        st = bell_stopped(&l->server->bell) ? error_set(err, ST_AGAIN, "stopping")
                                            : clip_decoder_next(d, &l->frame, err);
        if (st == ST_OK)
            st = label_frame(l, w, t, i, err);
        account(l, w->id);
    }
    clip_decoder_close(&d);
    if (st == ST_OK) {
        struct label_map truth = label_set_map(&t->labels, c->count - 1);
        if (preview_put(&l->previews, w->id, &l->frame, &l->student, &truth, &why) != ST_OK)
            log_write(LOG_WARN, "no preview", "camera=%s why=\"%s\"", w->id, why.message);
    }
    return st;
}

static enum status write_set(const struct label_set *set, const char *path, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = label_set_write(set, &bytes, err);
    if (st == ST_OK)
        st = file_write(path, bytes.data, bytes.size_bytes, err);
    buf_clear(&bytes);
    return st;
}

static enum status write_labels(struct labelling *l, const struct task *t, struct error *err)
{
    char path[PATH_MAX];
    store_answer_path(l->server->store, t->row.camera, t->row.seq, path);
    enum status st = write_set(&t->answers, path, err);
    store_label_path(l->server->store, t->row.camera, t->row.seq, path);
    return st == ST_OK ? write_set(&t->labels, path, err) : st;
}

static enum status commit(struct labelling *l, struct task *t, struct error *err)
{
    struct store *store = l->server->store;
    double up = NAN, down = NAN;
    enum status st = write_labels(l, t, err);
    if (st == ST_OK)
        st = store_rates(store, t->row.camera, RATE_WINDOW_US, clock_wall_us(), &up, &down, err);
    for (int i = 0; i < t->chunk.count; i++) {
        t->frames[i].up_kbps = up;
        t->frames[i].down_kbps = down;
    }
    if (st == ST_OK)
        st = store_chunk_labelled(store, t->row.camera, t->row.seq, t->frames, t->chunk.count, err);
    return st;
}

/* Labels that are made are not thrown away because the disk is full, or somebody holds the
 * database: labelling waits, and with it, by the backlog, the cameras. */
static enum status commit_when_possible(struct labelling *l, struct task *t, struct error *err)
{
    struct bell *bell = &l->server->bell;
    for (int tries = 1;; tries++) {
        enum status st = commit(l, t, err);
        bool passes = st == ST_LIMIT || ((st == ST_IO || st == ST_NOMEM) && tries < KEEP_TRIES_MAX);
        if (!passes || bell_stopped(bell))
            return st;
        if (tries == 1)
            server_event(l->server, t->row.camera, "labelling_waits", NULL,
                         "the labels of chunk %llu cannot be written and are kept until they can: "
                         "%s",
                         (unsigned long long)t->row.seq, err->message);
        for (uint64_t until_us = clock_mono_us() + KEEP_WAIT_US;
             clock_mono_us() < until_us && bell_wait(bell, bell_count(bell), until_us);)
            ;
        pulse_beat(&l->server->pulse, PULSE_LABELLING, clock_mono_us());
    }
}

static void announce(struct labelling *l, const struct task *t)
{
    const struct store_frame *f = &t->frames[t->chunk.count - 1];
    json_t *more =
        json_pack("{s:I,s:i,s:I,s:I,s:o,s:o,s:f}", "seq", (json_int_t)t->row.seq, "frames",
                  t->chunk.count, "version", (json_int_t)f->version, "frame_t_us",
                  (json_int_t)f->t_us, "up_kbps", server_json_real(f->up_kbps), "down_kbps",
                  server_json_real(f->down_kbps), "sampling_fps", f->sampling_fps);
    server_json_accuracy(l->server, more, f->accuracy, f->unadapted);
    server_event(l->server, t->row.camera, "labelled", more,
                 "%d frames of chunk %llu labelled: %s %.3f, unadapted %.3f", t->chunk.count,
                 (unsigned long long)t->row.seq, task_score_name(l->server->student_spec.task),
                 f->accuracy, f->unadapted);
}

static enum status label_chunk(struct labelling *l, struct task *t, struct error *err)
{
    struct watched *w = NULL;
    uint64_t start_us = clock_mono_us();
    enum status st = open_task(l, t, err);
    if (st == ST_OK)
        st = watched_get(l, t->row.camera, &w, err);
    if (st == ST_OK)
        st = label_frames(l, w, t, err);
    label_queue_took(&l->queue, t->row.camera, clock_mono_us() - start_us);
    if (st == ST_OK)
        st = commit_when_possible(l, t, err);
    if (st != ST_OK)
        return st;
    announce(l, t);
    adapt_rate(l, w, t->chunk.t_us[t->chunk.count - 1]);
    return ST_OK;
}

static void fail_chunk(struct labelling *l, const struct store_chunk *row, const struct error *why)
{
    struct error err = {0};
    atomic_fetch_add(&l->server->counters.chunks_failed, 1);
    if (rates_take(l->failures, row->camera, 1, clock_mono_us()) <= 0)
        server_event(l->server, row->camera, "chunk_failed",
                     json_pack("{s:I}", "seq", (json_int_t)row->seq), "chunk %llu is left out: %s",
                     (unsigned long long)row->seq, why->message);
    if (store_chunk_failed(l->server->store, row->camera, row->seq, &err) != ST_OK)
        log_write(LOG_ERROR, "chunk state not written", "camera=%s seq=%llu why=\"%s\"",
                  row->camera, (unsigned long long)row->seq, err.message);
}

/* False when there was nothing to do, or the store failed: wait before the next try. */
static bool label_next(struct labelling *l)
{
    struct task t = {0};
    struct error err = {0};
    enum status st = label_queue_next(&l->queue, l->server->store, &t.row, &err);
    if (st != ST_OK) {
        if (st != ST_NOT_FOUND)
            log_write(LOG_ERROR, "store", "why=\"%s\"", err.message);
        return false;
    }
    st = label_chunk(l, &t, &err);
    if (st != ST_OK && !bell_stopped(&l->server->bell))
        fail_chunk(l, &t.row, &err);
    task_clear(&t);
    atomic_store(&l->server->counters.backlog_noted, false);
    return true;
}

/* ---- the thread ---- */

struct camera_names {
    char (*id)[CAMERA_ID_CHARS_MAX + 1];
    int count, capacity;
};

static void add_name(const struct store_camera *c, void *context)
{
    struct camera_names *n = context;
    if (n->count < n->capacity)
        memcpy(n->id[n->count++], c->id, sizeof c->id);
}

/* Half a horizon more than training uses: the newest frames may be late. */
static uint64_t needed_us(const struct server *s)
{
    return (uint64_t)((s->set.horizon_s * 1.5 + 60) * 1e6);
}

static void retire_one(struct labelling *l, const char *camera)
{
    struct server *s = l->server;
    uint64_t keep_us = needed_us(s), now_us = clock_wall_us();
    struct store_retired r;
    struct error err = {0};
    if (store_retire(s->store, camera, now_us - keep_us, now_us, &r, &err) != ST_OK) {
        log_write(LOG_WARN, "retention", "camera=%s why=\"%s\"", camera, err.message);
        return;
    }
    atomic_fetch_add(&s->counters.retired_chunks, r.chunks);
    if (r.chunks + r.models > 0)
        log_write(LOG_DEBUG, "retired", "camera=%s chunks=%llu models=%llu", camera,
                  (unsigned long long)r.chunks, (unsigned long long)r.models);
}

/* Where nothing more can go people hear of it, once. */
static void note_size(struct server *s, uint64_t bytes)
{
    uint64_t most = store_bytes_max(s->store);
    if (most == 0 || bytes <= most)
        atomic_store(&s->counters.size_noted, false);
    else if (!atomic_exchange(&s->counters.size_noted, true))
        server_event(
            s, "", "state_full", json_pack("{s:I}", "state_bytes", (json_int_t)bytes),
            "the state folder has %llu MB, more than state_mb_max, and nothing more may go",
            (unsigned long long)(bytes >> 20));
}

static void retire_by_limits(struct server *s)
{
    uint64_t now_us = clock_wall_us(), bytes = 0;
    struct store_retired old = {0}, large = {0};
    struct error err = {0};
    enum status st = store_retire_old(s->store, now_us, &old, &err);
    if (st == ST_OK)
        st = store_retire_size(s->store, now_us - needed_us(s), now_us, &bytes, &large, &err);
    if (st != ST_OK) {
        log_write(LOG_WARN, "retention", "why=\"%s\"", err.message);
        return;
    }
    atomic_fetch_add(&s->counters.retired_chunks, large.chunks);
    if (large.chunks + large.models > 0)
        log_write(LOG_INFO, "state folder too large", "samples=%llu models=%llu bytes=%llu",
                  (unsigned long long)large.chunks, (unsigned long long)large.models,
                  (unsigned long long)bytes);
    atomic_store(&s->counters.state_bytes, bytes);
    atomic_store(&s->counters.oldest_us, store_oldest(s->store));
    note_size(s, bytes);
}

static void for_each_camera(struct labelling *l, void (*each)(struct labelling *, const char *))
{
    struct camera_names n = {.capacity = l->server->set.cameras_max};
    n.id = calloc((size_t)n.capacity, sizeof *n.id);
    if (n.id && store_cameras(l->server->store, add_name, &n, NULL) == ST_OK)
        for (int i = 0; i < n.count && !bell_stopped(&l->server->bell); i++)
            each(l, n.id[i]);
    free(n.id);
}

/* After a restart the page shows what it showed before. */
static void restore_preview(struct labelling *l, const char *camera)
{
    struct store_camera c;
    struct kept_frame k;
    struct error err = {0};
    if (store_camera_get(l->server->store, camera, &c, NULL) != ST_OK || c.frame_seq == 0)
        return;
    enum status st = kept_open(l->server, c.id, c.frame_seq, KEPT_LAST, &k, &err);
    if (st == ST_OK) {
        st = preview_put(&l->previews, c.id, &k.frame, &k.student, &k.teacher, &err);
        kept_clear(&k);
    }
    if (st != ST_OK)
        log_write(LOG_WARN, "no preview", "camera=%s why=\"%s\"", camera, err.message);
}

/* Before the first team of this thread is made. */
static void keep_to_cores(const struct server *s)
{
    struct error err;
    if (s->cores.pinned && cores_pin(&s->roles[SERVER_LABEL].own, &err) != ST_OK)
        log_write(LOG_WARN, "labelling is not on its processors", "why=\"%s\"", err.message);
}

static void *run(void *context)
{
    struct labelling *l = context;
    struct bell *bell = &l->server->bell;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    keep_to_cores(l->server);
    for_each_camera(l, restore_preview);
    open_account(l);
    while (!bell_stopped(bell)) {
        uint64_t seen = bell_count(bell);
        pulse_beat(&l->server->pulse, PULSE_LABELLING, clock_mono_us());
        bool worked = label_next(l);
        if (clock_mono_us() >= l->retire_us) {
            for_each_camera(l, retire_one);
            retire_by_limits(l->server);
            l->retire_us = clock_mono_us() + RETIRE_US;
        }
        if (!worked)
            bell_wait(bell, seen, clock_mono_us() + IDLE_US);
    }
    pulse_end(&l->server->pulse, PULSE_LABELLING);
    return NULL;
}

static enum status open_parts(struct labelling *l, struct error *err)
{
    struct server *s = l->server;
    if (!change_detector_parse(s->set.drift))
        return error_set(err, ST_INVALID, "drift is adwin, page-hinkley or off, not '%.40s'",
                         s->set.drift);
    enum status st = labeller_open(s->student, s->teacher, s->set.label_threads, &l->labeller, err);
    if (st != ST_OK)
        return st;
    const struct task_spec *spec = labeller_student_spec(l->labeller);
    l->watched = calloc((size_t)s->set.cameras_max, sizeof *l->watched);
    if (!l->watched)
        return error_set(err, ST_NOMEM, "no memory for %d cameras", s->set.cameras_max);
    st = label_map_resize(&l->student, spec->out_width, spec->out_height, err);
    if (st == ST_OK)
        st = label_map_resize(&l->original, spec->out_width, spec->out_height, err);
    if (st == ST_OK)
        st = label_queue_init(&l->queue, s->set.cameras_max, err);
    if (st == ST_OK)
        st = rates_open(GATE_EVENTS_PER_S, GATE_EVENTS_BURST, &l->failures, err);
    if (st == ST_OK)
        st = preview_set_init(&l->previews, s->set.cameras_max, spec, err);
    return st;
}

enum status labelling_open(struct server *s, struct labelling **ret, struct error *err)
{
    struct labelling *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory for labelling");
    l->server = s;
    params_cache_init(&l->cache);
    frame_init(&l->frame);
    label_map_init(&l->student);
    label_map_init(&l->original);
    enum status st = open_parts(l, err);
    if (st == ST_OK && !s->options.no_label_thread) {
        l->running = pthread_create(&l->thread, NULL, run, l) == 0;
        if (!l->running)
            st = error_set(err, ST_NOMEM, "cannot start the labelling thread");
    }
    if (st != ST_OK) {
        labelling_close(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}

void labelling_close(struct labelling **ptr)
{
    struct labelling *l = ptr ? *ptr : NULL;
    if (!l)
        return;
    if (l->running)
        pthread_join(l->thread, NULL);
    for (int i = 0; i < l->watched_count; i++) {
        scorer_close(&l->watched[i].scorer);
        label_map_clear(&l->watched[i].last);
    }
    free(l->watched);
    label_queue_clear(&l->queue);
    rates_close(&l->failures);
    params_cache_clear(&l->cache);
    preview_set_clear(&l->previews);
    frame_clear(&l->frame);
    label_map_clear(&l->student);
    label_map_clear(&l->original);
    labeller_close(&l->labeller);
    free(l);
    *ptr = NULL;
}

enum status labelling_preview(struct labelling *l, const char *camera, enum preview_view view,
                              struct buf *out, struct error *err)
{
    return preview_jpeg(&l->previews, camera, view, out, err);
}

enum status labelling_kept(struct labelling *l, const char *camera, const struct store_frame *f,
                           enum preview_view view, struct buf *out, struct error *err)
{
    struct kept_frame k;
    enum status st = kept_open(l->server, camera, f->seq, f->index, &k, err);
    if (st != ST_OK)
        return st;
    const struct label_map *map = view == PREVIEW_STUDENT   ? &k.student
                                  : view == PREVIEW_TEACHER ? &k.teacher
                                                            : NULL;
    st = preview_draw(&l->previews, &k.frame, map, out, err);
    kept_clear(&k);
    return st;
}
