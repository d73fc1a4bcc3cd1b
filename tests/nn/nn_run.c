/* Development tool, not installed: runs a model on raw float32 files (row-major, all inputs or
 * outputs one after the other) and writes what came out, for the scripts under tools/.
 *
 *   nn_run infer MODEL INPUTS OUTPUTS [BATCH]
 *   nn_run train MODEL INPUTS OUTPUTS [BATCH] [frozen|batch] COTANGENTS GRADS
 *   nn_run time  MODEL infer|train [BATCH] [THREADS] [frozen|batch]
 *   nn_run write MODEL FILE      the model as nn_model_write has it
 *
 * train prints a line "name count" for each trainable parameter, in the order of GRADS. time prints
 * the median and the smallest time of a run, and for inference that of one with new parameters;
 * with NN_STEPS set also the time of every step, with NN_ARENA set what fills the memory.
 * NN_PRECISION=bf16 or int8 (calibrated on noise unless the file is), NN_WINOGRAD=0, NN_FUSE=0
 * and NN_LIMIT_MB=n change the session's options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <omp.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "nn/calibrate.h"
#include "nn/plan.h"
#include "nn/session.h"

static void die(const struct error *err)
{
    fprintf(stderr, "nn_run: %s\n", err->message);
    exit(1);
}

static int64_t count_of(const struct nn_view *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= v->dim[i];
    return n;
}

/* Calls with every element's place in the view, in row-major order. */
static size_t place_of(const struct nn_view *v, int64_t i)
{
    int64_t at = 0;
    for (int d = v->rank; d-- > 0;) {
        at += i % v->dim[d] * v->stride[d];
        i /= v->dim[d];
    }
    return (size_t)at;
}

static void read_views(const char *path, struct nn_session *s, int n,
                       struct nn_view (*view)(struct nn_session *, int))
{
    struct buf b;
    struct error err;
    buf_init(&b);
    if (file_read(path, BUF_BYTES_MAX, &b, &err))
        die(&err);
    size_t at = 0;
    for (int k = 0; k < n; k++) {
        struct nn_view v = view(s, k);
        for (int64_t i = 0; i < count_of(&v); i++, at += sizeof(float)) {
            if (at + sizeof(float) > b.size_bytes) {
                fprintf(stderr, "nn_run: %s is too short\n", path);
                exit(1);
            }
            memcpy(v.data + place_of(&v, i), b.data + at, sizeof(float));
        }
    }
    buf_clear(&b);
}

static void write_outputs(const char *path, struct nn_session *s, int n)
{
    struct buf b;
    struct error err;
    buf_init(&b);
    for (int k = 0; k < n; k++) {
        struct nn_view v = nn_session_output(s, k);
        for (int64_t i = 0; i < count_of(&v); i++)
            buf_put_f32(&b, v.data[place_of(&v, i)]);
    }
    if (b.failed || file_write(path, b.data, b.size_bytes, &err))
        die(&err);
    buf_clear(&b);
}

