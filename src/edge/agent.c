/* agent.c - opens the parts, runs the real-time loop, joins the threads and sums up.
 *
 * The loop's order for a frame is fixed: take the newest model, infer, publish, then hand copies
 * over. Everything it calls is bounded by computation; nothing in it waits for another thread.
 */
#include "edge/agent.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "edge/agent_internal.h"
#include "video/frame.h"

#define SAMPLES_WAITING_MAX 16
#define RESULTS_WAITING_MAX 512
#define LOOKS_WAITING_MAX 6
#define SCORE_PERIOD_US 1000000
#define BACKGROUND_NICE 5

void agent_options_init(struct agent_options *o)
{
    *o = (struct agent_options){.threads = 1,
                                .cores = CORES_AUTO,
                                .seed = 1,
                                .latitude_deg = (double)NAN,
                                .longitude_deg = (double)NAN};
}

/* Decides where inference runs. */
static enum status plan_cores(struct agent *a, struct error *err)
{
    struct cores_machine machine;
    char text[2 * CORES_TEXT_BYTES];
    a->inference = (struct cores_role){
        .name = "inference", .wish = a->options.cores, .threads = a->options.threads};
    enum status st = cores_machine_read(&machine, err);
    if (st == ST_OK)
        st = cores_plan(&machine, &a->inference, 1, &a->cores, err);
    if (st != ST_OK)
        return st;
    cores_plan_write(&a->cores, &a->inference, 1, text, sizeof text);
    if (a->cores.fewer)
        log_write(LOG_WARN, "fewer threads", "wanted=%d processors=\"%s\"", a->options.threads,
                  text);
    else if (a->cores.pinned)
        log_write(LOG_INFO, "processors", "plan=\"%s\"", text);
    return ST_OK;
}

/* Moves the calling thread, and those that it starts from now on. */
static enum status move_to(const struct agent *a, const struct cores *c, struct error *err)
{
    return a->cores.pinned ? cores_pin(c, err) : ST_OK;
}

static size_t frame_size_bytes(const struct agent *a)
{
    return (size_t)3 * (size_t)a->spec.width * (size_t)a->spec.height;
}

/* A class for every pixel, or boxes. */
static size_t truth_bytes(const struct agent *a)
{
    return a->spec.task == TASK_DETECT ? task_cells(&a->spec) : frame_size_bytes(a) / 3;
}

static enum status open_student(struct agent *a, struct error *err)
{
    struct inference_grid grid;
    inference_grid_init(&grid);
    enum status st = student_open(a->options.student_path, a->inference.threads, grid.scales,
                                  a->options.choose ? grid.scale_count : 1, &a->student, err);
    if (st != ST_OK)
        return st;
    a->model = student_model(a->student);
    a->slot = student_slot(a->student);
    a->spec = *student_spec(a->student);
    if (nn_model_is_calibrated(a->model))
        log_write(LOG_INFO, "calibrated student", "precision=%s",
                  nn_precision_of_model(a->model) == NN_PRECISION_INT8 ? "int8" : "f32");
    return ST_OK;
}

/* A state that cannot be used costs a download, not the start. */
static void load_params(struct agent *a)
{
    struct error err;
    enum status st = slot_load(a->slot, a->params_path, &err);
    if (st == ST_OK)
        log_write(LOG_INFO, "model loaded", "version=%lu", (unsigned long)slot_version(a->slot));
    else if (st != ST_NOT_FOUND)
        log_write(LOG_WARN, "model state discarded", "reason=\"%s\"", err.message);
}

/* Chunks of a time when the camera was to upload. */
static enum status empty_spool(struct agent *a, struct error *err)
{
    struct buf chunk;
    buf_init(&chunk);
    enum status st;
    uint64_t seq;
    while ((st = spool_peek(a->spool, &seq, &chunk, err)) == ST_OK) {
        chunk.size_bytes = 0;
        if ((st = spool_drop(a->spool, seq, err)) != ST_OK)
            break;
        log_write(LOG_INFO, "chunk thrown away", "seq=%lu reason=\"this camera never uploads\"",
                  (unsigned long)seq);
    }
    buf_clear(&chunk);
    return st == ST_AGAIN ? ST_OK : st;
}

