/* model_check.c - `attune model check`: can this machine run and train a network, how fast, and how
 * right is it on labelled frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/case.h"
#include "cmd/model.h"
#include "cmd/model_check_score.h"
#include "nn/optimizer.h"
#include "nn/survey.h"

#define NAME "model check"
#define TIMES_MAX 4096

static const char help[] =
    "usage: attune model check FILE.onnx [OPTIONS]\n\n"
    "Can this machine run and train the network? If not, names every node that is in the way, not\n"
    "only the first. If so, does both for a moment and says how fast: the median of single runs "
    "on\n"
    "random pictures; a training step is forward, backward and Adam.\n\n"
    "  --seconds S   to measure for, default 2\n"
    "  --threads N   default 1\n"
    "  --batch N     pictures a run, default 1 for inference and 8 for training\n"
    "  --size WxH    of the input, where the file leaves it open or for another size\n"
    "  --json        as JSON\n\n"
    "and with labelled frames its score on them: mIoU, accuracy, or F1 and mean average precision\n"
    "at an overlap of 0.5, over all and by class\n"
    "  --source S        a video, or a folder of pictures, as of attune eval\n"
    "  --labels L        their labels: a folder, or of boxes a CSV file (docs/formats.md)\n"
    "  --class-map FILE  from the network's classes to the labels'\n"
    "  --fps X           frames of a second that are looked at, default 1\n"
    "  --until S         seconds of it, default all; the town has no end\n\n"
    "exit status: 0 it runs and trains here, 1 it does not, 3 the file cannot be read\n\n"
    "example: attune model check student.onnx --threads 2\n"
    "         attune model check yolox.onnx --source highway.mp4 --labels boxes.csv\n";

struct arguments {
    const char *path;
    double seconds;
    int threads, batch, size[2];
    bool json;
    struct check_score_source scored;
};

/* What is measured where processor and file have the precision. */
static const struct work {
    enum nn_mode mode;
    enum nn_precision precision;
} works[] = {{NN_INFER, NN_PRECISION_F32},
             {NN_INFER, NN_PRECISION_INT8},
             {NN_TRAIN, NN_PRECISION_F32},
             {NN_TRAIN, NN_PRECISION_BF16}};
#define WORKS (sizeof works / sizeof *works)

struct measurement {
    struct work work;
    int batch;
    double ms;
    size_t bytes;
};

