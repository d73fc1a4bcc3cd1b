/* How soon and how surely a camera notices that its world has changed, or that it is spoilt itself:
 * cameras of the town, two answered frames a second, a change after a minute.
 *
 *   bench_drift STUDENT.onnx [SEEDS [CAMERAS [CASE]]]
 *
 * A run is one camera under one case; a table row sums up a case's runs. What was noticed before
 * the change is a false alarm, what was noticed within a minute after it and is of another kind
 * than expected is wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "drift/change.h"
#include "drift/watch.h"
#include "nn/loss.h"
#include "synth/town.h"
#include "task/task.h"
#include "video/frame.h"

#define CHANGE_S 60
#define END_S 125
#define LONG_S 300
#define STEP_US 500000
#define CONFIDENCE_CELLS 256
#define RUNS_MAX 512
#define FALL_MIN 0.05

#define DAY .traffic = 0.6f, .crowd = 0.5f
enum fault { NOTHING, DIRT, BUMP, BLACK, WHITE, FROZEN };

static const struct study {
    const char *name;
    struct town_condition from, to;
    float ramp_s;
    enum fault fault;
    float size;
    enum drift_kind expected;
} studies[] = {
    {"clear day, 5 min", {DAY}, {DAY}, 1, NOTHING, 0, DRIFT_NONE},
    {"night, 5 min",
     {DAY, .dusk = 1, .night = 0.9f},
     {DAY, .dusk = 1, .night = 0.9f},
     1,
     NOTHING,
     0,
     DRIFT_NONE},
    {"day to dusk", {DAY}, {DAY, .dusk = 1}, 20, NOTHING, 0, DRIFT_SCENE},
    {"day to night", {DAY}, {DAY, .dusk = 1, .night = 0.9f}, 20, NOTHING, 0, DRIFT_SCENE},
    {"rain", {DAY}, {DAY, .rain = 0.8f}, 20, NOTHING, 0, DRIFT_SCENE},
    {"rain in 5 s", {DAY}, {DAY, .rain = 0.8f}, 5, NOTHING, 0, DRIFT_SCENE},
    {"rain at night",
     {DAY, .dusk = 1, .night = 0.9f},
     {DAY, .dusk = 1, .night = 0.9f, .rain = 0.8f},
     20,
     NOTHING,
     0,
     DRIFT_SCENE},
    {"fog", {DAY}, {DAY, .fog = 0.8f}, 20, NOTHING, 0, DRIFT_SCENE},
    {"fog in 5 s", {DAY}, {DAY, .fog = 0.8f}, 5, NOTHING, 0, DRIFT_SCENE},
    {"snow", {DAY}, {DAY, .snow = 0.8f}, 20, NOTHING, 0, DRIFT_SCENE},
    {"snow in 5 s", {DAY}, {DAY, .snow = 0.8f}, 5, NOTHING, 0, DRIFT_SCENE},
    {"bumped by 3 degrees", {DAY}, {DAY}, 1, BUMP, 3, DRIFT_VIEW},
    {"by 8 degrees", {DAY}, {DAY}, 1, BUMP, 8, DRIFT_VIEW},
    {"by 8, at night",
     {DAY, .dusk = 1, .night = 0.9f},
     {DAY, .dusk = 1, .night = 0.9f},
     1,
     BUMP,
     8,
     DRIFT_VIEW},
    {"by 8, in fog", {DAY, .fog = 0.8f}, {DAY, .fog = 0.8f}, 1, BUMP, 8, DRIFT_VIEW},
    {"dirt, radius 0.1", {DAY}, {DAY}, 1, DIRT, 0.1f, DRIFT_DIRTY},
    {"dirt, radius 0.2", {DAY}, {DAY}, 1, DIRT, 0.2f, DRIFT_DIRTY},
    {"dirt 0.2, in rain", {DAY, .rain = 0.8f}, {DAY, .rain = 0.8f}, 1, DIRT, 0.2f, DRIFT_DIRTY},
    {"dirt 0.2, at night",
     {DAY, .dusk = 1, .night = 0.9f},
     {DAY, .dusk = 1, .night = 0.9f},
     1,
     DIRT,
     0.2f,
     DRIFT_DIRTY},
    {"covered", {DAY}, {DAY}, 1, BLACK, 0, DRIFT_BLIND},
    {"covered at night",
     {DAY, .dusk = 1, .night = 0.9f},
     {DAY, .dusk = 1, .night = 0.9f},
     1,
     BLACK,
     0,
     DRIFT_BLIND},
    {"glare", {DAY}, {DAY}, 1, WHITE, 0, DRIFT_BLIND},
    {"frozen", {DAY}, {DAY}, 1, FROZEN, 0, DRIFT_BLIND},
};
#define STUDIES (sizeof studies / sizeof studies[0])

enum { WITH_ADWIN, WITH_PAGE_HINKLEY, DETECTORS };

struct machine {
    struct nn_model *model;
    struct nn_session *session;
    struct task_spec spec;
    struct frame frame;
    struct label_map truth;
    uint8_t *labels;
};

struct outcome {
    double delay_s;       /* of the expected kind, NaN: not noticed */
    int early, wrong;     /* notices before the change; of another kind after it */
    double before, after; /* mIoU without and with the change */
    double look_us;
    /* At the server, one frame a second scored against exact labels. */
    double told_s[DETECTORS];
    int told_early[DETECTORS];
};