static enum status open_state(struct agent *a, struct error *err)
{
    const char *folder = a->options.state_folder;
    int n = snprintf(a->params_path, sizeof a->params_path, "%s/params.ckpt", folder);
    int m = snprintf(a->spool_path, sizeof a->spool_path, "%s/spool", folder);
    if (n < 0 || m < 0 || (size_t)n >= sizeof a->params_path - 64)
        return error_set(err, ST_LIMIT, "the state folder's name is too long");
    enum status st = spool_open(a->spool_path, NULL, &a->spool, err);
    if (st == ST_OK && a->options.no_upload)
        st = empty_spool(a, err);
    if (st == ST_OK)
        load_params(a);
    return st;
}

static enum status open_clients(struct agent *a, struct error *err)
{
    struct client_options o;
    client_options_init(&o);
    o.url = a->options.server_url;
    o.camera_id = a->options.camera_id;
    o.ca_path = a->options.ca_path;
    o.insecure = a->options.insecure;
    o.pin = a->options.pin;
    o.token = a->options.token;
    enum status st = client_open(&o, &a->upload_client, err);
    return st == ST_OK ? client_open(&o, &a->update_client, err) : st;
}

static void on_source(void *context, const char *reason)
{
    struct agent *a = context;
    pthread_mutex_lock(&a->mutex);
    snprintf(a->told.source, sizeof a->told.source, "%s", reason ? reason : "");
    a->told.reconnects += !reason;
    pthread_mutex_unlock(&a->mutex);
}

static enum status open_feed(struct agent *a, struct error *err)
{
    bool native = a->views.regions.count > 0; /* regions are cut from what the source gives */
    const struct feed_options o = {.url = a->options.source_url,
                                   .credentials_file = a->options.credentials_file,
                                   .transport = a->options.transport,
                                   .tls_ca = a->options.tls_ca,
                                   .timeout_s = a->options.timeout_s,
                                   .width = native ? 0 : a->spec.width,
                                   .height = native ? 0 : a->spec.height,
                                   .mask = &a->mask,
                                   .fps = a->options.fps,
                                   .boxes = a->spec.task == TASK_DETECT,
                                   .seed = a->options.seed,
                                   .cancel = &a->stopping,
                                   .beats = &a->beats,
                                   .on_source = on_source,
                                   .context = a};
    enum status st = feed_open(&o, &a->feed, err);
    if (st == ST_OK && native && a->options.overlay_path)
        st = error_set(err, ST_UNSUPPORTED, "--overlay shows whole frames: leave out --regions");
    else if (st == ST_OK && a->options.score && a->spec.task == TASK_CLASSIFY)
        st = error_set(
            err, ST_UNSUPPORTED,
            "--score compares pixels or boxes, and the student gives a class for the picture: "
            "leave it out");
    else if (st == ST_OK && a->options.score && !feed_has_truth(a->feed))
        st = error_set(err, ST_UNSUPPORTED,
                       "--score needs exact labels, and only the synthetic town has them: use a "
                       "source such as town:scenario=demo");
    return st;
}

static enum status open_queues(struct agent *a, struct error *err)
{
    size_t pixels = (size_t)a->spec.width * (size_t)a->spec.height;
    size_t answers = task_cells(&a->spec);
    int views = views_count(&a->views);
    enum status st =
        handoff_open(RESULTS_WAITING_MAX, sizeof(struct agent_result), &a->results, err);
    if (st == ST_OK)
        st = handoff_open(LOOKS_WAITING_MAX,
                          sizeof(struct agent_look) + 3 * pixels + truth_bytes(a) + answers,
                          &a->looks, err);
    if (st == ST_OK && a->spool && !a->options.no_upload)
        st = handoff_open(SAMPLES_WAITING_MAX * views, sizeof(struct agent_sample) + 3 * pixels,
                          &a->samples, err);
    return st;
}

