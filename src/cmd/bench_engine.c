/* bench_engine.c - `attune bench engine`: which cases, or the networks as files. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "base/file.h"
#include "cmd/bench.h"
#include "cmd/bench_rounds.h"
#include "cmd/model.h"

#define NAME "bench engine"
#define CHOICES_MAX 8
#define ROUNDS_MAX 1000
#define SECONDS_MAX 3600
#define BATCH_MAX 1024

static const char help[] =
    "usage: attune bench engine [OPTIONS]\n\n"
    "Measures the engine on its reference networks, next to what this machine can do at most. "
    "Each\n"
    "case runs in a process of its own, on as many processors as it has threads; all cases take\n"
    "turns, and medians over the rounds are told.\n\n"
    "  --networks LIST   of tiny, seg, segr, resnet18; default all\n"
    "  --cases LIST      of train, frozen (only the last block trains), infer (batch 1), delta "
    "(an\n"
    "                    update of 5 % of the weights, against a frame); default all\n"
    "  --threads LIST    default 1,2\n"
    "  --precision LIST  of f32, bf16, int8 (inference only); default the first two, where the\n"
    "                    processor has them\n"
    "  --rounds N        default 5\n"
    "  --seconds X       of each case in each round, default 2\n"
    "  --batch N         of training, default the network's own\n"
    "  --json            the report as JSON\n"
    "  --quiet           no progress bar\n"
    "  --export FOLDER   measure nothing: write the networks as ONNX files, and networks.json\n\n"
    "example: attune bench engine --networks seg --threads 1\n"
    "         bench/engine.sh compares the same networks with PyTorch and ONNX Runtime\n";

static const char *const case_names[] = {"train", "frozen", "infer", "delta"};
enum { CASE_TRAIN, CASE_FROZEN, CASE_INFER, CASE_DELTA, CASE_COUNT };

struct arguments {
    const struct bench_network *networks[CHOICES_MAX];
    int threads[CHOICES_MAX];
    enum nn_precision precisions[CHOICES_MAX];
    int network_count, thread_count, precision_count;
    bool cases[CASE_COUNT];
    bool json, quiet;
    int rounds, batch;
    double seconds;
    const char *export;
};

/* --- what the user chose --- */

static bool take_network(struct arguments *a, const char *name)
{
    const struct bench_network *n = bench_network_find(name);
    if (!n)
        cmd_usage(NAME, "there is no reference network '%s'", name);
    else
        a->networks[a->network_count++] = n;
    return n != NULL;
}

static bool take_case(struct arguments *a, const char *name)
{
    for (int i = 0; i < CASE_COUNT; i++)
        if (strcmp(name, case_names[i]) == 0)
            return a->cases[i] = true;
    cmd_usage(NAME, "--cases takes train, frozen, infer and delta, not '%s'", name);
    return false;
}

static bool take_threads(struct arguments *a, const char *text)
{
    return cmd_whole(NAME, "threads", text, 1, cores_usable_count(),
                     &a->threads[a->thread_count++]);
}

static bool take_precision(struct arguments *a, const char *name)
{
    enum nn_precision p = bench_precision_parse(name);
    if (!p)
        cmd_usage(NAME, "the engine computes in f32, bf16 or int8, not in '%s'", name);
    else
        a->precisions[a->precision_count++] = p;
    return p != 0;
}

/* Calls take for each item of a comma-separated list. */
static bool take_list(struct arguments *a, const char *flag, const char *list,
                      bool (*take)(struct arguments *a, const char *item))
{
    char item[32];
    for (int count = 0;; count++) {
        size_t n = strcspn(list, ",");
        if (n == 0 || n >= sizeof item || count == CHOICES_MAX) {
            cmd_usage(NAME, "--%s takes up to %d names or numbers with commas between them", flag,
                      CHOICES_MAX);
            return false;
        }
        snprintf(item, sizeof item, "%.*s", (int)n, list);
        if (!take(a, item))
            return false;
        if (!list[n])
            return true;
        list += n + 1;
    }
}

static void choose_defaults(struct arguments *a)
{
    int all;
    const struct bench_network *n = bench_networks(&all);
    for (int i = 0; a->network_count == 0 && i < all; i++)
        a->networks[i] = &n[i];
    if (a->network_count == 0)
        a->network_count = all;
    if (a->thread_count == 0) {
        a->threads[a->thread_count++] = 1;
        if (cores_usable_count() > 1)
            a->threads[a->thread_count++] = 2;
    }
    if (a->precision_count == 0) {
        a->precisions[a->precision_count++] = NN_PRECISION_F32;
        if (nn_precision_is_native(NN_PRECISION_BF16))
            a->precisions[a->precision_count++] = NN_PRECISION_BF16;
    }
}

static bool take_lists(struct arguments *a, const char *networks, const char *cases,
                       const char *threads, const char *precisions)
{
    return (!networks || take_list(a, "networks", networks, take_network)) &&
           take_list(a, "cases", cases, take_case) &&
           (!threads || take_list(a, "threads", threads, take_threads)) &&
           (!precisions || take_list(a, "precision", precisions, take_precision));
}