static void set_fault(const struct study *c, int camera, struct scenario *s)
{
    float side = camera & 1 ? -1 : 1, up = camera & 2 ? 1 : -1;
    if (c->fault == DIRT)
        s->dirt[s->dirt_count++] = (struct scenario_dirt){camera,
                                                          CHANGE_S,
                                                          SCENARIO_TIME_S_MAX,
                                                          0.3f + 0.1f * (float)(camera % 5),
                                                          0.5f + 0.1f * up,
                                                          c->size,
                                                          0.9f};
    else if (c->fault == BUMP)
        s->bumps[s->bump_count++] = (struct scenario_bump){
            camera, CHANGE_S, side * c->size, up * c->size / 2, side * up * c->size / 3};
    else if (c->fault != NOTHING)
        s->blind[s->blind_count++] =
            (struct scenario_blind){camera, CHANGE_S, SCENARIO_TIME_S_MAX,
                                    (enum scenario_look)(c->fault - BLACK + LOOK_BLACK)};
}

static struct town *open_town(const struct machine *m, const struct study *c, uint64_t seed,
                              int cameras)
{
    struct scenario s;
    struct town_options o;
    struct town *t = NULL;
    struct error err;
    if (scenario_preset("clear", &s, &err) != ST_OK)
        return NULL;
    s.town.keyframe_count = 3;
    s.town.keyframes[0] = (struct scenario_keyframe){0, c->from};
    s.town.keyframes[1] = (struct scenario_keyframe){CHANGE_S, c->from};
    s.town.keyframes[2] = (struct scenario_keyframe){CHANGE_S + c->ramp_s, c->to};
    for (int i = 0; i < cameras; i++)
        set_fault(c, i, &s);
    town_options_init(&o);
    o.seed = seed;
    o.cameras = cameras;
    o.width = m->spec.width;
    o.height = m->spec.height;
    o.scenario = &s;
    return town_open(&o, &t, &err) == ST_OK ? t : NULL;
}

static bool look(struct machine *m, struct drift_watch *w, uint64_t t_us, struct outcome *o,
                 struct drift_notice *notice)
{
    struct error err;
    struct drift_summary summary;
    struct drift_picture picture;
    const struct nn_view input = nn_session_input(m->session, 0);
    task_input(&m->spec, &m->frame, &input, 0);
    if (nn_session_forward(m->session, &err) != ST_OK)
        return false;
    const struct nn_view logits = nn_session_output(m->session, 0);
    nn_argmax(&logits, NULL, m->labels);
    uint64_t start_us = clock_thread_cpu_us();
    drift_picture_measure(&m->frame, &picture);
    drift_summary_labels(&summary, m->labels, task_cells(&m->spec), m->spec.class_count);
    summary.confidence = drift_confidence(&logits, CONFIDENCE_CELLS);
    bool told = drift_watch_see(w, &picture, &summary, t_us, notice);
    o->look_us += (double)(clock_thread_cpu_us() - start_us);
    return told;
}

