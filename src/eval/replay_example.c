/* replay_example.c - the example's numbers, run by the same planner as everything else. */
#include "eval/replay_example.h"

#define CAMERAS 2
#define WINDOWS 2
#define CHEAP 2 /* "Cfg2" */
#define COSTLY 1

static const struct schedule_point whole_gpu[] = {{0, 0}, {1, 1}};

/* Table 1: accuracy at the end, GPU-seconds. */
static const struct schedule_option table[WINDOWS][CAMERAS][2] = {
    {{{COSTLY, 1, 0.75, 0, 85, NULL}, {CHEAP, 2, 0.70, 0, 65, NULL}},
     {{COSTLY, 1, 0.90, 0, 80, NULL}, {CHEAP, 2, 0.85, 0, 50, NULL}}},
    {{{COSTLY, 1, 0.95, 0, 90, NULL}, {CHEAP, 2, 0.90, 0, 40, NULL}},
     {{COSTLY, 1, 0.98, 0, 80, NULL}, {CHEAP, 2, 0.90, 0, 70, NULL}}},
};

/* Figure 4d: one camera trains first with 1.2 GPUs while its own inference has 0.8, then the other
 * with 1.0; under Cfg2. Who is first: the one that gains more from an early end, B in window 1 and
 * A in window 2 (told apart by their accuracies at the start). */
static void figure_4d(const struct schedule_snapshot *s, struct schedule_grant *grants)
{
    const struct schedule_camera *c = s->cameras;
    bool a_open = c[0].option_count > 0, b_open = c[1].option_count > 0;
    int first = a_open && b_open ? c[0].accuracy > c[1].accuracy : !a_open;
    for (int i = 0; i < CAMERAS; i++) {
        bool trains = i == first && (a_open || b_open);
        double alone = a_open || b_open ? 1 : 1.5; /* of inference */
        grants[i].infer_share = trains && a_open && b_open ? 0.8 : alone;
        grants[i].train_share = !trains ? 0 : a_open && b_open ? 1.2 : 1;
        grants[i].option = trains ? CHEAP - 1 : -1;
    }
}

static const struct row {
    const char *name;
    enum schedule_policy policy;
    int configuration;
    double delta;
    bool aligned;
    replay_script *script;
} rows[REPLAY_EXAMPLE_ROWS] = {
    {"uniform (figure 4a, 4c)", SCHEDULE_UNIFORM, COSTLY, 0.1, true, NULL},
    {"uniform, cheap configurations", SCHEDULE_UNIFORM, CHEAP, 0.1, true, NULL},
    {"no retraining", SCHEDULE_NONE, COSTLY, 0.1, true, NULL},
    {"drawn schedule (figure 4d)", SCHEDULE_THIEF, CHEAP, 0.1, true, figure_4d},
    {"thief as printed, soft floor, delta 0.1", SCHEDULE_THIEF_PRINTED, CHEAP, 0.1, false, NULL},
    {"thief to a fixed point, delta 0.25", SCHEDULE_THIEF, CHEAP, 0.25, true, NULL},
    {"thief to a fixed point, delta 0.05", SCHEDULE_THIEF, CHEAP, 0.05, true, NULL},
    {"attune", SCHEDULE_ATTUNE, CHEAP, 0.1, true, NULL},
    {"exhaustive search, delta 0.1", SCHEDULE_EXHAUSTIVE, CHEAP, 0.1, true, NULL},
};

static void make_camera(int window, int i, double accuracy, struct replay_option options[2],
                        struct replay_camera *ret)
{
    static const char *const names[CAMERAS] = {"A", "B"};
    for (int k = 0; k < 2; k++)
        options[k] = (struct replay_option){.truth = table[window][i][k],
                                            .believed = table[window][i][k].accuracy};
    *ret = (struct replay_camera){.id = names[i],
                                  .accuracy = accuracy,
                                  .accuracy_min = 0.4,
                                  .infer = {SCHEDULE_LINEAR, 2, whole_gpu},
                                  .options = options,
                                  .option_count = 2};
}

static enum status run_row(const struct row *row, struct replay_example_row *ret, struct error *err)
{
    double accuracy[CAMERAS] = {0.65, 0.50};
    struct replay_option options[CAMERAS][2];
    struct replay_camera cameras[CAMERAS];
    struct replay_case c = {.capacity = 3,
                            .window_s = 120,
                            .count = CAMERAS,
                            .cameras = cameras,
                            .script = row->script};
    schedule_settings_init(&c.settings);
    c.settings.policy = row->policy;
    c.settings.configuration = row->configuration;
    c.settings.delta = row->delta;
    c.settings.aligned = row->aligned;
    *ret = (struct replay_example_row){.name = row->name, .lowest_percent = 100};
    for (int w = 0; w < WINDOWS; w++) {
        struct replay_result r;
        for (int i = 0; i < CAMERAS; i++)
            make_camera(w, i, accuracy[i], options[i], &cameras[i]);
        enum status st = replay_window(&c, NULL, NULL, &r, err);
        if (st != ST_OK)
            return st;
        for (int i = 0; i < CAMERAS; i++) {
            accuracy[i] = r.end[i];
            ret->camera_percent[CAMERAS * w + i] = 100 * r.mean[i];
            ret->mean_percent += 100 * r.mean[i] / (CAMERAS * WINDOWS);
        }
        if (100 * r.lowest < ret->lowest_percent)
            ret->lowest_percent = 100 * r.lowest;
        replay_result_clear(&r);
    }
    return ST_OK;
}

enum status replay_example(struct replay_example_row ret[REPLAY_EXAMPLE_ROWS], struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < REPLAY_EXAMPLE_ROWS && st == ST_OK; i++)
        st = run_row(&rows[i], &ret[i], err);
    return st;
}