/* -1: go on; otherwise the exit status. */
static int parse(struct arguments *a, int argc, char **argv)
{
    const char *networks = NULL, *cases = "train,frozen,infer,delta", *threads = NULL;
    const char *precisions = NULL;
    *a = (struct arguments){.rounds = 5, .seconds = 2};
    const struct cmd_option options[] = {{"networks", CMD_TEXT, &networks, 0, 0},
                                         {"cases", CMD_TEXT, &cases, 0, 0},
                                         {"threads", CMD_TEXT, &threads, 0, 0},
                                         {"precision", CMD_TEXT, &precisions, 0, 0},
                                         {"rounds", CMD_WHOLE, &a->rounds, 1, ROUNDS_MAX},
                                         {"seconds", CMD_NUMBER, &a->seconds, 0, SECONDS_MAX},
                                         {"batch", CMD_WHOLE, &a->batch, 1, BATCH_MAX},
                                         {"json", CMD_FLAG, &a->json, 0, 0},
                                         {"quiet", CMD_FLAG, &a->quiet, 0, 0},
                                         {"export", CMD_TEXT, &a->export, 0, 0},
                                         {NULL, CMD_FLAG, NULL, 0, 0}};
    int code = cmd_parse(NAME, help, options, argc, argv, NULL, 0, 0, NULL);
    if (code >= 0)
        return code;
    if (!take_lists(a, networks, cases, threads, precisions))
        return CMD_USAGE;
    choose_defaults(a);
    return -1;
}

/* --- the cases --- */

static void add_row(struct bench_rows *r, const struct bench_row *row)
{
    if (r->count < BENCH_ROWS_MAX)
        r->row[r->count++] = *row;
}

static void add_cases(const struct arguments *a, const struct bench_network *n, int threads,
                      enum nn_precision precision, struct bench_rows *r)
{
    struct bench_row row = {.network = n, .precision = precision, .threads = threads, .batch = 1};
    row.mode = BENCH_INFER;
    if (a->cases[CASE_INFER])
        add_row(r, &row);
    row.mode = BENCH_DELTA;
    if (a->cases[CASE_DELTA])
        add_row(r, &row);
    row.mode = BENCH_TRAIN;
    row.batch = a->batch ? a->batch : n->batch;
    if (a->cases[CASE_TRAIN])
        add_row(r, &row);
    row.frozen = true;
    if (a->cases[CASE_FROZEN] && n->head_tensors)
        add_row(r, &row);
}

static void add_rows(const struct arguments *a, struct bench_rows *r)
{
    for (int t = 0; t < a->thread_count; t++) {
        add_row(r, &(struct bench_row){.threads = a->threads[t]});
        for (int n = 0; n < a->network_count; n++)
            for (int p = 0; p < a->precision_count; p++)
                add_cases(a, a->networks[n], a->threads[t], a->precisions[p], r);
    }
}

static int measure(const struct arguments *a)
{
    struct error err = {0};
    struct bench_rows *r = calloc(1, sizeof *r);
    if (!r)
        return CMD_FAILED;
    r->rounds = a->rounds;
    r->seconds = a->seconds;
    add_rows(a, r);
    int code = CMD_OK;
    if (bench_rounds_run(r, a->quiet, &err) != ST_OK)
        code = cmd_fail(NAME, &err);
    else if (a->json)
        code = cmd_json(NAME, bench_report_json(r));
    else
        bench_report_print(r);
    bench_rows_clear(r);
    free(r);
    return code;
}

/* --- the networks as files --- */

/* What bench/engine.sh needs to know of a network. */
static json_t *network_json(const struct bench_network *n, const struct nn_model *m,
                            double train_flops)
{
    char file[64];
    snprintf(file, sizeof file, "%s.onnx", n->name);
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:f, s:f}", "name", n->name, "file", file,
                     "height", n->height, "width", n->width, "batch", n->batch, "head_tensors",
                     n->head_tensors, "parameters", (json_int_t)nn_model_trainable_count(m),
                     "gflop", nn_model_flops(m) / 1e9, "train_gflop", train_flops / 1e9);
}

static enum status export_network(const struct bench_network *n, const char *folder, json_t *list,
                                  struct error *err)
{
    char path[PATH_MAX];
    struct nn_model *m = NULL;
    struct buf b;
    double train_flops = 0;
    buf_init(&b);
    snprintf(path, sizeof path, "%.*s/%s.onnx", PATH_MAX - 64, folder, n->name);
    enum status st = bench_network_build(n, &b, err);
    if (!st)
        st = nn_model_read(b.data, b.size_bytes, NULL, &m, err);
    if (!st)
        st = nn_model_train_flops(m, NULL, &train_flops, err);
    if (!st)
        st = file_write(path, b.data, b.size_bytes, err);
    if (!st)
        json_array_append_new(list, network_json(n, m, train_flops));
    nn_model_close(&m);
    buf_clear(&b);
    return st;
}

static int export_all(const struct arguments *a)
{
    struct error err = {0};
    char path[PATH_MAX];
    json_t *list = json_array();
    enum status st = file_mkdirs(a->export, &err);
    for (int i = 0; i < a->network_count && !st; i++)
        st = export_network(a->networks[i], a->export, list, &err);
    snprintf(path, sizeof path, "%.*s/networks.json", PATH_MAX - 64, a->export);
    char *text = json_dumps(list, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    if (!st)
        st = text ? file_write(path, text, strlen(text), &err)
                  : error_set(&err, ST_NOMEM, "no memory for %s", path);
    free(text);
    json_decref(list);
    return st ? cmd_fail(NAME, &err) : CMD_OK;
}

int cmd_bench_engine(int argc, char **argv)
{
    struct arguments a;
    int code = parse(&a, argc, argv);
    if (code >= 0)
        return code;
    return a.export ? export_all(&a) : measure(&a);
}
