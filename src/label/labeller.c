/* labeller.c - a frame is scaled to each network's input (or fitted into it), the classes are taken
 * at the logits and resized by nearest neighbour to what the caller wants. The student runs twice a
 * frame, as it is and as its file has it: two sessions, so that weights are reloaded only when a
 * version changes.
 */
#include "label/labeller.h"

#include <stdlib.h>
#include <string.h>

#include "nn/loss.h"
#include "video/frame.h"
#include "video/letterbox.h"
#include "video/scale.h"

struct network {
    const struct nn_model *model;
    struct task_spec spec;
    struct nn_session *session;
    struct scaler scaler;
    struct letterbox letterbox;
    struct frame scaled;
    struct label_map classes;
};

struct labeller {
    struct network student, original, teacher;
    const float *loaded; /* whose values the student's session holds, with their stamp */
    uint64_t stamp;
    bool restricted; /* only the chosen classes are answered */
    uint8_t chosen[CLASSES_MAX];
};

static const uint8_t *chosen_of(const struct labeller *l)
{
    return l->restricted ? l->chosen : NULL;
}

static void network_clear(struct network *n)
{
    nn_session_close(&n->session);
    scaler_clear(&n->scaler);
    letterbox_clear(&n->letterbox);
    frame_clear(&n->scaled);
    label_map_clear(&n->classes);
}

/* fixed: it never gets other weights. */
static enum status network_init(struct network *n, const struct nn_model *m, int threads,
                                bool fixed, struct error *err)
{
    n->model = m;
    scaler_init(&n->scaler);
    letterbox_init(&n->letterbox);
    frame_init(&n->scaled);
    label_map_init(&n->classes);
    enum status st = task_spec_read(m, &n->spec, err);
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = threads;
    o.fixed = fixed;
    o.logits = true;                        /* of soft labels */
    o.precision = nn_precision_of_model(m); /* students: as a camera runs them */
    if (st == ST_OK)
        st = nn_session_open(m, &o, &n->session, err);
    if (st == ST_OK)
        st = frame_resize(&n->scaled, n->spec.width, n->spec.height, err);
    if (st == ST_OK)
        st = label_map_resize(&n->classes, n->spec.out_width, n->spec.out_height, err);
    return st;
}

static enum status network_run(struct network *n, const struct frame *f, const uint8_t *chosen,
                               struct label_map *dst, struct error *err)
{
    struct letterbox_fit fit = {1, 1};
    enum status st = n->spec.letterbox ? letterbox_run(&n->letterbox, f, &n->scaled, &fit, err)
                                       : scaler_run(&n->scaler, f, &n->scaled, err);
    if (st != ST_OK)
        return st;
    struct nn_view in = nn_session_input(n->session, 0);
    task_input(&n->spec, &n->scaled, &in, 0);
    st = nn_session_forward(n->session, err);
    if (st != ST_OK)
        return st;
    struct nn_view out = nn_session_output(n->session, 0);
    task_answer(&n->spec, &out, chosen, n->classes.classes);
    if (n->spec.letterbox)
        detect_stretch(fit.width, fit.height, n->classes.classes);
    task_resize_labels(&n->classes, dst);
    return ST_OK;
}

enum status labeller_open(const struct nn_model *student, const struct nn_model *teacher,
                          int threads, struct labeller **ret, struct error *err)
{
    struct labeller *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory for the labeller");
    enum status st = network_init(&l->student, student, threads, false, err);
    if (st == ST_OK)
        st = network_init(&l->original, student, threads, true, err);
    if (st != ST_OK)
        error_prefix(err, "the student");
    else if ((st = network_init(&l->teacher, teacher, threads, true, err)) != ST_OK)
        error_prefix(err, "the teacher");
    else
        st = task_specs_match(&l->student.spec, &l->teacher.spec, err);
    if (st != ST_OK) {
        labeller_close(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}

void labeller_close(struct labeller **l)
{
    if (!l || !*l)
        return;
    network_clear(&(*l)->student);
    network_clear(&(*l)->original);
    network_clear(&(*l)->teacher);
    free(*l);
    *l = NULL;
}

const struct task_spec *labeller_student_spec(const struct labeller *l)
{
    return &l->student.spec;
}

const struct task_spec *labeller_teacher_spec(const struct labeller *l)
{
    return &l->teacher.spec;
}

enum status labeller_teach(struct labeller *l, const struct frame *f, struct label_map *dst,
                           struct error *err)
{
    return network_run(&l->teacher, f, chosen_of(l), dst, err);
}

enum status labeller_predict(struct labeller *l, const struct frame *f, const float *params,
                             uint64_t stamp, struct label_map *dst, struct error *err)
{
    if (!params)
        return network_run(&l->original, f, chosen_of(l), dst, err);
    struct network *n = &l->student;
    if (params != l->loaded || stamp != l->stamp) {
        memcpy(nn_session_params(n->session), params,
               nn_model_param_count(n->model) * sizeof *params);
        nn_session_params_changed(n->session);
        l->loaded = params;
        l->stamp = stamp;
    }
    return network_run(n, f, chosen_of(l), dst, err);
}

void labeller_choose(struct labeller *l, const uint8_t *chosen)
{
    l->restricted = chosen != NULL;
    if (chosen)
        memcpy(l->chosen, chosen, (size_t)l->teacher.spec.class_count);
}

void labeller_soft(struct labeller *l, int width, int height, uint8_t *probs)
{
    const struct task_spec *spec = &l->teacher.spec;
    const struct nn_view out = nn_session_output(l->teacher.session, 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int64_t cell_y = ((int64_t)y * 2 + 1) * spec->out_height / (2 * height);
            int64_t cell_x = ((int64_t)x * 2 + 1) * spec->out_width / (2 * width);
            float probability[CLASSES_MAX];
            task_probabilities(&out, (int)cell_x, (int)cell_y, chosen_of(l), probability);
            for (int k = 0; k < spec->class_count; k++)
                *probs++ = (uint8_t)(255.0f * probability[k] + 0.5f);
        }
}