static enum status open_parts(struct agent *a, struct error *err)
{
    enum status st = plan_cores(a, err);
    if (st == ST_OK)
        st = move_to(a, &a->inference.own, err);
    if (st == ST_OK)
        st = open_student(a, err);
    if (st == ST_OK && a->options.server_url)
        st = open_clients(a, err);
    if (st == ST_OK && a->options.server_url)
        st = open_state(a, err);
    if (st == ST_OK)
        st = agent_transmit_open(a, err);
    if (st == ST_OK)
        st = views_init(&a->views, a->options.regions, &a->spec, err);
    if (st == ST_OK)
        st = mask_parse(a->options.mask, &a->mask, err);
    if (st == ST_OK) /* the decoder's threads, and those that agent_run starts */
        st = move_to(a, &a->cores.rest, err);
    if (st == ST_OK)
        st = open_feed(a, err);
    if (st == ST_OK)
        st = agent_infer_open(a, err);
    if (st == ST_OK)
        agent_drift_open(a);
    if (st == ST_OK)
        st = open_queues(a, err);
    if (st == ST_OK)
        st = agent_report_open(a, &a->report, err);
    if (st == ST_OK) /* here, since opening is not charged */
        st = throttle_open(&a->throttle, err);
    a->throttle.cancel = &a->stopping;
    return st;
}

enum status agent_open(const struct agent_options *options, struct agent **ret, struct error *err)
{
    assert(options->source_url && options->student_path);
    assert(!options->server_url || (options->state_folder && options->camera_id));
    struct agent *a = calloc(1, sizeof *a);
    if (!a)
        return error_set(err, ST_NOMEM, "no memory for the camera");
    a->options = *options;
    pthread_mutex_init(&a->mutex, NULL);
    clock_cond_init(&a->changed);
    meter_init(&a->latency);
    /* Until the server has been heard: AMS's defaults. */
    a->settings = (struct client_settings){
        .sampling_fps = 1, .chunk_s = 10, .uplink_kbps = 200, .share = INFINITY};
    transmission_wish_init(&a->settings.send);
    a->told.no_upload = options->no_upload;
    atomic_store(&a->asr_fps, a->settings.sampling_fps);
    enum status st = open_parts(a, err);
    if (st != ST_OK) {
        agent_close(&a);
        return st;
    }
    *ret = a;
    return ST_OK;
}

void agent_close(struct agent **a)
{
    if (!a || !*a)
        return;
    agent_report_close(&(*a)->report);
    views_clear(&(*a)->views);
    mask_clear(&(*a)->mask);
    handoff_close(&(*a)->samples);
    handoff_close(&(*a)->results);
    handoff_close(&(*a)->looks);
    feed_close(&(*a)->feed);
    client_close(&(*a)->upload_client);
    client_close(&(*a)->update_client);
    spool_close(&(*a)->spool);
    agent_infer_close(*a);
    throttle_clear(&(*a)->throttle);
    student_close(&(*a)->student);
    pthread_cond_destroy(&(*a)->changed);
    pthread_mutex_destroy(&(*a)->mutex);
    free(*a);
    *a = NULL;
}

void agent_stop(struct agent *a)
{
    atomic_store(&a->stopping, true);
}

uint64_t agent_beats(const struct agent *a)
{
    return atomic_load(&a->beats);
}

const struct task_spec *agent_spec(const struct agent *a)
{
    return &a->spec;
}

double agent_fps(const struct agent *a)
{
    return feed_fps(a->feed);
}

struct client_settings agent_settings(struct agent *a)
{
    pthread_mutex_lock(&a->mutex);
    struct client_settings s = a->settings;
    pthread_mutex_unlock(&a->mutex);
    return s;
}

void agent_take_settings(struct agent *a, const struct client_settings *s)
{
    pthread_mutex_lock(&a->mutex);
    a->settings = *s;
    pthread_mutex_unlock(&a->mutex);
    atomic_store(&a->asr_fps, s->sampling_fps);
    atomic_fetch_add(&a->wishes, 1);
}

bool agent_pause(struct agent *a, uint64_t pause_us)
{
    uint64_t until_us = clock_mono_us() + pause_us;
    pthread_mutex_lock(&a->mutex);
    while (!atomic_load(&a->ending))
        if (clock_cond_wait(&a->changed, &a->mutex, until_us) != 0)
            break;
    pthread_mutex_unlock(&a->mutex);
    return !atomic_load(&a->ending);
}

