/* agent_infer.c - which frames are inferred and at what size: follows the share and the wishes,
 * measures what each configuration costs and how good its answers are, and tells what it does.
 *
 * A probe compares configurations on the camera's own frames. On its last frame, and one, three,
 * ... frames before it (the grid's ages), the full size and one smaller size both answer; then all
 * that would have been held on the last frame is compared with the full answer there, and, since
 * that frame is sampled, with the teacher's labels when they come (agent_judge.c). The inferences
 * that this takes besides those that run anyway are kept within PROBE_PART of the share by the time
 * between probes. All of it is the capture thread's, but for what is published under the agent's
 * mutex.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "edge/agent_internal.h"

#define PUBLISH_US 1000000
#define PROBE_PAUSE_MIN_US 5000000
#define PROBE_PAUSE_MAX_US 120000000
#define PROBE_PART 0.05

static double score_answer(void *context, const uint8_t *labels, const uint8_t *answer)
{
    struct agent *a = context;
    task_counts_init(a->spec.task, a->spec.class_count, &a->infer.confusion);
    confusion_add(&a->infer.confusion, labels, answer, task_cells(&a->spec));
    return task_score(a->spec.task, &a->infer.confusion);
}

/* The strides of the standard grid, and the scales that the student has. */
static void fill_grid(const struct agent *a, struct inference_grid *g)
{
    const double *scales;
    inference_grid_init(g);
    g->scale_count = student_scales(a->student, &scales);
    for (int i = 0; i < g->scale_count; i++)
        g->scales[i] = scales[i];
}

enum status agent_infer_open(struct agent *a, struct error *err)
{
    struct agent_infer *f = &a->infer;
    size_t answers = task_cells(&a->spec);
    struct inference_grid grid;
    fill_grid(a, &grid);
    inference_profile_init(&f->profile, &grid, feed_fps(a->feed));
    if (feed_passes_free(a->feed))
        inference_profile_add_pass(&f->profile, 0);
    inference_profile_table(&f->profile, &f->table);
    f->share = INFINITY;
    f->labels = malloc(answers);
    if (!f->labels)
        return error_set(err, ST_NOMEM, "no memory for labels");
    if (!a->options.choose)
        return ST_OK;
    if (student_note(a->student)[0])
        log_write(LOG_WARN, "resolution fixed", "reason=\"%s\"", student_note(a->student));
    f->full = malloc(answers);
    f->smaller = malloc(answers);
    if (!f->full || !f->smaller)
        return error_set(err, ST_NOMEM, "no memory to compare answers");
    enum status st = inference_watch_open(&grid, answers, score_answer, a, &f->watch, err);
    return st == ST_OK ? agent_judge_open(a, err) : st;
}

void agent_infer_close(struct agent *a)
{
    free(a->infer.labels);
    free(a->infer.full);
    free(a->infer.smaller);
    inference_watch_close(&a->infer.watch);
    agent_judge_close(a);
}

/* ---- what runs ---- */

static struct inference_configuration running(const struct agent_infer *f)
{
    return f->table.points[f->current].configuration;
}

static int size_of(const struct agent_infer *f)
{
    return f->current / f->profile.grid.stride_count;
}

static struct inference_wish wish_of(const struct agent *a, const struct client_settings *s)
{
    struct inference_wish w = s->infer;
    if (!a->options.choose) { /* a camera with a computer of its own runs all that it can */
        w.rate = w.rate > 0 ? w.rate : 1;
        w.scale = w.scale > 0 ? w.scale : 1;
    }
    return w;
}

static void choose(struct agent *a, const struct client_settings *s)
{
    struct agent_infer *f = &a->infer;
    double own = a->options.share > 0 ? a->options.share : INFINITY;
    struct inference_wish wish = wish_of(a, s);
    f->share = fmin(s->share, own);
    inference_profile_table(&f->profile, &f->table);
    int chosen = inference_pick(&f->table, &wish, f->share, f->current);
    if (chosen == f->current)
        return;
    f->current = chosen;
    const struct inference_point *p = &f->table.points[chosen];
    log_write(LOG_INFO, "inference changed",
              "rate=1/%d resolution=%.3g demand=%.3f share=%.3f factor=%.3f",
              p->configuration.stride, p->configuration.scale, p->demand, f->share, p->factor);
}