static int by_time(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Processor time of the process: on a busy machine steadier than the clock. */
static double cpu_us(void)
{
    return (double)clock() * (1e6 / CLOCKS_PER_SEC);
}

static void step(struct nn_session *s, bool train)
{
    struct error err;
    if (nn_session_forward(s, &err) || (train && nn_session_backward(s, &err)))
        die(&err);
}

static void time_steps(struct nn_session *s, int threads)
{
    struct nn_plan *p = nn_session_plan(s);
    enum { ROUNDS = 9 };
    double *best = calloc((size_t)p->step_count, sizeof *best);
    omp_set_num_threads(threads);
    for (int r = 0; best && r < ROUNDS; r++)
        for (int i = 0; i < p->step_count; i++) {
            double t = threads == 1 ? cpu_us() : (double)clock_mono_us();
            p->steps[i].run(&p->steps[i]);
            double us = (threads == 1 ? cpu_us() : (double)clock_mono_us()) - t;
            best[i] = r == 0 || us < best[i] ? us : best[i];
        }
    for (int i = 0; best && i < p->step_count; i++) {
        int n = p->steps[i].node;
        printf("%9.1f us %s %-40s %s\n", best[i], i < p->forward_count ? "fwd" : "bwd",
               n >= 0 ? p->graph->nodes[n].name : "(layout)",
               p->steps[i].op ? nn_dnnl_op_implementation(p->steps[i].op) : "");
    }
    free(best);
}

static void fill_view(struct nn_view v, struct rng *r)
{
    for (int64_t i = 0; i < count_of(&v); i++)
        v.data[i] = (float)rng_normal(r);
}

static void fill_noise(struct nn_session *s, const struct nn_model *m)
{
    struct rng r;
    rng_init(&r, 1, 0);
    for (int k = 0; k < nn_model_graph(m)->input_count; k++)
        fill_view(nn_session_input(s, k), &r);
}

/* For a model that is not calibrated; never freed. */
static struct nn_range *ranges_of_noise(const struct nn_model *m)
{
    const struct nn_graph *g = nn_model_graph(m);
    struct nn_range *ranges = calloc((size_t)g->tensor_count, sizeof *ranges);
    struct nn_calibration *c = NULL;
    struct error err;
    struct rng r;
    rng_init(&r, 1, 0);
    if (!ranges || nn_calibration_open(m, NULL, 1, &c, &err))
        die(&err);
    for (int k = 0; k < g->input_count; k++)
        fill_view(nn_calibration_input(c, k), &r);
    if (nn_calibration_run(c, &err) || nn_calibration_ranges(c, NN_CLIP_MIN_MAX, 1, ranges, &err))
        die(&err);
    nn_calibration_close(&c);
    return ranges;
}

/* What replacing the parameters costs beside a frame. */
static void time_change(struct nn_session *s)
{
    enum { RUNS = 11 };
    double ms[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double cpu = cpu_us();
        nn_session_params_changed(s);
        step(s, false);
        ms[i] = (cpu_us() - cpu) * 1e-3;
    }
    qsort(ms, RUNS, sizeof *ms, by_time);
    printf("new parameters and a run: processor %.2f ms (min %.2f)\n", ms[RUNS / 2], ms[0]);
}

static size_t alive_bytes(const struct nn_plan *p, int step, bool print)
{
    size_t sum = 0;
    for (int i = 0; i < p->buffer_count; i++) {
        const struct nn_buffer *b = &p->buffers[i];
        if (b->external || b->first_step < 0 || b->first_step > step || b->last_step < step)
            continue;
        sum += b->bytes;
        const struct nn_step *maker = &p->steps[b->first_step];
        if (print && b->bytes >> 18)
            printf("  %7.2f MiB, steps %d to %d, first at %s\n", (double)b->bytes / 1048576,
                   b->first_step, b->last_step,
                   maker->node >= 0 ? p->graph->nodes[maker->node].name : "a conversion");
    }
    return sum;
}

/* What lies in the arena where it is fullest. */
static void print_arena(const struct nn_plan *p)
{
    int fullest = 0;
    for (int i = 0; i < p->step_count; i++)
        fullest = alive_bytes(p, i, false) > alive_bytes(p, fullest, false) ? i : fullest;
    printf("arena %.1f MiB, fullest at step %d of %d (%d forward): %.1f MiB\n",
           (double)p->arena_bytes / 1048576, fullest, p->step_count, p->forward_count,
           (double)alive_bytes(p, fullest, false) / 1048576);
    alive_bytes(p, fullest, true);
}

static void time_model(const struct nn_model *m, const struct nn_session_options *o, bool steps)
{
    struct nn_session *s;
    struct error err;
    uint64_t t = clock_mono_us();
    if (nn_session_open(m, o, &s, &err))
        die(&err);
    double open_ms = (double)(clock_mono_us() - t) * 1e-3;
    enum { RUNS = 21 };
    double ms[RUNS], cpu_ms[RUNS];
    fill_noise(s, m);
    step(s, o->mode == NN_TRAIN);
    for (int i = 0; i < RUNS; i++) {
        double cpu = cpu_us();
        t = clock_mono_us();
        if (o->mode == NN_TRAIN)
            nn_session_params_changed(s);
        step(s, o->mode == NN_TRAIN);
        ms[i] = (double)(clock_mono_us() - t) * 1e-3;
        cpu_ms[i] = (cpu_us() - cpu) * 1e-3;
    }
    qsort(ms, RUNS, sizeof *ms, by_time);
    qsort(cpu_ms, RUNS, sizeof *cpu_ms, by_time);
    printf(
        "open %.1f ms, run %.2f ms (min %.2f), processor %.2f ms (min %.2f), %.1f MiB, %d steps\n",
        open_ms, ms[RUNS / 2], ms[0], cpu_ms[RUNS / 2], cpu_ms[0],
        (double)nn_session_bytes(s) / 1048576, nn_session_plan(s)->step_count);
    if (o->mode == NN_INFER)
        time_change(s);
    if (steps)
        time_steps(s, o->threads);
    if (getenv("NN_ARENA"))
        print_arena(nn_session_plan(s));
    nn_session_close(&s);
}

static void train(const struct nn_model *m, struct nn_session *s, char **file)
{
    const struct nn_graph *g = nn_model_graph(m);
    struct error err;
    if (nn_session_forward(s, &err))
        die(&err);
    write_outputs(file[1], s, g->output_count);
    read_views(file[2], s, g->output_count, nn_session_output_grad);
    if (nn_session_backward(s, &err) ||
        file_write(file[3], nn_session_grads(s), nn_model_trainable_count(m) * sizeof(float), &err))
        die(&err);
    for (int i = 0; i < g->param_count; i++)
        if (g->params[i].kind == NN_PARAM_TRAINABLE)
            printf("%s %zu\n", g->params[i].name, g->params[i].count);
}

static void write_model(const struct nn_model *m, const char *path)
{
    struct buf b;
    struct error err;
    buf_init(&b);
    if (nn_model_write(m, NULL, &b, &err) || file_write(path, b.data, b.size_bytes, &err))
        die(&err);
    buf_clear(&b);
}

static enum nn_bn_mode bn_mode_of(const char *name)
{
    return name && strcmp(name, "batch") == 0 ? NN_BN_BATCH : NN_BN_FROZEN;
}

int main(int argc, char **argv)
{
    struct nn_model *m = NULL;
    struct nn_session *s = NULL;
    struct nn_session_options o;
    struct error err;
    nn_session_options_init(&o);
    const char *precision = getenv("NN_PRECISION");
    if (precision && strcmp(precision, "bf16") == 0)
        o.precision = NN_PRECISION_BF16;
    if (precision && strcmp(precision, "int8") == 0)
        o.precision = NN_PRECISION_INT8;
    if (getenv("NN_LIMIT_MB"))
        o.memory_limit_bytes = (size_t)atol(getenv("NN_LIMIT_MB")) << 20;
    if (getenv("NN_WINOGRAD"))
        o.winograd = atoi(getenv("NN_WINOGRAD")) != 0;
    if (getenv("NN_FUSE"))
        o.fuse = atoi(getenv("NN_FUSE")) != 0;
    if (argc < 4) {
        fprintf(stderr, "usage: see the top of nn_run.c\n");
        return 2;
    }
    if (nn_model_open(argv[2], NULL, &m, &err))
        die(&err);
    if (o.precision == NN_PRECISION_INT8 && !nn_model_is_calibrated(m))
        o.ranges = ranges_of_noise(m);
    if (strcmp(argv[1], "time") == 0) {
        o.mode = strcmp(argv[3], "train") == 0 ? NN_TRAIN : NN_INFER;
        o.batch = argc > 4 ? atoi(argv[4]) : 1;
        o.threads = argc > 5 ? atoi(argv[5]) : 1;
        o.bn_mode = bn_mode_of(argc > 6 ? argv[6] : NULL);
        time_model(m, &o, getenv("NN_STEPS") != NULL);
        nn_model_close(&m);
        return 0;
    }
    if (strcmp(argv[1], "write") == 0) {
        write_model(m, argv[3]);
        nn_model_close(&m);
        return 0;
    }
    bool training = strcmp(argv[1], "train") == 0;
    if (argc < (training ? 9 : 5)) {
        fprintf(stderr, "usage: see the top of nn_run.c\n");
        return 2;
    }
    o.mode = training ? NN_TRAIN : NN_INFER;
    o.batch = argc > 5 ? atoi(argv[5]) : 1;
    o.bn_mode = bn_mode_of(training ? argv[6] : NULL);
    if (nn_session_open(m, &o, &s, &err))
        die(&err);
    read_views(argv[3], s, nn_model_graph(m)->input_count, nn_session_input);
    if (training) {
        char *files[] = {argv[3], argv[4], argv[7], argv[8]};
        train(m, s, files);
    } else {
        if (nn_session_forward(s, &err))
            die(&err);
        write_outputs(argv[4], s, nn_model_graph(m)->output_count);
    }
    nn_session_close(&s);
    nn_model_close(&m);
    return 0;
}