void agent_thread_background(const char *name)
{
    /* On Linux a thread has its own nice value; failing to lower it is no reason to stop. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
    (void)pthread_setname_np(pthread_self(), name);
}

static void count_classes(const struct agent *a, const uint8_t *labels, struct agent_result *r)
{
    uint32_t count[256] = {0};
    size_t n = task_cells(&a->spec);
    for (size_t i = 0; i < n; i++)
        count[labels[i]]++;
    for (int c = 0; c < a->spec.class_count; c++)
        r->fraction[c] = (float)count[c] / (float)n;
}

static void list_boxes(const struct agent *a, const uint8_t *table, struct agent_result *r)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(table, d);
    detect_sum_up(table, a->spec.class_count, r->fraction);
    for (int i = 0; i < count; i++)
        if (!d[i].unsure)
            r->boxes[r->box_count++] = d[i].box;
    for (int c = 0; c < a->spec.class_count && r->box_count; c++)
        r->fraction[c] /= (float)r->box_count;
}

/* The answer in a few numbers, for the results. */
static void sum_up_answer(const struct agent *a, const struct nn_view *logits,
                          const uint8_t *labels, struct agent_result *r)
{
    r->class_count = a->spec.class_count;
    r->box_count = 0;
    if (a->spec.task == TASK_CLASSIFY)
        task_probabilities(logits, 0, 0, NULL, r->fraction);
    else if (a->spec.task == TASK_DETECT)
        list_boxes(a, labels, r);
    else
        count_classes(a, labels, r);
    for (int c = 1; c < r->class_count; c++)
        if (r->fraction[c] > r->fraction[r->class_id])
            r->class_id = c;
}

static void hand_sample(struct agent *a, const struct frame *f, uint64_t t_us, uint64_t version)
{
    struct agent_sample *s = handoff_begin(a->samples);
    *s = (struct agent_sample){.t_us = t_us, .version = version};
    memcpy(s + 1, f->pixels, frame_size_bytes(a));
    handoff_commit(a->samples);
}

static void hand_look(struct agent *a, const struct feed_view *v, uint64_t t_us, uint64_t version,
                      bool score)
{
    size_t bytes = frame_size_bytes(a);
    size_t answers = task_cells(&a->spec);
    struct agent_look *l = handoff_begin(a->looks);
    *l = (struct agent_look){.t_us = t_us,
                             .version = version,
                             .score = score,
                             .overlay = a->options.overlay_path != NULL};
    snprintf(l->condition, sizeof l->condition, "%s", v->condition);
    uint8_t *at = (uint8_t *)(l + 1);
    memcpy(at, v->frame.pixels, bytes);
    memcpy(at + bytes, a->infer.labels, answers);
    if (score)
        memcpy(at + bytes + answers, v->truth->classes, truth_bytes(a));
    handoff_commit(a->looks);
}

/* The loop's own variables. */
struct loop {
    struct sampler sampler;
    uint64_t last_version, late_before, scored_us, wall_offset_us;
    struct agent_result newest[REGIONS_MAX]; /* of the last frame that was inferred, a view each */
    bool ran_over; /* the last frame took a new model and ended after the next was due */
};

static enum status next_frame(struct agent *a, struct loop *l, bool score, struct feed_view *v,
                              struct error *err)
{
    bool all = score || a->options.overlay_path;
    uint64_t before_us = clock_thread_cpu_us();
    enum status st = feed_next(a->feed, all ? 0 : agent_infer_pixels_from(a), v, err);
    if (st != ST_OK)
        return st;
    agent_infer_count_frame(a, v->frame.pixels != NULL,
                            (double)(clock_thread_cpu_us() - before_us) * 1e-6);
    struct feed_stats stats;
    feed_stats_get(a->feed, &stats);
    if (l->ran_over)
        a->dropped_by_swap += stats.late - l->late_before;
    l->ran_over = false;
    l->late_before = stats.late;
    atomic_store(&a->late, stats.late);
    return ST_OK;
}

/* The feed sets frames of one moment a microsecond apart, so one may be ahead of the clock. */
static uint64_t age_us(const struct feed_view *v)
{
    uint64_t now_us = clock_mono_us();
    return now_us > v->available_us ? now_us - v->available_us : 0;
}

/* The answer for one view. */
static enum status infer_view(struct agent *a, struct loop *l, const struct feed_view *v, int view,
                              struct error *err)
{
    uint64_t version;
    struct nn_view logits;
    const struct frame *frame = views_at(&a->views, view);
    enum status st = agent_infer_view(a, frame, v->index, &version, &logits, err);
    if (st != ST_OK)
        return st;
    struct agent_result *r = &l->newest[view];
    *r = (struct agent_result){.region = a->views.regions.count ? view : -1, .version = version};
    sum_up_answer(a, &logits, a->infer.labels, r);
    r->latency_us = age_us(v);
    meter_add(&a->latency, r->latency_us);
    durations_add(&a->infer.timing.age, (double)r->latency_us / 1e6);
    if (view == 0)
        agent_drift_see(a, frame, &logits, version, v->available_us, l->wall_offset_us);
    l->ran_over |= version != l->last_version && r->latency_us * feed_fps(a->feed) > 1e6;
    return ST_OK;
}

/* Infers one frame; l->newest has the results, a->infer.labels is left with those of view 0. */
static enum status infer(struct agent *a, struct loop *l, const struct feed_view *v,
                         struct error *err)
{
    enum status st = ST_OK;
    for (int i = views_count(&a->views) - 1; i >= 0 && st == ST_OK; i--)
        st = infer_view(a, l, v, i, err);
    l->last_version = l->newest[0].version;
    atomic_fetch_add(&a->frames, 1);
    return st;
}

static void publish(struct agent *a, const struct loop *l, const struct feed_view *v, bool inferred)
{
    for (int i = 0; i < views_count(&a->views); i++) {
        struct agent_result *r = handoff_begin(a->results);
        *r = l->newest[i];
        r->t_us = v->available_us + l->wall_offset_us;
        r->frame = v->index;
        r->held = !inferred;
        if (r->held)
            r->latency_us = age_us(v);
        handoff_commit(a->results);
    }
    a->infer.held += !inferred;
}

static void hand_samples(struct agent *a, const struct loop *l, uint64_t t_us)
{
    for (int i = 0; i < views_count(&a->views); i++)
        hand_sample(a, views_at(&a->views, i), t_us, l->newest[i].version);
}

/* AMS's rate follows the scene, the controller's what the group can train on: the lower one. */
static double rate_of(struct agent *a)
{
    return fmin(atomic_load(&a->asr_fps), atomic_load(&a->controlled_fps));
}

static enum status step(struct agent *a, struct loop *l, struct error *err)
{
    struct feed_view v;
    uint64_t now_us = clock_mono_us();
    agent_infer_follow(a, now_us);
    bool score = a->options.score && now_us - l->scored_us >= SCORE_PERIOD_US;
    enum status st = next_frame(a, l, score, &v, err);
    if (st == ST_OK && v.index >= agent_infer_pixels_from(a))
        st = views_cut(&a->views, &v.frame, err);
    if (st != ST_OK)
        return st;
    bool inferred = agent_infer_is_due(a, v.index);
    if (inferred && (st = infer(a, l, &v, err)) != ST_OK)
        return st;
    publish(a, l, &v, inferred);
    uint64_t t_us = v.available_us + l->wall_offset_us, version = l->newest[0].version;
    double rate_fps = rate_of(a);
    if (rate_fps != l->sampler.rate_fps)
        sampler_set_rate(&l->sampler, rate_fps);
    bool label = v.frame.pixels &&
                 agent_infer_probe(a, views_at(&a->views, 0), v.index, inferred, version, now_us);
    bool due = inferred && sampler_take(&l->sampler, v.available_us);
    bool urgent = inferred && agent_drift_wants(a, v.available_us);
    bool sample = a->samples && (due || urgent);
    if (a->samples && (sample || label))
        hand_samples(a, l, t_us);
    if (label)
        agent_judge_keep(a, v.index, t_us);
    if (score)
        l->scored_us = now_us;
    if (score || a->options.overlay_path)
        hand_look(a, &v, t_us, version, score);
    throttle_step(&a->throttle); /* what it makes late is skipped by the feed */
    return ST_OK;
}

static enum status run_frames(struct agent *a, struct error *err)
{
    struct loop l = {.wall_offset_us = clock_wall_us() - clock_mono_us()};
    sampler_init(&l.sampler, rate_of(a));
    l.last_version = slot_version(a->slot);
    uint64_t until_us =
        a->options.seconds > 0 ? a->start_us + (uint64_t)(a->options.seconds * 1e6) : UINT64_MAX;
    enum status st = ST_OK;
    while (st == ST_OK && !atomic_load(&a->stopping) && clock_mono_us() < until_us)
        st = step(a, &l, err);
    return st == ST_END ? ST_OK : st;
}

static void end_threads(struct agent *a)
{
    pthread_mutex_lock(&a->mutex);
    atomic_store(&a->ending, true);
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->mutex);
    handoff_stop(a->results);
    handoff_stop(a->looks);
    if (a->samples)
        handoff_stop(a->samples);
    if (a->upload_client) {
        client_cancel(a->upload_client);
        client_cancel(a->update_client);
    }
}

