/* Whether one detector for several cameras beats one for each, on real stills, and which cameras
 * the grouper puts together when models are trained. bench_group_shared STUDENT.onnx TEACHER.onnx
 * FOLDER [device|site|world [STEPS [RUNS
 *                      [MAP.yaml [TILES]]]]] FOLDER holds stills and index.csv
 * (still_index.h); without it there is nothing to do, and the program says so. STUDENT and TEACHER
 * are detectors of the same classes (attune model describe); the teacher's boxes are the labels
 * everywhere. What is a camera, and which of its stills train, try and test: still_cameras.h. STEPS
 * (default 200) optimiser steps for each camera, RUNS (default 3) other seeds, and other folds
 * where stills have no dates. MAP.yaml: labels to score in. TILES:
 * 3x2 cuts each still into so many.
 *
 * Side by side, with the same steps in all: a model for each camera; one for each group, which gets
 * the steps of all its members, in groups that the grouper (policy attune) forms anew in each run,
 * beginning with all cameras alone; one for all. Training goes in ROUNDS rounds, after each of
 * which the grouper reviews: a model's accuracy is F1 on the stills for trials, which nothing
 * trains on. The recipe is attune's without its gate, for which there are too few stills.
 *
 * Told: F1 over all boxes and mean average precision at an overlap of 0.5 on the stills for tests,
 * over all runs, of each camera and as a mean over cameras, at three amounts of compute; and how
 * often two cameras were in one group at the end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "drift/answer.h"
#include "group/group.h"
#include "still_cameras.h"
#include "task/detect_precision.h"
#include "train/learner.h"
#include "video/frame.h"

#define ROUNDS 10
#define CHECKS 4
#define PHASE_STEPS 20
#define PICTURES_MAX 512 /* of a camera */
#define SECOND_US ((uint64_t)1000000)

static const int check_rounds[CHECKS] = {0, 2, 5, 10};

enum arm { SEPARATE, GROUPED, ALL, ARMS };
static const char *const arm_names[ARMS] = {"separate", "grouped", "one for all"};

struct model {
    uint64_t id; /* 0: none here */
    struct buf snapshot;
    float *params; /* NULL: the file's */
    uint64_t stamp;
};

struct tally {
    struct confusion *counts;
    struct detect_precision *precision;
};

struct study {
    struct nn_model *student, *teacher;
    struct labeller *labeller;
    struct still_cameras stills;
    struct class_map map;
    struct still_tiles tiles;
    int steps, runs;
    struct tally tallies[ARMS][CHECKS][STILL_CAMERAS_MAX];
    int together[STILL_CAMERAS_MAX][STILL_CAMERAS_MAX];
    double groups;
    uint64_t stamps;
    struct label_map answer, truth;
};

/* One arm of one run. */
struct trial {
    struct study *s;
    enum arm arm;
    uint64_t seed;
    struct model models[STILL_CAMERAS_MAX];
    uint64_t home[STILL_CAMERAS_MAX]; /* [camera]: its group */
    struct grouper *grouper;
    uint64_t now_us;
};

/* ---- models ---- */

static struct model *model_of(struct trial *t, uint64_t id)
{
    for (int i = 0; i < STILL_CAMERAS_MAX; i++)
        if (t->models[i].id == id)
            return &t->models[i];
    return NULL;
}

static enum status set_params(struct trial *t, struct model *m, const float *params,
                              struct error *err)
{
    size_t bytes = nn_model_param_count(t->s->student) * sizeof(float);
    if (!m->params && !(m->params = malloc(bytes)))
        return error_set(err, ST_NOMEM, "no memory for a model");
    memcpy(m->params, params, bytes);
    m->stamp = ++t->s->stamps;
    return ST_OK;
}

/* A new model, like `from` (NULL: as the file has it). */
static enum status add_model(struct trial *t, uint64_t id, const struct model *from,
                             struct error *err)
{
    struct model *m = model_of(t, 0);
    if (model_of(t, id))
        return ST_OK;
    if (!m)
        return error_set(err, ST_INTERNAL, "more models than cameras");
    m->id = id;
    buf_init(&m->snapshot);
    if (!from || !from->params)
        return ST_OK;
    buf_put(&m->snapshot, from->snapshot.data, from->snapshot.size_bytes);
    return m->snapshot.failed ? error_set(err, ST_NOMEM, "no memory for a model")
                              : set_params(t, m, from->params, err);
}