static void note(const struct study *c, const struct drift_notice *n, uint64_t t_us,
                 struct outcome *o)
{
    double t_s = (double)t_us * 1e-6;
    if (n->over)
        return;
    if (t_s < CHANGE_S || c->expected == DRIFT_NONE)
        o->early++;
    else if (n->kind != c->expected)
        o->wrong++;
    else if (isnan(o->delay_s))
        o->delay_s = t_s - CHANGE_S;
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s: %.1f s %s score %.2f: %s\n", c->name, t_s, drift_kind_name(n->kind),
                n->score, n->text);
}

static void score(struct machine *m, const struct study *c, struct accuracy_watch *w, uint64_t t_us,
                  struct outcome *o)
{
    struct confusion now;
    struct change change;
    confusion_init(&now, m->spec.class_count);
    confusion_add(&now, m->truth.classes, m->labels, task_cells(&m->spec));
    for (int k = 0; k < DETECTORS; k++) {
        if (!accuracy_watch_add(&w[k], confusion_miou(&now), &change))
            continue;
        if (t_us < CHANGE_S * 1000000ull || c->expected == DRIFT_NONE)
            o->told_early[k]++;
        else if (isnan(o->told_s[k]))
            o->told_s[k] = (double)t_us * 1e-6 - CHANGE_S;
    }
}