/* What is found out. */
struct verdict {
    bool supported;
    struct error why; /* when there is no single node to blame */
    struct nn_survey survey;
    struct measurement results[WORKS];
    int result_count;
    struct check_score *score; /* NULL: nothing was to be scored */
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum status run_once(struct nn_session *s, struct nn_optimizer *o, struct error *err)
{
    enum status st = nn_session_forward(s, err);
    if (st != ST_OK || !o)
        return st;
    st = nn_session_backward(s, err);
    if (st != ST_OK)
        return st;
    nn_optimizer_step(o, nn_session_params(s), nn_session_grads(s), NULL);
    nn_session_params_changed(s);
    return ST_OK;
}

/* Median of the runs that fit into the time, one at least, after one that does not count. */
static enum status median_ms(struct nn_session *s, struct nn_optimizer *o, double seconds,
                             double *ret, struct error *err)
{
    static double times[TIMES_MAX];
    int count = 0;
    enum status st = run_once(s, o, err);
    uint64_t start_us = clock_mono_us(), end_us = start_us + (uint64_t)(seconds * 1e6);
    for (uint64_t now_us = start_us;
         st == ST_OK && count < TIMES_MAX && (!count || now_us < end_us);) {
        st = run_once(s, o, err);
        uint64_t then_us = clock_mono_us();
        times[count++] = (double)(then_us - now_us) / 1000;
        now_us = then_us;
    }
    if (st != ST_OK)
        return st;
    qsort(times, (size_t)count, sizeof *times, by_value);
    *ret = times[count / 2];
    return ST_OK;
}

static enum status measure(const struct nn_model *m, const struct arguments *a,
                           const struct work *work, double seconds, struct measurement *ret,
                           struct error *err)
{
    struct nn_session *s = NULL;
    struct nn_optimizer *o = NULL;
    struct nn_optimizer_options oo;
    bool batches = nn_model_batch_blocker(m) < 0;
    bool trains = work->mode == NN_TRAIN;
    int usual = trains && batches ? 8 : 1;
    *ret = (struct measurement){*work, a->batch ? a->batch : usual, 0, 0};
    struct nn_session_options so;
    nn_session_options_init(&so);
    so.mode = work->mode;
    so.precision = work->precision;
    so.batch = ret->batch;
    so.threads = a->threads;
    enum status st = cmd_model_session(m, &so, &s, err);
    nn_optimizer_options_init(&oo);
    oo.learning_rate = 1e-6f; /* the weights stay sane however long this takes */
    if (st == ST_OK && trains)
        st = nn_optimizer_open(nn_model_trainable_count(m), &oo, &o, err);
    if (st == ST_OK)
        st = median_ms(s, o, seconds, &ret->ms, err);
    if (st == ST_OK)
        ret->bytes = nn_session_bytes(s) + (o ? 8 * nn_model_trainable_count(m) : 0);
    nn_optimizer_close(&o);
    nn_session_close(&s);
    return st;
}

/* Answers that end in "no" rather than in an error. */
static bool is_answer(enum status st)
{
    return st == ST_UNSUPPORTED || st == ST_LIMIT;
}

/* Which nodes of a file that was refused. */
static enum status survey_file(const struct buf *bytes, const struct nn_model_options *o,
                               enum status refused, struct verdict *v, struct error *err)
{
    struct error why = *err;
    enum status st = nn_survey_read(bytes->data, bytes->size_bytes, o, &v->survey, err);
    v->why = st == ST_OK ? why : *err;
    if (st != ST_OK)
        return is_answer(st) ? ST_OK : st;
    return v->survey.count || is_answer(refused) ? ST_OK
                                                 : error_set(err, refused, "%s", why.message);
}

static bool is_possible(const struct nn_model *m, const struct work *w)
{
    return nn_precision_is_native(w->precision) &&
           (w->precision != NN_PRECISION_INT8 || nn_model_is_calibrated(m));
}

static enum status try_model(const struct nn_model *m, const struct arguments *a, struct verdict *v,
                             struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < WORKS; i++)
        count += is_possible(m, &works[i]);
    enum status st = ST_OK;
    for (size_t i = 0; i < WORKS && st == ST_OK; i++) {
        if (!is_possible(m, &works[i]))
            continue;
        st =
            measure(m, a, &works[i], a->seconds / (double)count, &v->results[v->result_count], err);
        v->result_count += st == ST_OK;
    }
    v->supported = st == ST_OK;
    if (!is_answer(st))
        return st;
    v->why = *err;
    if (st == ST_LIMIT)
        return ST_OK;
    return nn_survey_model(m, a->batch ? a->batch : 1, &v->survey, err);
}

static enum status examine(const struct arguments *a, struct verdict *v, struct error *err)
{
    struct nn_model *m = NULL;
    struct nn_model_options o = cmd_model_options(a->size);
    struct buf bytes;
    buf_init(&bytes);
    enum status st = file_read(a->path, NN_FILE_BYTES_MAX, &bytes, err);
    if (st == ST_OK) {
        st = nn_model_read(bytes.data, bytes.size_bytes, &o, &m, err);
        if (st == ST_OK)
            st = try_model(m, a, v, err);
        else if (st != ST_NOMEM)
            st = survey_file(&bytes, &o, st, v, err);
        if (st == ST_OK && v->supported && a->scored.source)
            st = check_score_open(&a->scored, m, &v->score, err);
        if (st != ST_OK)
            error_prefix(err, "%s", a->path);
    }
    nn_model_close(&m);
    buf_clear(&bytes);
    return st;
}

static const char *mode_name(const struct measurement *r)
{
    return r->work.mode == NN_TRAIN ? "training" : "inference";
}

static const char *precision_name(const struct measurement *r)
{
    return bench_precision_name(r->work.precision);
}

static void print_problems(const struct verdict *v)
{
    for (int i = 0; i < v->survey.count; i++)
        printf("  %s\n", v->survey.items[i].message);
    if (!v->survey.count)
        printf("  %s\n", v->why.message);
    if (v->survey.unknown)
        printf("%d nodes behind them were judged by their operator alone\n", v->survey.unknown);
    if (v->survey.count)
        printf("%d of %d nodes are not supported\n", v->survey.count, v->survey.node_count);
}

