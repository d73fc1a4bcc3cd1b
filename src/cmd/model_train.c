/* model_train.c - `attune model train`: makes one of the starter networks from nothing. */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "task/nets.h"
#include "train/pretrain.h"

#define NAME "model train"

static const char help[] =
    "usage: attune model train --network student|teacher --out FILE.onnx [OPTIONS]\n\n"
    "Trains a segmentation network for the synthetic town from nothing, scores it on towns that "
    "it\n"
    "never saw, in every condition, and writes it as ONNX.\n\n"
    "  --network KIND      student (0.2 M parameters, for a camera) or teacher (2.3 M)\n"
    "  --out FILE          the ONNX file to write\n"
    "  --conditions SET    what it sees: clear (default for the student) or all (for the teacher)\n"
    "  --steps N           optimiser steps, default 1000\n"
    "  --batch N           pictures a step, default 8\n"
    "  --learning-rate X   highest rate of Adam, default 0.002; warm-up, then a half cosine\n"
    "  --color-jitter X    0 to 1: pictures of cameras with other exposure and colours, default 0\n"
    "  --seed N            initial weights and everything drawn, default 1\n"
    "  --size WxH          of the pictures, multiples of 16, default 320x192\n"
    "  --threads N         default 1\n"
    "  --checkpoint FILE   saved every --save-every steps (default 250)\n"
    "  --resume            continue from --checkpoint where it exists\n"
    "  --frames N          scored in each condition at the end, default 48\n"
    "  --score FILE.onnx   train nothing: score this network\n"
    "  --json              the scores as JSON on standard output\n\n"
    "example: attune model train --network student --steps 3000 --out student.onnx\n";

struct arguments {
    struct net_options net;
    struct pretrain_options train;
    const char *out, *checkpoint, *score;
    uint64_t save_every;
    int frames;
    bool resume, json;
};

enum option_id {
    OPTION_NETWORK = 256,
    OPTION_OUT,
    OPTION_CONDITIONS,
    OPTION_STEPS,
    OPTION_BATCH,
    OPTION_RATE,
    OPTION_JITTER,
    OPTION_SEED,
    OPTION_SIZE,
    OPTION_THREADS,
    OPTION_CHECKPOINT,
    OPTION_SAVE_EVERY,
    OPTION_RESUME,
    OPTION_FRAMES,
    OPTION_SCORE,
    OPTION_JSON
};