static void model_clear(struct model *m)
{
    if (m->id)
        buf_clear(&m->snapshot);
    free(m->params);
    *m = (struct model){.id = 0};
}

static void drop_unused(struct trial *t)
{
    for (int i = 0; i < STILL_CAMERAS_MAX; i++) {
        bool used = false;
        for (int k = 0; k < t->s->stills.count; k++)
            used |= t->home[k] == t->models[i].id;
        if (!used && t->models[i].id)
            model_clear(&t->models[i]);
    }
}

/* ---- training ---- */

static enum status add_frames(struct learner *l, const struct still_camera *k, int source,
                              struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < k->count && st == ST_OK; i++)
        if (k->pictures[i].part == STILL_TRAINS)
            st = learner_add(l, &k->pictures[i].frame, &k->pictures[i].labels, NULL, source, err);
    return st;
}

static struct learner_options recipe(const struct study *s)
{
    struct learner_options o;
    learner_preset(LEARNER_ATTUNE, &o);
    o.gated = false;
    o.half_life_us = o.horizon_us = 0;
    o.frames_max = 0;
    for (int i = 0; i < s->stills.count; i++)
        o.frames_max += s->stills.cameras[i].count;
    o.steps = PHASE_STEPS;
    return o;
}

static enum status run_phases(struct learner *l, int phases, struct error *err)
{
    struct learner_result r;
    struct buf delta;
    enum status st = ST_OK;
    buf_init(&delta);
    for (int i = 0; i < phases && st == ST_OK; i++) {
        delta.size_bytes = 0;
        st = learner_phase(l, NULL, NULL, &r, &delta, err);
        if (st == ST_OK && !r.accepted)
            st = error_set(err, ST_INTERNAL, "a phase came to nothing: %s", r.reason);
    }
    buf_clear(&delta);
    return st;
}

static enum status take_result(struct trial *t, struct model *m, const struct learner *l,
                               struct error *err)
{
    m->snapshot.size_bytes = 0;
    enum status st = learner_snapshot(l, &m->snapshot, err);
    return st == ST_OK ? set_params(t, m, learner_params(l), err) : st;
}

/* The steps of a round of all members. */
static enum status train(struct trial *t, struct model *m, int round, struct error *err)
{
    struct study *s = t->s;
    struct learner_options o = recipe(s);
    struct learner *l;
    int members = 0;
    enum status st =
        learner_open(s->student, &o, rng_hash(t->seed, m->id, (uint64_t)round, 0), &l, err);
    if (st == ST_OK && m->snapshot.size_bytes)
        st = learner_install(l, m->snapshot.data, m->snapshot.size_bytes, err);
    for (int i = 0; i < s->stills.count && st == ST_OK; i++)
        if (t->home[i] == m->id) {
            st = add_frames(l, &s->stills.cameras[i], i, err);
            members++;
        }
    int each = s->steps / ROUNDS / PHASE_STEPS;
    if (st == ST_OK)
        st = run_phases(l, members * (each < 1 ? 1 : each), err);
    if (st == ST_OK)
        st = take_result(t, m, l, err);
    learner_close(&l);
    return st;
}

/* ---- accuracy ---- */

static enum status predict(struct study *s, const struct model *m, const struct still_picture *p,
                           struct error *err)
{
    return labeller_predict(s->labeller, &p->frame, m ? m->params : NULL, m ? m->stamp : 0,
                            &s->answer, err);
}

