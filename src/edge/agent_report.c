/* agent_report.c - calls the caller's functions, scores once a second, draws the overlay.
 *
 * All of it happens here, off the real-time thread, on copies. The unadapted student of the score
 * is a session of its own with the file's parameters.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "edge/agent_internal.h"
#include "synth/town.h"
#include "task/draw.h"
#include "video/frame.h"
#include "video/overlay.h"

#define SCORE_WINDOW_S 70
#define WAIT_US 50000
#define OVERLAY_OPACITY 110

struct agent_report {
    struct agent *agent;
    struct scorer *scorer;
    struct nn_session *unadapted;                /* NULL: nothing is scored */
    uint8_t *answer;                             /* unadapted labels at the network's size */
    struct label_map adapted_map, unadapted_map; /* at the frame's size */
    uint8_t *truth;
    uint8_t class_of_town[256]; /* network's class of a town class */
    struct overlay_writer *overlay;
    struct frame drawn;
    struct palette palette;
};

/* The network's class with that name, LABEL_IGNORE when it has none. */
static uint8_t class_named(const struct task_spec *spec, const char *name)
{
    for (int c = 0; c < spec->class_count; c++)
        if (strcmp(spec->class_name[c], name) == 0)
            return (uint8_t)c;
    return LABEL_IGNORE;
}

static enum status map_town_classes(struct agent_report *r, struct error *err)
{
    int known = 0;
    memset(r->class_of_town, LABEL_IGNORE, sizeof r->class_of_town);
    for (int c = 0; c < TOWN_CLASS_COUNT; c++) {
        r->class_of_town[c] = class_named(&r->agent->spec, town_class_names[c]);
        known += r->class_of_town[c] != LABEL_IGNORE;
    }
    if (known < (r->agent->spec.task == TASK_DETECT ? 1 : 2))
        return error_set(err, ST_UNSUPPORTED,
                         "the student has none of the town's classes (road, car, ...), so it "
                         "cannot be scored against the town's labels: leave --score out");
    return ST_OK;
}

static enum status open_score(struct agent_report *r, struct error *err)
{
    const struct task_spec *spec = &r->agent->spec;
    bool boxes = spec->task == TASK_DETECT;
    int width = boxes ? spec->out_width : spec->width;
    int height = boxes ? spec->out_height : spec->height;
    enum status st = map_town_classes(r, err);
    if (st == ST_OK)
        st = scorer_open(spec->task, spec->class_count, SCORE_WINDOW_S, &r->scorer, err);
    if (st == ST_OK)
        st = label_map_resize(&r->adapted_map, width, height, err);
    if (st == ST_OK)
        st = label_map_resize(&r->unadapted_map, width, height, err);
    if (st == ST_OK)
        st = nn_session_open(r->agent->model, NULL, &r->unadapted, err);
    if (st != ST_OK)
        return st;
    r->answer = malloc(task_cells(spec));
    r->truth = malloc((size_t)width * (size_t)height);
    if (!r->answer || !r->truth)
        return error_set(err, ST_NOMEM, "no memory to score");
    return ST_OK;
}

static enum status open_overlay(struct agent_report *r, struct error *err)
{
    const struct task_spec *spec = &r->agent->spec;
    task_palette(spec, &r->palette);
    return overlay_writer_open(r->agent->options.overlay_path, spec->width, spec->height,
                               &r->overlay, err);
}

enum status agent_report_open(struct agent *a, struct agent_report **ret, struct error *err)
{
    struct agent_report *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, ST_NOMEM, "no memory for the report");
    r->agent = a;
    label_map_init(&r->adapted_map);
    label_map_init(&r->unadapted_map);
    frame_init(&r->drawn);
    enum status st = a->options.score ? open_score(r, err) : ST_OK;
    if (st == ST_OK && a->options.overlay_path)
        st = open_overlay(r, err);
    if (st != ST_OK) {
        agent_report_close(&r);
        return st;
    }
    *ret = r;
    return ST_OK;
}

void agent_report_close(struct agent_report **r)
{
    if (!r || !*r)
        return;
    scorer_close(&(*r)->scorer);
    nn_session_close(&(*r)->unadapted);
    free((*r)->answer);
    free((*r)->truth);
    label_map_clear(&(*r)->adapted_map);
    label_map_clear(&(*r)->unadapted_map);
    overlay_writer_close(&(*r)->overlay);
    frame_clear(&(*r)->drawn);
    free(*r);
    *r = NULL;
}

/* The parts of a look that follow the struct. */
struct look_parts {
    struct frame frame;
    struct label_map labels;
    const uint8_t *truth; /* town classes */
};

static struct look_parts parts_of(const struct agent *a, const struct agent_look *l)
{
    const struct task_spec *s = &a->spec;
    uint8_t *at = (uint8_t *)(uintptr_t)(l + 1);
    size_t pixels = (size_t)s->width * (size_t)s->height;
    size_t answers = task_cells(s);
    return (struct look_parts){
        .frame = {.width = s->width, .height = s->height, .t_us = l->t_us, .pixels = at},
        .labels = {.width = s->out_width, .height = s->out_height, .classes = at + 3 * pixels},
        .truth = at + 3 * pixels + answers,
    };
}

static double traffic_kbps(uint64_t bytes, double elapsed_s)
{
    return elapsed_s > 0 ? (double)bytes * 8e-3 / elapsed_s : 0;
}