static const struct option options[] = {{"network", required_argument, NULL, OPTION_NETWORK},
                                        {"out", required_argument, NULL, OPTION_OUT},
                                        {"conditions", required_argument, NULL, OPTION_CONDITIONS},
                                        {"steps", required_argument, NULL, OPTION_STEPS},
                                        {"batch", required_argument, NULL, OPTION_BATCH},
                                        {"learning-rate", required_argument, NULL, OPTION_RATE},
                                        {"color-jitter", required_argument, NULL, OPTION_JITTER},
                                        {"seed", required_argument, NULL, OPTION_SEED},
                                        {"size", required_argument, NULL, OPTION_SIZE},
                                        {"threads", required_argument, NULL, OPTION_THREADS},
                                        {"checkpoint", required_argument, NULL, OPTION_CHECKPOINT},
                                        {"save-every", required_argument, NULL, OPTION_SAVE_EVERY},
                                        {"resume", no_argument, NULL, OPTION_RESUME},
                                        {"frames", required_argument, NULL, OPTION_FRAMES},
                                        {"score", required_argument, NULL, OPTION_SCORE},
                                        {"json", no_argument, NULL, OPTION_JSON},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static bool take_size(struct arguments *a, const char *text)
{
    int w, h, used = 0;
    if (sscanf(text, "%dx%d%n", &w, &h, &used) != 2 || text[used] || w < 64 || h < 64 || w > 1024 ||
        h > 1024 || w % NET_SIZE_MULTIPLE || h % NET_SIZE_MULTIPLE) {
        cmd_usage(NAME, "--size takes WIDTHxHEIGHT, multiples of 16 from 64 to 1024, not '%s'",
                  text);
        return false;
    }
    a->net.width = w;
    a->net.height = h;
    return true;
}

static bool take_number(struct arguments *a, int id, const char *text)
{
    double v = 0;
    bool ok = true;
    switch (id) {
    case OPTION_STEPS:
        ok = cmd_number(NAME, "steps", text, 1, PRETRAIN_STEPS_MAX, &v);
        a->train.steps = (uint64_t)v;
        break;
    case OPTION_BATCH:
        ok = cmd_number(NAME, "batch", text, 1, 64, &v);
        a->train.batch = (int)v;
        break;
    case OPTION_RATE:
        ok = cmd_number(NAME, "learning-rate", text, 1e-6, 0.5, &v);
        a->train.learning_rate = (float)v;
        break;
    case OPTION_JITTER:
        ok = cmd_number(NAME, "color-jitter", text, 0, 1, &v);
        a->train.color_jitter = (float)v;
        break;
    case OPTION_SEED:
        ok = cmd_number(NAME, "seed", text, 0, 9e15, &v);
        a->train.seed = a->net.seed = (uint64_t)v;
        break;
    case OPTION_THREADS:
        ok = cmd_number(NAME, "threads", text, 1, 256, &v);
        a->train.threads = (int)v;
        break;
    case OPTION_SAVE_EVERY:
        ok = cmd_number(NAME, "save-every", text, 1, PRETRAIN_STEPS_MAX, &v);
        a->save_every = (uint64_t)v;
        break;
    default:
        ok = cmd_number(NAME, "frames", text, 1, 100000, &v);
        a->frames = (int)v;
        break;
    }
    return ok;
}

static bool take_option(struct arguments *a, int id, const char *text)
{
    switch (id) {
    case OPTION_NETWORK:
        a->net.kind = net_parse(text);
        if (!a->net.kind)
            cmd_usage(NAME, "--network is student or teacher, not '%s'", text);
        return a->net.kind != 0;
    case OPTION_OUT:
        a->out = text;
        return true;
    case OPTION_CONDITIONS:
        a->train.scenario = text;
        if (strcmp(text, "clear") != 0 && strcmp(text, "all") != 0) {
            cmd_usage(NAME, "--conditions is clear or all, not '%s'", text);
            return false;
        }
        return true;
    case OPTION_SIZE:
        return take_size(a, text);
    case OPTION_CHECKPOINT:
        a->checkpoint = text;
        return true;
    case OPTION_RESUME:
        return a->resume = true;
    case OPTION_SCORE:
        a->score = text;
        return true;
    case OPTION_JSON:
        return a->json = true;
    default:
        return take_number(a, id, text);
    }
}

/* -1: go on; otherwise the exit status. */
static int parse(struct arguments *a, int argc, char **argv)
{
    pretrain_options_init(&a->train);
    a->train.scenario = NULL;
    a->net = (struct net_options){.width = 320,
                                  .height = 192,
                                  .class_count = TOWN_CLASS_COUNT,
                                  .class_names = town_class_names,
                                  .seed = 1};
    a->save_every = 250;
    a->frames = 48;
    optind = 1;
    for (int id; (id = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (id == 'h') {
            fputs(help, stdout);
            return CMD_OK;
        }
        if (id == '?' || !take_option(a, id, optarg))
            return CMD_USAGE;
    }
    if (optind < argc)
        return cmd_usage(NAME, "'%s' is one argument too many", argv[optind]);
    if (a->score)
        return -1;
    if (!a->net.kind || !a->out)
        return cmd_usage(NAME, "--network and --out are needed");
    if (a->resume && !a->checkpoint)
        return cmd_usage(NAME, "--resume needs --checkpoint");
    if (!a->train.scenario)
        a->train.scenario = a->net.kind == NET_TEACHER ? "all" : "clear";
    a->net.trained_on = strcmp(a->train.scenario, "all") == 0
                            ? "attune's synthetic town, all conditions"
                            : "attune's synthetic town, clear days only";
    return -1;
}

static json_t *score_json(const struct pretrain_trial *t, const struct pretrain_score *s)
{
    json_t *classes = json_object();
    for (int c = 0; c < TOWN_CLASS_COUNT; c++)
        json_object_set_new(classes, town_class_names[c],
                            isnan(s->class_iou[c]) ? json_null() : json_real(s->class_iou[c]));
    return json_pack("{s:s, s:f, s:i, s:o}", "condition", t->name, "miou", s->miou, "frames",
                     s->frames, "iou", classes);
}

static void print_score(const struct pretrain_trial *t, const struct pretrain_score *s)
{
    printf("%-12s %6.1f", t->name, 100 * s->miou);
    for (int c = 0; c < TOWN_CLASS_COUNT; c++)
        if (isnan(s->class_iou[c]))
            printf("%9s", "-");
        else
            printf("%9.1f", 100 * s->class_iou[c]);
    printf("\n");
}

/* The table: mIoU and IoU of each class, in percent, by condition. */
static enum status report(const struct arguments *a, const struct nn_model *m, const float *params,
                          struct error *err)
{
    json_t *list = json_array();
    struct progress bar;
    progress_init(&bar, "scoring", PRETRAIN_TRIAL_COUNT, a->json, clock_mono_us());
    if (!a->json) {
        printf("%-12s %6s", "condition", "mIoU");
        for (int c = 0; c < TOWN_CLASS_COUNT; c++)
            printf("%9s", town_class_names[c]);
        printf("\n");
    }
    enum status st = ST_OK;
    for (int i = 0; i < PRETRAIN_TRIAL_COUNT && st == ST_OK; i++) {
        const struct pretrain_trial *t = &pretrain_trials[i];
        struct pretrain_score s;
        progress_update(&bar, (uint64_t)i, t->name, clock_mono_us());
        st = pretrain_evaluate(m, params, t, a->frames, a->train.threads, &s, err);
        progress_clear(&bar);
        if (st == ST_OK && a->json)
            json_array_append_new(list, score_json(t, &s));
        else if (st == ST_OK)
            print_score(t, &s);
    }
    if (st == ST_OK && a->json) {
        json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(4));
        printf("\n");
    }
    json_decref(list);
    return st;
}

static enum status run_steps(const struct arguments *a, struct pretrain *p, struct error *err)
{
    struct progress bar;
    progress_init(&bar, "training", a->train.steps, false, clock_mono_us());
    struct pretrain_step s = {0};
    enum status st;
    while ((st = pretrain_advance(p, &s, err)) == ST_OK) {
        char note[64];
        snprintf(note, sizeof note, "loss %.3f  mIoU %.1f %%", s.loss, 100 * s.miou);
        progress_update(&bar, s.step, note, clock_mono_us());
        if (a->checkpoint && (s.step % a->save_every == 0 || s.step == a->train.steps)) {
            st = pretrain_save(p, a->checkpoint, err);
            if (st != ST_OK)
                break;
            if (!isatty(STDERR_FILENO))
                fprintf(stderr, "step %llu: %s\n", (unsigned long long)s.step, note);
        }
    }
    progress_clear(&bar);
    return st == ST_END ? ST_OK : st;
}

static enum status write_model(const struct arguments *a, const struct nn_model *m,
                               const float *params, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = nn_model_write(m, params, &bytes, err);
    if (st == ST_OK)
        st = file_write(a->out, bytes.data, bytes.size_bytes, err);
    buf_clear(&bytes);
    return st;
}

static enum status train(const struct arguments *a, const struct nn_model *m, struct error *err)
{
    struct pretrain *p = NULL;
    enum status st = pretrain_open(m, &a->train, &p, err);
    if (st == ST_OK && a->resume && access(a->checkpoint, F_OK) == 0)
        st = pretrain_resume(p, a->checkpoint, err);
    if (st == ST_OK)
        st = run_steps(a, p, err);
    if (st == ST_OK)
        st = write_model(a, m, pretrain_params(p), err);
    if (st == ST_OK)
        st = report(a, m, pretrain_params(p), err);
    pretrain_close(&p);
    return st;
}

int cmd_model_train(int argc, char **argv)
{
    struct arguments a = {.out = NULL};
    int rc = parse(&a, argc, argv);
    if (rc >= 0)
        return rc;
    struct error err = {0};
    struct nn_model *m = NULL;
    struct buf bytes;
    buf_init(&bytes);
    enum status st;
    if (a.score) {
        st = nn_model_open(a.score, NULL, &m, &err);
    } else {
        st = net_build(&a.net, &bytes, &err);
        if (st == ST_OK)
            st = nn_model_read(bytes.data, bytes.size_bytes, NULL, &m, &err);
    }
    if (st == ST_OK)
        st = a.score ? report(&a, m, NULL, &err) : train(&a, m, &err);
    nn_model_close(&m);
    buf_clear(&bytes);
    return st == ST_OK ? CMD_OK : cmd_fail(NAME, &err);
}