/* F1 on the stills for trials. by_frame[PICTURES_MAX]. */
static enum status try(struct trial *t, const struct model *m, int camera, float *by_frame,
                       struct group_score *ret, struct error *err)
{
    const struct still_camera *k = &t->s->stills.cameras[camera];
    const struct task_spec *spec = labeller_student_spec(t->s->labeller);
    struct confusion sum, one;
    int n = 0;
    task_counts_init(spec->task, spec->class_count, &sum);
    for (int i = 0; i < k->count && n < PICTURES_MAX; i++) {
        if (k->pictures[i].part != STILL_TRIES)
            continue;
        enum status st = predict(t->s, m, &k->pictures[i], err);
        if (st != ST_OK)
            return st;
        task_counts_init(spec->task, spec->class_count, &one);
        confusion_add(&one, k->pictures[i].labels.classes, t->s->answer.classes, task_cells(spec));
        by_frame[n++] = (float)task_score(spec->task, &one);
        confusion_merge(&sum, &one);
    }
    *ret = (struct group_score){task_score(spec->task, &sum), n, by_frame};
    return ST_OK;
}

static enum status test_picture(struct study *s, const struct model *m,
                                const struct still_picture *p, struct tally *tally,
                                struct error *err)
{
    enum status st = predict(s, m, p, err);
    if (st != ST_OK)
        return st;
    size_t cells = task_cells(labeller_student_spec(s->labeller));
    memcpy(s->truth.classes, p->labels.classes, cells);
    task_map_classes(TASK_DETECT, &s->map, &s->truth);
    task_map_classes(TASK_DETECT, &s->map, &s->answer);
    confusion_add(tally->counts, s->truth.classes, s->answer.classes, cells);
    return detect_precision_add(tally->precision, s->truth.classes, s->answer.classes, err);
}

static enum status test(struct trial *t, int check, struct error *err)
{
    enum status st = ST_OK;
    for (int c = 0; c < t->s->stills.count; c++) {
        const struct still_camera *k = &t->s->stills.cameras[c];
        for (int i = 0; i < k->count && st == ST_OK; i++)
            if (k->pictures[i].part == STILL_TESTS)
                st = test_picture(t->s, model_of(t, t->home[c]), &k->pictures[i],
                                  &t->s->tallies[t->arm][check][c], err);
    }
    return st;
}

/* ---- grouping ---- */

static enum status conditions_of(struct trial *t, int camera, struct group_conditions *ret,
                                 struct error *err)
{
    const struct still_camera *k = &t->s->stills.cameras[camera];
    struct drift_mean mean;
    struct drift_summary sum;
    struct drift_picture picture;
    enum status st = ST_OK;
    drift_mean_init(&mean);
    for (int i = 0; i < k->count && st == ST_OK; i++) {
        if (k->pictures[i].part != STILL_TRAINS)
            continue;
        st = predict(t->s, NULL, &k->pictures[i], err);
        if (st != ST_OK)
            break;
        drift_picture_measure(&k->pictures[i].frame, &picture);
        memcpy(sum.feature, picture.feature, sizeof sum.feature);
        drift_summary_answer(&sum, labeller_student_spec(t->s->labeller), NULL,
                             t->s->answer.classes);
        drift_mean_add(&mean, &sum);
    }
    group_conditions_init(ret);
    ret->place = k->place;
    ret->time_us = t->now_us;
    ret->looks_known = st == ST_OK && drift_mean_get(&mean, &sum);
    if (ret->looks_known)
        signature_of(&sum, &ret->signature);
    return st;
}

static enum status ask(struct trial *t, int camera, struct error *err)
{
    float by_frame[GROUP_TRIALS_MAX][PICTURES_MAX];
    struct group_conditions c;
    struct group_request r = {.trial_count = 0};
    struct group_decision d = {.group = 0};
    enum status st = conditions_of(t, camera, &c, err);
    if (st == ST_OK)
        st = grouper_request(t->grouper, camera, &c, t->now_us, NULL, &r, err);
    for (int i = 0; st == ST_OK && i < r.trial_count; i++)
        st = try(t, model_of(t, i ? r.trials[i].id : t->home[camera]), camera, by_frame[i],
                 &r.trials[i].score, err);
    if (st == ST_OK)
        st = grouper_decide(t->grouper, &r, &d, err);
    if (st == ST_OK && d.formed)
        st = add_model(t, d.group,
                       model_of(t, d.start == GROUP_MODEL_GROUP ? d.start_id : t->home[camera]),
                       err);
    if (st == ST_OK)
        t->home[camera] = d.group;
    return st;
}

