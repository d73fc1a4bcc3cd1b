/* The same pictures through one session of each precision, in turn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "bench/times.h"
#include "cmd/model_quantize.h"
#include "nn/loss.h"

struct side {
    struct nn_session *session; /* NULL: the processor does not have the precision */
    struct bench_times times;
    struct confusion confusion;
    uint8_t *classes; /* [out_height][out_width] */
    uint64_t same;
};

struct comparison {
    struct task_spec spec;
    struct side side[QUANTIZE_RESULTS];
    size_t pixels;
    bool labelled;
    int frames;
};

static const enum nn_precision precisions[QUANTIZE_RESULTS] = {
    [QUANTIZE_F32] = NN_PRECISION_F32,
    [QUANTIZE_BF16] = NN_PRECISION_BF16,
    [QUANTIZE_INT8] = NN_PRECISION_INT8,
};

static enum status open_side(struct comparison *c, int i, const struct nn_model *m, int threads,
                             struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.threads = threads;
    o.precision = precisions[i];
    task_counts_init(c->spec.task, c->spec.class_count, &c->side[i].confusion);
    if (!nn_precision_is_native(precisions[i]))
        return ST_OK;
    c->side[i].classes = malloc(c->pixels);
    if (!c->side[i].classes)
        return error_set(err, ST_NOMEM, "no memory to compare precisions");
    return nn_session_open(m, &o, &c->side[i].session, err);
}

static enum status run_side(struct comparison *c, struct side *s, const struct frame *frame,
                            struct error *err)
{
    struct nn_view input = nn_session_input(s->session, 0);
    task_input(&c->spec, frame, &input, 0);
    uint64_t start_us = clock_mono_us();
    enum status st = nn_session_forward(s->session, err);
    bench_times_add(&s->times, (double)(clock_mono_us() - start_us) / 1e3);
    struct nn_view logits = nn_session_output(s->session, 0);
    task_answer(&c->spec, &logits, NULL, s->classes);
    return st;
}

static enum status compare_frame(struct comparison *c, const struct frame *frame,
                                 const struct label_map *labels, struct error *err)
{
    const uint8_t *full = c->side[QUANTIZE_F32].classes;
    for (int i = 0; i < QUANTIZE_RESULTS; i++) {
        struct side *s = &c->side[i];
        if (!s->session)
            continue;
        enum status st = run_side(c, s, frame, err);
        if (st != ST_OK)
            return st;
        for (size_t k = 0; k < c->pixels; k++)
            s->same += s->classes[k] == full[k];
        if (labels)
            confusion_add(&s->confusion, labels->classes, s->classes, c->pixels);
    }
    c->labelled = labels != NULL;
    c->frames++;
    return ST_OK;
}

static enum status compare_frames(struct comparison *c, const struct quantize_arguments *a,
                                  struct quantize_feed *feed, struct error *err)
{
    struct progress bar;
    enum status st = ST_OK;
    progress_init(&bar, "comparing", (uint64_t)a->compared, a->json, clock_mono_us());
    while (c->frames < a->compared && st == ST_OK) {
        const struct frame *frame;
        const struct label_map *labels;
        st = quantize_feed_next(feed, &frame, &labels, err);
        if (st == ST_OK)
            st = compare_frame(c, frame, labels, err);
        progress_update(&bar, (uint64_t)c->frames, NULL, clock_mono_us());
    }
    progress_clear(&bar);
    if (st != ST_OK && st != ST_END)
        return st;
    return c->frames ? ST_OK
                     : error_set(err, ST_NOT_FOUND,
                                 "%s has a single picture: one is needed to calibrate and one to "
                                 "compare",
                                 a->frames);
}

static void results(struct comparison *c, struct quantize_result *ret)
{
    double pixels = (double)c->pixels * c->frames;
    for (int i = 0; i < QUANTIZE_RESULTS; i++) {
        struct side *s = &c->side[i];
        ret[i] = (struct quantize_result){
            .precision = precisions[i],
            .runs = s->session != NULL,
            .ms = bench_times_median(&s->times),
            .agreement = (double)s->same / pixels,
            .task = c->spec.task,
            .accuracy = c->labelled ? task_score(c->spec.task, &s->confusion) : (double)NAN,
            .session_bytes = s->session ? nn_session_bytes(s->session) : 0};
    }
}

enum status quantize_compare(const struct quantize_arguments *a, const struct nn_model *m,
                             struct quantize_result ret[QUANTIZE_RESULTS], int *ret_frames,
                             struct error *err)
{
    struct comparison *c = calloc(1, sizeof *c);
    struct quantize_feed *feed = NULL;
    if (!c)
        return error_set(err, ST_NOMEM, "no memory to compare precisions");
    enum status st = task_spec_read(m, &c->spec, err);
    c->pixels = task_cells(&c->spec);
    for (int i = 0; i < QUANTIZE_RESULTS && st == ST_OK; i++)
        st = open_side(c, i, m, a->threads, err);
    if (st == ST_OK)
        st = quantize_feed_open(a, &c->spec, QUANTIZE_COMPARISON, &feed, err);
    if (st == ST_OK)
        st = compare_frames(c, a, feed, err);
    if (st == ST_OK) {
        results(c, ret);
        *ret_frames = c->frames;
    }
    for (int i = 0; i < QUANTIZE_RESULTS; i++) {
        nn_session_close(&c->side[i].session);
        free(c->side[i].classes);
    }
    quantize_feed_close(&feed);
    free(c);
    return st;
}