static void publish(struct agent *a)
{
    struct agent_infer *f = &a->infer;
    const struct inference_point *p = &f->table.points[f->current];
    struct inference_report *r = &a->told;
    pthread_mutex_lock(&a->mutex);
    r->running = p->configuration;
    r->share = f->share;
    r->demand = p->demand;
    r->factor = p->factor;
    r->frames = atomic_load(&a->frames);
    r->held = f->held;
    r->skipped = atomic_load(&a->late);
    r->timing = f->timing;
    if (f->watch)
        r->table = f->table;
    pthread_mutex_unlock(&a->mutex);
}

/* Costs of everything but the capture thread since the last time, a team's other threads not. */
static void measure_background(struct agent_infer *f, uint64_t now_us)
{
    uint64_t process_us = clock_process_cpu_us(0), thread_us = clock_thread_cpu_us();
    double rest_us =
        (double)(process_us - f->process_us) - (double)(thread_us - f->thread_us) - f->team_us;
    if (f->process_us > 0)
        inference_profile_add_background(&f->profile,
                                         fmax(rest_us, 0) / (double)(now_us - f->measured_us));
    f->process_us = process_us;
    f->thread_us = thread_us;
    f->measured_us = now_us;
    f->team_us = 0;
}

void agent_infer_follow(struct agent *a, uint64_t now_us)
{
    struct agent_infer *f = &a->infer;
    uint64_t wishes = atomic_load(&a->wishes);
    bool due = now_us - f->measured_us >= PUBLISH_US;
    if (!due && wishes == f->wishes_seen)
        return;
    if (due)
        measure_background(f, now_us);
    f->wishes_seen = wishes;
    agent_judge_take(a);
    struct client_settings settings = agent_settings(a);
    choose(a, &settings);
    if (f->started) /* before, nothing has been measured */
        publish(a);
}

/* ---- frames ---- */

/* The frame that the probe takes next. */
static uint64_t probe_index(const struct agent_infer *f)
{
    return f->probe.end - (uint64_t)f->profile.grid.strides[f->probe.stride] + 1;
}

bool agent_infer_is_due(const struct agent *a, uint64_t index)
{
    const struct agent_infer *f = &a->infer;
    return !f->started || index - f->last_index >= (uint64_t)running(f).stride;
}

uint64_t agent_infer_pixels_from(const struct agent *a)
{
    const struct agent_infer *f = &a->infer;
    if (!f->started)
        return 0;
    uint64_t due = f->last_index + (uint64_t)running(f).stride;
    return f->probe.active && probe_index(f) < due ? probe_index(f) : due;
}

void agent_infer_count_frame(struct agent *a, bool has_pixels, double cpu_s)
{
    if (has_pixels)
        inference_profile_add_frame(&a->infer.profile, cpu_s);
    else
        inference_profile_add_pass(&a->infer.profile, cpu_s);
}

/* A view at one size; the cost is that of the whole frame at it. */
static enum status infer_at(struct agent *a, int size, const struct frame *frame, uint8_t *labels,
                            uint64_t *ret_version, struct nn_view *ret_logits, double *ret_cpu_s,
                            struct error *err)
{
    struct agent_infer *f = &a->infer;
    uint64_t before_us = clock_thread_cpu_us();
    enum status st = student_infer(a->student, size, frame, labels, ret_version, ret_logits, err);
    double cpu_us = (double)(clock_thread_cpu_us() - before_us);
    f->team_us += cpu_us * (a->inference.threads - 1);
    *ret_cpu_s = cpu_us * 1e-6 * a->inference.threads * views_count(&a->views);
    if (st == ST_OK)
        inference_profile_add_infer(&f->profile, size, *ret_cpu_s);
    return st;
}