static enum status ask_all(struct trial *t, struct error *err)
{
    char id[16];
    int order[STILL_CAMERAS_MAX], number;
    struct group_settings o;
    struct rng rng;
    group_settings_init(&o);
    rng_init(&rng, t->seed, 1);
    enum status st = grouper_open(&o, &t->grouper, err);
    for (int i = 0; i < t->s->stills.count && st == ST_OK; i++) {
        int k = (int)rng_below(&rng, (uint32_t)i + 1);
        order[i] = order[k];
        order[k] = i;
        snprintf(id, sizeof id, "camera%d", i); /* numbered as they come */
        st = grouper_camera(t->grouper, id, &number, err);
    }
    for (int i = 0; i < t->s->stills.count && st == ST_OK; i++) {
        t->now_us += SECOND_US;
        st = ask(t, order[i], err);
    }
    return st;
}

static enum status act(struct trial *t, const struct group_action *a, struct error *err)
{
    if (a->camera < 0)
        return ST_OK;
    if (a->kind == GROUP_ACTION_LEAVE || a->kind == GROUP_ACTION_SPLIT) {
        enum status st = add_model(t, a->group, model_of(t, a->other), err);
        if (st != ST_OK)
            return st;
    }
    t->home[a->camera] = grouper_group_of(t->grouper, a->camera);
    return a->kind == GROUP_ACTION_LEAVE ? ask(t, a->camera, err) : ST_OK;
}

static enum status review(struct trial *t, struct error *err)
{
    struct group_review r;
    struct group_actions a = {0};
    t->now_us += 20 * SECOND_US;
    enum status st = grouper_review(t->grouper, t->now_us, &r, err);
    if (st != ST_OK)
        return st;
    float(*by_frame)[PICTURES_MAX] = calloc((size_t)r.trial_count + 1, sizeof *by_frame);
    if (!by_frame)
        st = error_set(err, ST_NOMEM, "no memory for a review");
    for (int i = 0; i < r.trial_count && st == ST_OK; i++)
        if (r.trials[i].kind != GROUP_REVIEW_PERSONAL)
            st = try(t, model_of(t, r.trials[i].group), r.trials[i].camera, by_frame[i],
                     &r.trials[i].score, err);
    if (st == ST_OK)
        st = grouper_conclude(t->grouper, &r, &a, err);
    for (int i = 0; i < a.count && st == ST_OK; i++)
        st = act(t, &a.items[i], err);
    drop_unused(t);
    group_actions_clear(&a);
    group_review_clear(&r);
    free(by_frame);
    return st;
}

/* ---- a run ---- */

static enum status begin(struct trial *t, struct error *err)
{
    enum status st = ST_OK;
    if (t->arm == GROUPED)
        return ask_all(t, err);
    for (int i = 0; i < t->s->stills.count && st == ST_OK; i++) {
        t->home[i] = t->arm == ALL ? 1 : (uint64_t)i + 1;
        st = add_model(t, t->home[i], NULL, err);
    }
    return st;
}

static enum status go(struct trial *t, struct error *err)
{
    enum status st = begin(t, err);
    for (int round = 0, check = 0; round <= ROUNDS && st == ST_OK; round++) {
        for (int i = 0; i < STILL_CAMERAS_MAX && st == ST_OK && round > 0; i++)
            if (t->models[i].id)
                st = train(t, &t->models[i], round, err);
        if (st == ST_OK && check_rounds[check] == round)
            st = test(t, check++, err);
        if (st == ST_OK && t->arm == GROUPED && round > 0 && round < ROUNDS)
            st = review(t, err);
    }
    return st;
}

static void note_groups(struct trial *t)
{
    int n = t->s->stills.count;
    t->s->groups += (double)grouper_group_count(t->grouper) / t->s->runs;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            t->s->together[i][k] += t->home[i] == t->home[k];
}