static void sum_up(struct agent *a, struct agent_summary *ret)
{
    *ret = (struct agent_summary){
        .frames = atomic_load(&a->frames),
        .held = a->infer.held,
        .running = a->infer.table.points[a->infer.current],
        .dropped_late = atomic_load(&a->late),
        .dropped_by_swap = a->dropped_by_swap,
        .dropped_results = handoff_dropped(a->results),
        .latency_p50_us = meter_percentile(&a->latency, 0.5),
        .latency_p95_us = meter_percentile(&a->latency, 0.95),
        .latency_max_us = a->latency.max_us,
        .elapsed_s = (double)(clock_mono_us() - a->start_us) / 1e6,
        .versions_applied = a->versions_applied,
        .version = slot_version(a->slot),
        .params_crc32 = slot_params_crc32(a->slot),
        .dropped_samples = a->samples_dropped_encoder,
        .samples = a->samples_encoded,
        .dropped_chunks = a->chunks_lost,
    };
    struct feed_stats feed;
    feed_stats_get(a->feed, &feed);
    ret->source_restarts = feed.restarts;
    if (a->spool) {
        struct spool_stats s;
        spool_stats_get(a->spool, &s);
        ret->chunks = s.appended;
        ret->chunks_acknowledged = s.acknowledged;
        ret->dropped_chunks += s.dropped_full + s.dropped_torn + s.dropped_given;
        ret->dropped_samples += a->samples ? handoff_dropped(a->samples) : 0;
    }
    agent_traffic(a, &ret->up_bytes, &ret->down_bytes);
    ret->up_kbps = (double)ret->up_bytes * 8e-3 / ret->elapsed_s;
    ret->down_kbps = (double)ret->down_bytes * 8e-3 / ret->elapsed_s;
    agent_report_summary(a->report, ret);
}