static void print_verdict(const struct arguments *a, const struct verdict *v)
{
    printf("%s: this machine %s\n", a->path,
           v->supported ? "runs and trains it" : "does not run and train it");
    if (!v->supported)
        print_problems(v);
    if (v->result_count)
        printf("%-10s %-10s %6s %8s %10s %10s %12s\n", "precision", "what", "batch", "threads",
               "ms", "images/s", "memory");
    for (int i = 0; i < v->result_count; i++) {
        const struct measurement *r = &v->results[i];
        printf("%-10s %-10s %6d %8d %10.2f %10.1f %8.1f MiB\n", precision_name(r), mode_name(r),
               r->batch, a->threads, r->ms, 1000.0 * r->batch / r->ms, (double)r->bytes / 0x1p20);
    }
    if (v->supported && !nn_precision_is_native(NN_PRECISION_BF16))
        puts("bf16       this processor does not multiply it");
    if (v->score)
        check_score_print(v->score);
}

static json_t *problems_json(const struct verdict *v)
{
    json_t *list = json_array();
    for (int i = 0; i < v->survey.count; i++) {
        const struct nn_survey_item *item = &v->survey.items[i];
        json_array_append_new(list, json_pack("{s:i, s:s*, s:s*, s:s*}", "index", item->node,
                                              "node", item->name, "operator", item->op, "message",
                                              item->message));
    }
    return list;
}

static json_t *results_json(const struct arguments *a, const struct verdict *v)
{
    json_t *list = json_array();
    for (int i = 0; i < v->result_count; i++) {
        const struct measurement *r = &v->results[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:I}", "precision",
                                        precision_name(r), "what", mode_name(r), "batch", r->batch,
                                        "threads", a->threads, "ms", r->ms, "images_per_s",
                                        1000.0 * r->batch / r->ms, "bytes", (json_int_t)r->bytes));
    }
    return list;
}

static json_t *verdict_json(const struct arguments *a, const struct verdict *v)
{
    bool reason = !v->supported && !v->survey.count;
    return json_pack("{s:s, s:b, s:s?, s:o, s:i, s:b, s:o, s:o?}", "file", a->path, "supported",
                     v->supported, "reason", reason ? v->why.message : NULL, "unsupported",
                     problems_json(v), "judged_by_operator", v->survey.unknown, "bf16_available",
                     nn_precision_is_native(NN_PRECISION_BF16), "results", results_json(a, v),
                     "score", v->score ? check_score_json(v->score) : NULL);
}

int cmd_model_check(int argc, char **argv)
{
    struct arguments a = {.seconds = 2, .threads = 1, .scored = {.fps = 1}};
    const struct cmd_option options[] = {{"json", CMD_FLAG, &a.json, 0, 0},
                                         {"seconds", CMD_NUMBER, &a.seconds, 0, 600},
                                         {"threads", CMD_WHOLE, &a.threads, 1, 256},
                                         {"batch", CMD_WHOLE, &a.batch, 1, CMD_MODEL_BATCH_MAX},
                                         {"size", CMD_SIZE, a.size, 1, CMD_MODEL_SIDE_MAX},
                                         {"source", CMD_TEXT, &a.scored.source, 0, 0},
                                         {"labels", CMD_TEXT, &a.scored.labels, 0, 0},
                                         {"class-map", CMD_TEXT, &a.scored.class_map, 0, 0},
                                         {"fps", CMD_NUMBER, &a.scored.fps, 0.001, 1000},
                                         {"until", CMD_NUMBER, &a.scored.until_s, 0.001, 1e9},
                                         {0}};
    int code = cmd_parse(NAME, help, options, argc, argv, &a.path, 1, 1, NULL);
    if (code >= 0)
        return code;
    struct verdict v = {0};
    struct error err = {0};
    if (!a.scored.source && (a.scored.labels || a.scored.class_map))
        return cmd_usage(NAME, "--labels and --class-map go with --source");
    a.scored.threads = a.threads;
    if (examine(&a, &v, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    code = v.supported ? CMD_OK : CMD_NO;
    if (!a.json)
        print_verdict(&a, &v);
    else if (cmd_json(NAME, verdict_json(&a, &v)) != CMD_OK)
        code = CMD_FAILED;
    nn_survey_clear(&v.survey);
    check_score_close(&v.score);
    return code;
}