static enum status run_arm(struct study *s, enum arm arm, int run, struct error *err)
{
    struct trial *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "no memory for a run");
    *t = (struct trial){.s = s, .arm = arm, .seed = (uint64_t)run + 1, .now_us = SECOND_US};
    enum status st = go(t, err);
    if (st == ST_OK && arm == GROUPED)
        note_groups(t);
    grouper_close(&t->grouper);
    for (int i = 0; i < STILL_CAMERAS_MAX; i++)
        model_clear(&t->models[i]);
    free(t);
    return st;
}

/* ---- what came of it ---- */

static double f1_of(const struct tally *t)
{
    return 100 * task_score(TASK_DETECT, t->counts);
}

static double map_of(const struct tally *t)
{
    return 100 * detect_precision_mean(t->precision);
}

/* Over cameras whose truth has any box. */
static double mean_of(const struct study *s, enum arm arm, int check,
                      double (*of)(const struct tally *))
{
    double sum = 0;
    int n = 0;
    for (int c = 0; c < s->stills.count; c++) {
        double v = of(&s->tallies[arm][check][c]);
        if (isfinite(v)) {
            sum += v;
            n++;
        }
    }
    return n ? sum / n : (double)NAN;
}

/* Boxes of a part that the teacher is sure of. */
static int boxes_of(const struct still_camera *k, enum still_part part)
{
    struct detection d[DETECT_BOXES_MAX];
    int n = 0;
    for (int i = 0; i < k->count; i++) {
        int rows = detect_read(k->pictures[i].labels.classes, d);
        for (int b = 0; b < rows && k->pictures[i].part == part; b++)
            n += !d[b].unsure;
    }
    return n;
}

static int count_of(const struct still_camera *k, enum still_part part)
{
    int n = 0;
    for (int i = 0; i < k->count; i++)
        n += k->pictures[i].part == part;
    return n;
}

static void tell_cameras(const struct study *s)
{
    printf("%-34s train try test boxes  unadapted      separate       grouped        one for all\n",
           "F1, mAP in percent at the end");
    for (int c = 0; c < s->stills.count; c++) {
        const struct still_camera *k = &s->stills.cameras[c];
        const struct tally *before = &s->tallies[SEPARATE][0][c];
        printf("%-34.34s %5d %3d %4d %5d  %5.1f %5.1f", k->name, count_of(k, STILL_TRAINS),
               count_of(k, STILL_TRIES), count_of(k, STILL_TESTS), boxes_of(k, STILL_TESTS),
               f1_of(before), map_of(before));
        for (int a = 0; a < ARMS; a++) {
            const struct tally *t = &s->tallies[a][CHECKS - 1][c];
            printf("   %5.1f %5.1f ", f1_of(t), map_of(t));
        }
        printf("\n");
    }
}

static void tell_means(const struct study *s)
{
    printf("%-34s steps a camera: F1, mAP\n", "mean over cameras");
    for (int a = 0; a < ARMS; a++) {
        printf("%-34s", arm_names[a]);
        for (int i = 0; i < CHECKS; i++)
            printf(" %5d: %5.1f %5.1f", s->steps * check_rounds[i] / ROUNDS,
                   mean_of(s, (enum arm)a, i, f1_of), mean_of(s, (enum arm)a, i, map_of));
        printf("\n");
    }
    printf("%.1f groups of %d cameras; together:", s->groups, s->stills.count);
    for (int i = 0; i < s->stills.count; i++)
        for (int k = i + 1; k < s->stills.count; k++)
            if (s->together[i][k])
                printf(" %s+%s %d/%d", s->stills.cameras[i].name, s->stills.cameras[k].name,
                       s->together[i][k], s->runs);
    printf("\n");
}

/* ---- opening ---- */

static enum status open_tallies(struct study *s, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < ARMS * CHECKS * s->stills.count && st == ST_OK; i++) {
        int n = s->stills.count;
        struct tally *t = &s->tallies[i / n / CHECKS][i / n % CHECKS][i % n];
        t->counts = malloc(sizeof *t->counts);
        if (!t->counts)
            return error_set(err, ST_NOMEM, "no memory for counts");
        task_counts_init(TASK_DETECT, s->map.label_count, t->counts);
        st = detect_precision_open(s->map.label_count, &t->precision, err);
    }
    return st;
}

