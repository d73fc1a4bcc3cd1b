/* A network's answers to samples, counted. Answers and labels meet in the labels' classes. */
#include "train/samples.h"

#include <stdlib.h>
#include <string.h>

#include "video/frame.h"

struct scoring {
    struct nn_session *session;
    struct task_spec spec;
    struct frame frame;
    struct label_map drawn, truth; /* in the size of the input; of the logits */
    uint8_t *predicted;            /* [out_height][out_width] */
    uint8_t chosen[CLASSES_MAX];
};

static enum status open_session(struct scoring *r, const struct nn_model *m, const float *params,
                                int threads, struct error *err)
{
    struct nn_session_options so;
    nn_session_options_init(&so);
    so.threads = threads;
    enum status st = nn_session_open(m, &so, &r->session, err);
    if (st == ST_OK && params) {
        memcpy(nn_session_params(r->session), params, nn_model_param_count(m) * sizeof *params);
        nn_session_params_changed(r->session);
    }
    return st;
}

enum status samples_size_labels(const struct task_spec *spec, struct label_map *labels,
                                struct error *err)
{
    bool boxes = spec->task == TASK_DETECT;
    return label_map_resize(labels, boxes ? spec->out_width : spec->width,
                            boxes ? spec->out_height : spec->height, err);
}

static enum status open_scoring(struct scoring *r, const struct samples *s,
                                const struct nn_model *m, const float *params, int threads,
                                struct error *err)
{
    enum status st = task_spec_read(m, &r->spec, err);
    if (st == ST_OK)
        st = open_session(r, m, params, threads, err);
    if (st == ST_OK)
        st = frame_resize(&r->frame, r->spec.width, r->spec.height, err);
    if (st == ST_OK)
        st = samples_size_labels(&r->spec, &r->drawn, err);
    if (st == ST_OK)
        st = label_map_resize(&r->truth, r->spec.out_width, r->spec.out_height, err);
    if (st != ST_OK)
        return st;
    r->predicted = malloc(task_cells(&r->spec));
    if (!r->predicted)
        return error_set(err, ST_NOMEM, "no memory to score a network");
    for (int c = 0; c < r->spec.class_count; c++)
        r->chosen[c] = s->map.to_label[c] != LABEL_IGNORE;
    return ST_OK;
}

static void close_scoring(struct scoring *r)
{
    nn_session_close(&r->session);
    frame_clear(&r->frame);
    label_map_clear(&r->drawn);
    label_map_clear(&r->truth);
    free(r->predicted);
    free(r);
}

static enum status score_sample(struct scoring *r, struct samples *s, uint64_t n,
                                struct confusion *c, struct error *err)
{
    struct rng rng;
    rng_init(&rng, 0, n);
    enum status st = samples_draw(s, n, &rng, &r->frame, &r->drawn, err);
    if (st != ST_OK)
        return st;
    struct nn_view input = nn_session_input(r->session, 0);
    task_input(&r->spec, &r->frame, &input, 0);
    st = nn_session_forward(r->session, err);
    if (st != ST_OK)
        return st;
    struct nn_view logits = nn_session_output(r->session, 0);
    task_answer(&r->spec, &logits, r->chosen, r->predicted);
    task_resize_labels(&r->drawn, &r->truth);
    size_t pixels = task_cells(&r->spec);
    struct label_map answer = {r->spec.out_width, r->spec.out_height, r->predicted};
    task_map_classes(r->spec.task, &s->map, &answer);
    confusion_add(c, r->truth.classes, r->predicted, pixels);
    return ST_OK;
}

enum status samples_score(struct samples *samples, uint64_t count, const struct nn_model *m,
                          const float *params, int threads, struct confusion *ret,
                          struct error *err)
{
    struct scoring *r = calloc(1, sizeof *r);
    struct confusion *c = malloc(sizeof *c);
    enum status st = ST_OK;
    if (!r || !c) {
        free(r);
        free(c);
        return error_set(err, ST_NOMEM, "no memory to score a network");
    }
    st = open_scoring(r, samples, m, params, threads, err);
    if (st == ST_OK)
        task_counts_init(r->spec.task, samples->map.label_count, c);
    for (uint64_t n = 0; n < count && st == ST_OK; n++)
        st = score_sample(r, samples, n, c, err);
    if (st == ST_OK)
        *ret = *c;
    close_scoring(r);
    free(c);
    return st;
}
