/* bench.c - `attune bench VERB`: one measurement as a line of JSON; bench_engine.c makes many. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cores.h"
#include "bench/case.h"
#include "bench/peak.h"
#include "cmd/bench.h"

#define BATCH_MAX 1024
#define THREADS_MAX 256
#define TENSORS_MAX 100000
#define SECONDS_MAX 3600
#define MIB_MAX (1 << 20)

static const char help[] =
    "usage: attune bench VERB ...\n\n"
    "  engine [OPTIONS]         the engine on the reference networks; see its --help\n"
    "  case FILE.onnx [OPTIONS] one measurement, also of a network of yours, as a line of JSON:\n"
    "    --mode MODE            train (a step: forward, cross-entropy, backward, Adam), infer, or\n"
    "                           delta (what an update of 5 % of the weights costs\n"
    "                           a live session, and decoding it); default infer\n"
    "    --batch N              default 1\n"
    "    --threads N            on as many processors, default 1\n"
    "    --precision P          f32 (default), bf16, or int8 for infer and delta\n"
    "    --memory-limit MIB     train: of the session; above it more activations are made anew\n"
    "    --trainable N          train: only the last N trainable tensors, default all\n"
    "    --seconds X            repeated for so long, default 2\n"
    "  peak [--threads N] [--seconds X]   what the processor and its memory can do at most\n\n"
    "Exit status 1: the engine cannot do the case; the line says why.\n\n"
    "example: attune bench case student.onnx --mode train --batch 8 --threads 2\n";

/* want: 1 reads the network's file too. -1: go on; otherwise the exit status. */
static int parse(struct bench_case *c, const char *name, int want, int argc, char **argv)
{
    const char *mode = "infer", *precision = "f32", *path[1] = {NULL};
    int limit_mib = 0;
    *c = (struct bench_case){.batch = 1, .threads = 1, .seconds = 2};
    const struct cmd_option options[] = {
        {"mode", CMD_TEXT, &mode, 0, 0},
        {"batch", CMD_WHOLE, &c->batch, 1, BATCH_MAX},
        {"threads", CMD_WHOLE, &c->threads, 1, THREADS_MAX},
        {"precision", CMD_TEXT, &precision, 0, 0},
        {"trainable", CMD_WHOLE, &c->trainable_tensors, 0, TENSORS_MAX},
        {"memory-limit", CMD_WHOLE, &limit_mib, 0, MIB_MAX},
        {"seconds", CMD_NUMBER, &c->seconds, 0, SECONDS_MAX},
        {NULL, CMD_FLAG, NULL, 0, 0}};
    int code = cmd_parse(name, help, options, argc, argv, path, want, want, NULL);
    if (code >= 0)
        return code;
    c->path = path[0];
    c->memory_limit_bytes = (size_t)limit_mib << 20;
    c->mode = bench_mode_parse(mode);
    c->precision = bench_precision_parse(precision);
    if (!c->mode)
        return cmd_usage(name, "--mode is train, infer or delta, not '%s'", mode);
    if (!c->precision)
        return cmd_usage(name, "the engine computes in f32, bf16 or int8, not in '%s'", precision);
    return -1;
}

/* Takes the reference; CMD_FAILED without memory. */
static int print_line(json_t *o)
{
    if (!o || json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) != 0)
        return CMD_FAILED;
    json_decref(o);
    return putchar('\n') == EOF ? CMD_FAILED : CMD_OK;
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void set_real(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, json_real(value));
}

static json_t *result_json(const struct bench_case *c, const struct bench_result *r)
{
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:s, s:i, s:i}", "engine", "attune", "mode",
                          bench_mode_name(c->mode), "batch", c->batch, "threads", c->threads,
                          "precision", bench_precision_name(c->precision), "trainable",
                          c->trainable_tensors, "runs", r->runs);
    set_real(o, "ms", r->ms);
    set_real(o, "best_ms", r->best_ms);
    if (c->mode == BENCH_DELTA) {
        set_real(o, "apply_ms", r->ms);
        set_real(o, "decode_ms", r->decode_ms);
        set_real(o, "frame_ms", r->frame_ms);
    }
    set_real(o, "open_ms", r->open_ms);
    set_real(o, "gflop", r->gflop);
    set_real(o, "session_mib", mib(r->session_bytes));
    set_real(o, "rss_mib", mib(r->rss_bytes));
    set_real(o, "peak_rss_mib", mib(r->peak_rss_bytes));
    return o;
}

static void set_rate(json_t *o, const char *key, struct bench_rate rate)
{
    char best[32];
    snprintf(best, sizeof best, "%s_best", key);
    set_real(o, key, rate.median);
    set_real(o, best, rate.best);
}

static int run_case(int argc, char **argv)
{
    struct bench_case c;
    struct bench_result r;
    struct error err = {0};
    int code = parse(&c, "bench case", 1, argc, argv);
    if (code >= 0)
        return code;
    if (c.trainable_tensors && c.mode != BENCH_TRAIN)
        return cmd_usage("bench case", "--trainable needs --mode train");
    enum status st = cores_pin_some(c.threads, &err);
    if (!st)
        st = bench_case_run(&c, &r, &err);
    if (st == ST_UNSUPPORTED) {
        print_line(json_pack("{s:s}", "unsupported", err.message));
        return CMD_NO;
    }
    return st ? cmd_fail("bench case", &err) : print_line(result_json(&c, &r));
}

static int run_peak(int argc, char **argv)
{
    struct bench_case c;
    struct bench_peak p;
    struct error err = {0};
    int code = parse(&c, "bench peak", 0, argc, argv);
    if (code >= 0)
        return code;
    enum status st = cores_pin_some(c.threads, &err);
    if (!st)
        st = bench_peak_measure(c.threads, c.seconds, &p, &err);
    if (st)
        return cmd_fail("bench peak", &err);
    json_t *o = json_pack("{s:i}", "threads", c.threads);
    set_rate(o, "f32_gflops", p.f32_gflops);
    set_rate(o, "bf16_gflops", p.bf16_gflops);
    set_rate(o, "copy_gbps", p.copy_gbps);
    set_rate(o, "read_gbps", p.read_gbps);
    return print_line(o);
}

static const struct cmd_sub verbs[] = {
    {"engine", cmd_bench_engine}, {"case", run_case}, {"peak", run_peak}, {NULL, NULL}};

int bench_verbs(int argc, char **argv)
{
    return cmd_sub_run("bench", help, verbs, argc, argv);
}