static enum status open_networks(struct study *s, char **argv, const char *map, struct error *err)
{
    enum status st = nn_model_open(argv[1], NULL, &s->student, err);
    if (st == ST_OK)
        st = nn_model_open(argv[2], NULL, &s->teacher, err);
    if (st == ST_OK)
        st = labeller_open(s->student, s->teacher, 1, &s->labeller, err);
    if (st != ST_OK)
        return st;
    const struct task_spec *spec = labeller_student_spec(s->labeller);
    if (spec->task != TASK_DETECT)
        return error_set(err, ST_UNSUPPORTED, "%s is no detector", argv[1]);
    class_map_identity(spec, &s->map);
    if (map)
        st = class_map_open(map, &s->map, err);
    if (st == ST_OK)
        st = label_map_resize(&s->answer, spec->out_width, spec->out_height, err);
    return st == ST_OK ? label_map_resize(&s->truth, spec->out_width, spec->out_height, err) : st;
}

static enum status work(struct study *s, char **argv, enum still_unit unit, const char *map,
                        struct error *err)
{
    enum status st = open_networks(s, argv, map, err);
    if (st == ST_OK)
        st = still_cameras_open(argv[3], unit, s->tiles, s->labeller, &s->stills, err);
    if (st == ST_OK)
        st = open_tallies(s, err);
    for (int run = 0; run < s->runs && st == ST_OK; run++) {
        still_cameras_split(&s->stills, run);
        for (int a = 0; a < ARMS && st == ST_OK; a++)
            st = run_arm(s, (enum arm)a, run, err);
        fprintf(stderr, "run %d of %d\n", run + 1, s->runs);
    }
    return st;
}

static void study_clear(struct study *s)
{
    for (int i = 0; i < ARMS * CHECKS * STILL_CAMERAS_MAX; i++) {
        struct tally *t = &s->tallies[0][0][0] + i;
        free(t->counts);
        detect_precision_close(&t->precision);
    }
    still_cameras_clear(&s->stills);
    labeller_close(&s->labeller);
    nn_model_close(&s->student);
    nn_model_close(&s->teacher);
    label_map_clear(&s->answer);
    label_map_clear(&s->truth);
}

static enum still_unit unit_of(const char *name)
{
    return strcmp(name, "site") == 0    ? STILL_SITE
           : strcmp(name, "world") == 0 ? STILL_WORLD
                                        : STILL_DEVICE;
}

int main(int argc, char **argv)
{
    static struct study s;
    struct error err;
    struct stat info;
    if (argc < 4 || stat(argv[3], &info) != 0) {
        fprintf(stderr, "bench_group_shared: skipped, needs STUDENT.onnx TEACHER.onnx FOLDER with "
                        "pictures and index.csv\n");
        return 0;
    }
    s.steps = argc > 5 ? atoi(argv[5]) : 200;
    s.runs = argc > 6 ? atoi(argv[6]) : 3;
    if (s.steps < ROUNDS * PHASE_STEPS || s.steps > 100000 || s.runs < 1 || s.runs > 100) {
        fprintf(stderr, "bench_group_shared: STEPS from %d, a multiple, and RUNS from 1 to 100\n",
                ROUNDS * PHASE_STEPS);
        return 2;
    }
    s.tiles = (struct still_tiles){1, 1};
    if (argc > 8 &&
        (sscanf(argv[8], "%dx%d", &s.tiles.across, &s.tiles.down) != 2 || s.tiles.across < 1 ||
         s.tiles.across > 8 || s.tiles.down < 1 || s.tiles.down > 8)) {
        fprintf(stderr, "bench_group_shared: TILES are 1x1 to 8x8\n");
        return 2;
    }
    label_map_init(&s.answer);
    label_map_init(&s.truth);
    enum status st =
        work(&s, argv, unit_of(argc > 4 ? argv[4] : ""), argc > 7 ? argv[7] : NULL, &err);
    if (st == ST_OK) {
        tell_cameras(&s);
        tell_means(&s);
    } else
        fprintf(stderr, "bench_group_shared: %s\n", err.message);
    study_clear(&s);
    return st != ST_OK;
}