void agent_traffic(const struct agent *a, uint64_t *ret_up_bytes, uint64_t *ret_down_bytes)
{
    struct client_traffic up = {0}, down = {0};
    if (a->upload_client) {
        client_traffic_get(a->upload_client, &up);
        client_traffic_get(a->update_client, &down);
    }
    *ret_up_bytes = up.up_bytes + down.up_bytes;
    *ret_down_bytes = up.down_bytes + down.down_bytes;
}

enum status agent_run(struct agent *a, struct agent_summary *ret, struct error *err)
{
    void *(*const bodies[])(void *) = {agent_report_thread, agent_upload_thread,
                                       agent_update_thread, agent_encode_thread};
    int wanted = !a->options.server_url ? 1 : a->samples ? 4 : 3, running = 0;
    pthread_t threads[4];
    enum status st = ST_OK;
    a->start_us = clock_mono_us();
    for (; running < wanted; running++)
        if (pthread_create(&threads[running], NULL, bodies[running], a) != 0) {
            st = error_set(err, ST_NOMEM, "cannot start a thread");
            break;
        }
    if (st == ST_OK)
        st = move_to(a, &a->inference.own, err);
    if (st == ST_OK)
        st = run_frames(a, err);
    end_threads(a);
    while (running > 0)
        pthread_join(threads[--running], NULL);
    sum_up(a, ret);
    return st;
}