static void run(struct machine *m, struct town *t, const struct study *c, int camera,
                struct outcome *o)
{
    struct drift_watch w;
    struct confusion before, after;
    struct drift_notice n;
    struct error err;
    struct accuracy_watch server[DETECTORS];
    int looks = 0;
    *o = (struct outcome){.delay_s = NAN, .told_s = {NAN, NAN}};
    accuracy_watch_init(&server[WITH_ADWIN], CHANGE_ADWIN, FALL_MIN);
    accuracy_watch_init(&server[WITH_PAGE_HINKLEY], CHANGE_PAGE_HINKLEY, FALL_MIN);
    confusion_init(&before, m->spec.class_count);
    confusion_init(&after, m->spec.class_count);
    drift_watch_init(&w, NULL, m->spec.class_name, m->spec.class_count);
    uint64_t end_us = (uint64_t)(c->expected == DRIFT_NONE ? LONG_S : END_S) * 1000000;
    for (uint64_t t_us = 0; t_us < end_us; t_us += STEP_US, looks++) {
        if (town_render(t, camera, t_us, &m->frame, &m->truth, NULL, 0, NULL, &err) != ST_OK)
            return;
        if (look(m, &w, t_us, o, &n))
            note(c, &n, t_us, o);
        if (looks % 2 == 0)
            score(m, c, server, t_us, o);
        if (t_us < CHANGE_S * 1000000ull || t_us > (END_S - 30) * 1000000ull)
            confusion_add(t_us < CHANGE_S * 1000000ull ? &before : &after, m->truth.classes,
                          m->labels, task_cells(&m->spec));
    }
    o->look_us /= looks;
    o->before = confusion_miou(&before);
    o->after = confusion_miou(&after);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* "7 of 8, 12.0 s; 1 false" */
static void print_server(const struct outcome *all, int runs, int k)
{
    double delay[RUNS_MAX] = {0};
    int noticed = 0, early = 0;
    for (int i = 0; i < runs; i++) {
        if (!isnan(all[i].told_s[k]))
            delay[noticed++] = all[i].told_s[k];
        early += all[i].told_early[k];
    }
    qsort(delay, (size_t)noticed, sizeof *delay, by_value);
    printf(" %d", noticed);
    if (noticed)
        printf(" (%.0f s)", delay[noticed / 2]);
    printf(", %d |", early);
}

static void print_row(const struct study *c, const struct outcome *all, int runs)
{
    double delay[RUNS_MAX] = {0}, before = 0, after = 0, look_us = 0;
    int noticed = 0, early = 0, wrong = 0;
    for (int i = 0; i < runs; i++) {
        if (!isnan(all[i].delay_s))
            delay[noticed++] = all[i].delay_s;
        early += all[i].early;
        wrong += all[i].wrong;
        before += all[i].before / runs;
        after += all[i].after / runs;
        look_us += all[i].look_us / runs;
    }
    qsort(delay, (size_t)noticed, sizeof *delay, by_value);
    printf("| %-19s | %-6s | %3.0f %% -> %3.0f %% | ", c->name, drift_kind_name(c->expected),
           100 * before, 100 * after);
    if (c->expected == DRIFT_NONE)
        printf("%13s | %14s | ", "-", "-");
    else
        printf("%6d of %3d | ", noticed, runs);
    if (c->expected != DRIFT_NONE && noticed)
        printf("%5.1f, %5.1f s | ", delay[noticed / 2], delay[noticed - 1]);
    else if (c->expected != DRIFT_NONE)
        printf("%14s | ", "-");
    printf("%5d | %5d | %4.0f |", early, wrong, look_us);
    print_server(all, runs, WITH_ADWIN);
    print_server(all, runs, WITH_PAGE_HINKLEY);
    printf("\n");
    fflush(stdout);
}

static void run_study(struct machine *m, const struct study *c, int seeds, int cameras)
{
    static struct outcome all[RUNS_MAX];
    int runs = 0;
    for (int seed = 1; seed <= seeds; seed++) {
        struct town *t = open_town(m, c, (uint64_t)seed, cameras);
        for (int camera = 0; t && camera < cameras; camera++)
            run(m, t, c, camera, &all[runs++]);
        town_close(&t);
    }
    print_row(c, all, runs);
}

static enum status open_machine(const char *path, struct machine *m, struct error *err)
{
    enum status st = nn_model_open(path, NULL, &m->model, err);
    if (st == ST_OK)
        st = task_spec_read(m->model, &m->spec, err);
    if (st == ST_OK && (m->spec.task != TASK_SEGMENT || m->spec.out_width != m->spec.width ||
                        m->spec.out_height != m->spec.height))
        st = error_set(err, ST_UNSUPPORTED, "a segmentation at full size is needed: the town's");
    if (st == ST_OK)
        st = nn_session_open(m->model, NULL, &m->session, err);
    if (st == ST_OK)
        st = frame_resize(&m->frame, m->spec.width, m->spec.height, err);
    if (st == ST_OK)
        st = label_map_resize(&m->truth, m->spec.width, m->spec.height, err);
    m->labels = st == ST_OK ? malloc(task_cells(&m->spec)) : NULL;
    return st == ST_OK && !m->labels ? error_set(err, ST_NOMEM, "no memory") : st;
}

int main(int argc, char **argv)
{
    int seeds = argc > 2 ? atoi(argv[2]) : 2, cameras = argc > 3 ? atoi(argv[3]) : 4;
    const char *only = argc > 4 ? argv[4] : "";
    struct machine m = {0};
    struct error err;
    frame_init(&m.frame);
    label_map_init(&m.truth);
    if (argc < 2 || seeds < 1 || cameras < 1 || cameras > TOWN_CAMERAS_MAX ||
        seeds * cameras > RUNS_MAX) {
        fprintf(stderr, "usage: bench_drift STUDENT.onnx [SEEDS [CAMERAS [CASE]]]\n");
        return 2;
    }
    if (open_machine(argv[1], &m, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("| change after a minute | is | mIoU | noticed | after, longest | false | wrong | us a "
           "frame | server, ADWIN: noticed, false | Page-Hinkley |\n"
           "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < STUDIES; i++)
        if (strstr(studies[i].name, only))
            run_study(&m, &studies[i], seeds, cameras);
    nn_session_close(&m.session);
    nn_model_close(&m.model);
    frame_clear(&m.frame);
    label_map_clear(&m.truth);
    free(m.labels);
    return 0;
}