enum status agent_infer_view(struct agent *a, const struct frame *view, uint64_t index,
                             uint64_t *ret_version, struct nn_view *ret_logits, struct error *err)
{
    struct agent_infer *f = &a->infer;
    double cpu_s;
    uint64_t before_us = clock_mono_us();
    enum status st = infer_at(a, size_of(f), view, f->labels, ret_version, ret_logits, &cpu_s, err);
    if (st == ST_OK)
        durations_add(&f->timing.run, (double)(clock_mono_us() - before_us) / 1e6);
    f->last_index = index;
    f->started = true;
    return st;
}

/* ---- probes ---- */

static void end_probe(struct agent_infer *f, uint64_t now_us)
{
    double share = isinf(f->share) ? 1 : f->share;
    double pause_us = f->probe.cpu_s * 1e6 / (PROBE_PART * share);
    f->probe.active = false;
    f->probe.next_us =
        now_us + (uint64_t)fmin(fmax(pause_us, PROBE_PAUSE_MIN_US), PROBE_PAUSE_MAX_US);
}

/* The smaller sizes take turns. */
static void begin_probe(struct agent_infer *f, uint64_t index, uint64_t version)
{
    struct probe *p = &f->probe;
    const struct inference_grid *g = &f->profile.grid;
    int smaller = g->scale_count - 1, last = g->stride_count - 1;
    p->turn++;
    *p = (struct probe){.active = true,
                        .end = index + (uint64_t)g->strides[last] - 1,
                        .version = version,
                        .turn = p->turn,
                        .size = smaller > 0 ? 1 + (int)(p->turn % (uint64_t)smaller) : 0,
                        .stride = last};
}

/* The answer at a size for this frame: the one that runs, or one made for the purpose. */
static const uint8_t *probe_answer(struct agent *a, const struct frame *view, bool inferred,
                                   int size, uint8_t *room)
{
    struct agent_infer *f = &a->infer;
    struct error err;
    struct nn_view logits;
    uint64_t version;
    double cpu_s;
    if (inferred && size == size_of(f))
        return f->labels;
    if (infer_at(a, size, view, room, &version, &logits, &cpu_s, &err) != ST_OK)
        return NULL;
    f->probe.cpu_s += cpu_s;
    return version == f->probe.version ? room : NULL;
}

/* One frame of the probe: both sizes answer. False: another model runs by now, or something failed.
 */
static bool probe_frame(struct agent *a, const struct frame *view, uint64_t index, bool inferred,
                        uint64_t version)
{
    struct agent_infer *f = &a->infer;
    const struct probe *p = &f->probe;
    const uint8_t *answers[INFERENCE_SCALES_MAX] = {NULL};
    if (inferred && version != p->version)
        return false;
    answers[0] = probe_answer(a, view, inferred, 0, f->full);
    if (p->size > 0)
        answers[p->size] = probe_answer(a, view, inferred, p->size, f->smaller);
    if (!answers[0] || !answers[p->size])
        return false;
    bool first = p->stride == f->profile.grid.stride_count - 1;
    inference_watch_frame(f->watch, index, answers, NULL, first, &f->profile);
    return true;
}

bool agent_infer_probe(struct agent *a, const struct frame *view, uint64_t index, bool inferred,
                       uint64_t version, uint64_t now_us)
{
    struct agent_infer *f = &a->infer;
    struct probe *p = &f->probe;
    if (!f->watch)
        return false;
    if (!p->active && (!inferred || now_us < p->next_us))
        return false;
    if (!p->active)
        begin_probe(f, index, version);
    bool whole = true, complete = false;
    while (p->stride >= 0 && probe_index(f) < index)
        p->stride--; /* that frame was left out */
    if (p->stride >= 0 && probe_index(f) == index) {
        whole = probe_frame(a, view, index, inferred, version);
        complete = whole && p->stride == 0;
        p->stride--;
    }
    if (!whole || p->stride < 0)
        end_probe(f, now_us);
    return complete;
}