static double score_of(const struct agent_report *r, const uint8_t *labels, size_t n)
{
    struct confusion c;
    task_counts_init(r->agent->spec.task, r->agent->spec.class_count, &c);
    confusion_add(&c, r->truth, labels, n);
    return task_score(r->agent->spec.task, &c);
}

static void tell_score(struct agent_report *r, const struct agent_look *l, size_t pixels)
{
    struct agent *a = r->agent;
    uint64_t up_bytes, down_bytes;
    agent_traffic(a, &up_bytes, &down_bytes);
    double elapsed_s = (double)(clock_mono_us() - a->start_us) / 1e6;
    struct score last_10s;
    scorer_window(r->scorer, 10000000, &last_10s);
    struct agent_score s = {
        .t_us = l->t_us,
        .version = l->version,
        .adapted = score_of(r, r->adapted_map.classes, pixels),
        .unadapted = score_of(r, r->unadapted_map.classes, pixels),
        .adapted_10s = last_10s.adapted,
        .unadapted_10s = last_10s.unadapted,
        .up_kbps = traffic_kbps(up_bytes, elapsed_s),
        .down_kbps = traffic_kbps(down_bytes, elapsed_s),
        .frames = atomic_load(&a->frames),
        .dropped = atomic_load(&a->late),
    };
    memcpy(s.condition, l->condition, sizeof s.condition);
    if (a->options.on_score)
        a->options.on_score(a->options.context, &s);
}

/* The town's classes to the network's. */
static void map_truth(struct agent_report *r, const uint8_t *truth, size_t n)
{
    if (r->agent->spec.task == TASK_DETECT) {
        memcpy(r->truth, truth, n);
        detect_map_classes(r->class_of_town, r->truth);
        return;
    }
    for (size_t i = 0; i < n; i++)
        r->truth[i] = r->class_of_town[truth[i]];
}

static void score(struct agent_report *r, const struct agent_look *l, const struct look_parts *p)
{
    const struct nn_view input = nn_session_input(r->unadapted, 0);
    task_input(&r->agent->spec, &p->frame, &input, 0);
    struct error err;
    if (nn_session_forward(r->unadapted, &err) != ST_OK) {
        log_write(LOG_ERROR, "score left out", "reason=\"%s\"", err.message);
        return;
    }
    const struct nn_view logits = nn_session_output(r->unadapted, 0);
    task_answer(&r->agent->spec, &logits, NULL, r->answer);
    struct label_map answer = p->labels;
    answer.classes = r->answer;
    task_resize_labels(&answer, &r->unadapted_map);
    task_resize_labels(&p->labels, &r->adapted_map);
    size_t pixels = (size_t)r->adapted_map.width * (size_t)r->adapted_map.height;
    map_truth(r, p->truth, pixels);
    scorer_add(r->scorer, l->t_us, r->truth, r->adapted_map.classes, r->unadapted_map.classes,
               pixels);
    tell_score(r, l, pixels);
}

static void draw(struct agent_report *r, const struct look_parts *p)
{
    struct error err;
    enum status st = frame_copy(&r->drawn, &p->frame, &err);
    if (st == ST_OK) {
        task_draw(r->agent->spec.task, &p->labels, &r->palette, OVERLAY_OPACITY, &r->drawn);
        st = overlay_writer_add(r->overlay, &r->drawn, &err);
    }
    if (st != ST_OK) {
        log_write(LOG_ERROR, "overlay ended", "reason=\"%s\"", err.message);
        overlay_writer_close(&r->overlay);
    }
}

static void finish_overlay(struct agent_report *r)
{
    struct error err;
    if (r->overlay && overlay_writer_finish(r->overlay, &err) != ST_OK)
        log_write(LOG_ERROR, "overlay not finished", "reason=\"%s\"", err.message);
}

/* Takes every look that waits. */
static void look_on(struct agent_report *r)
{
    struct handoff *looks = r->agent->looks;
    const struct agent_look *l;
    while ((l = handoff_take(looks, 0))) {
        const struct look_parts p = parts_of(r->agent, l);
        if (l->score)
            score(r, l, &p);
        if (l->overlay && r->overlay)
            draw(r, &p);
        handoff_release(looks);
    }
}

void *agent_report_thread(void *context)
{
    struct agent *a = context;
    struct agent_report *r = a->report;
    agent_thread_background("attune-report");
    for (bool over = false; !over;) {
        over = handoff_stopped(a->results);
        const struct agent_result *result;
        while ((result = handoff_take(a->results, over ? 0 : clock_mono_us() + WAIT_US))) {
            if (a->options.on_result)
                a->options.on_result(a->options.context, result);
            handoff_release(a->results);
            look_on(r);
        }
        look_on(r);
    }
    finish_overlay(r);
    return NULL;
}

void agent_report_summary(const struct agent_report *r, struct agent_summary *ret)
{
    struct score total = {NAN, NAN, 0}, minute = total;
    if (r->scorer) {
        scorer_total(r->scorer, &total);
        scorer_window(r->scorer, 60000000, &minute);
    }
    ret->adapted = total.adapted;
    ret->unadapted = total.unadapted;
    ret->adapted_60s = minute.adapted;
    ret->unadapted_60s = minute.unadapted;
    ret->scored_frames = total.frames;
}
