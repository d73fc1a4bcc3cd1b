/* eval.c - `attune eval`: flags to options, progress, table, JSON, chart. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "cmd/eval.h"
#include "eval/report.h"
#include "train/recipe.h"

#define NAME "eval"

struct eval_args {
    struct eval_options options;
    enum eval_mode modes[EVAL_MODE_COUNT];
    const char *plot;
    bool json, quiet;
};

static const char help_text[] =
    "usage: attune eval --source VIDEO|DIR|town:... --student S.onnx --teacher T.onnx [OPTIONS]\n"
    "       attune eval --fleet SCENARIO.yaml [OPTIONS]     (attune eval --fleet X --help)\n"
    "\n"
    "Runs the whole loop (sample, encode, label, train, gate, delta, swap) over a recording under\n"
    "a virtual clock, several modes side by side, and prints how accurate each one was.\n"
    "\n"
    "  --source PATH         a video, a directory of images, or a camera of the synthetic town,\n"
    "                        town:camera=0,seed=1,scenario=demo,width=320,height=192,fps=15\n"
    "  --fps N               frames scored a second; the rate of a directory (default 1)\n"
    "  --labels DIR|FILE     ground truth: NAME_label.png for NAME.jpg (default: beside it); to\n"
    "                        classify, a CSV file of \"file,class\" (default: folders are "
    "classes);\n"
    "                        boxes of a video's frames: a CSV file of \"frame,x,y,w,h\"\n"
    "  --regions LIST        to classify parts of the picture: X0,Y0,X1,Y1;... as fractions of "
    "its\n"
    "                        sides (default: whole pictures; of the town what is in its boxes)\n"
    "  --class-map FILE      from the network's classes to the labels', models/class-maps/\n"
    "  --student, --teacher FILE\n"
    "  --mode LIST           none,one-time,full,ams,attune (default: all of them)\n"
    "  --uplink-kbps N       budget and rate of the uplink (default 300)\n"
    "  --downlink-kbps N     rate of the downlink (default 300)\n"
    "  --train-steps-per-s N what the server's trainer does (default 20); costs are charged in "
    "steps\n"
    "  --recipe NAME=VALUE,...  how attune (and full) learn; names: attune eval --help-recipe\n"
    "  --seconds N           stop after N seconds of the source\n"
    "  --seed N              of everything random (default 1)\n"
    "  --threads N           of inference and training (default 1)\n"
    "  --json                the result as JSON on standard output\n"
    "  --plot FILE.png       accuracy over time\n"
    "  --quiet               no progress bar\n"
    "\n"
    "example: attune eval --source drive/ --fps 1 --class-map models/class-maps/"
    "cityscapes-to-camvid.yaml \\\n"
    "                     --student s0.5.onnx --teacher s2.0.onnx --plot drive.png\n";

enum {
    OPT_BASE = 256,
    OPT_SOURCE,
    OPT_FPS,
    OPT_LABELS,
    OPT_REGIONS,
    OPT_CLASS_MAP,
    OPT_STUDENT,
    OPT_TEACHER,
    OPT_MODE,
    OPT_UPLINK,
    OPT_DOWNLINK,
    OPT_STEPS,
    OPT_SECONDS,
    OPT_SEED,
    OPT_THREADS,
    OPT_JSON,
    OPT_PLOT,
    OPT_QUIET,
    OPT_RECIPE,
    OPT_HELP,
    OPT_HELP_RECIPE
};

static const struct option long_options[] = {
    {"source", required_argument, NULL, OPT_SOURCE},
    {"fps", required_argument, NULL, OPT_FPS},
    {"labels", required_argument, NULL, OPT_LABELS},
    {"regions", required_argument, NULL, OPT_REGIONS},
    {"class-map", required_argument, NULL, OPT_CLASS_MAP},
    {"student", required_argument, NULL, OPT_STUDENT},
    {"teacher", required_argument, NULL, OPT_TEACHER},
    {"mode", required_argument, NULL, OPT_MODE},
    {"uplink-kbps", required_argument, NULL, OPT_UPLINK},
    {"downlink-kbps", required_argument, NULL, OPT_DOWNLINK},
    {"train-steps-per-s", required_argument, NULL, OPT_STEPS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"json", no_argument, NULL, OPT_JSON},
    {"plot", required_argument, NULL, OPT_PLOT},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"recipe", required_argument, NULL, OPT_RECIPE},
    {"help", no_argument, NULL, OPT_HELP},
    {"help-recipe", no_argument, NULL, OPT_HELP_RECIPE},
    {NULL, 0, NULL, 0},
};

static bool parse_modes(const char *list, struct eval_args *a)
{
    a->options.mode_count = 0;
    for (const char *p = list;; p++) {
        char name[16];
        size_t n = strcspn(p, ",");
        if (n >= sizeof name || a->options.mode_count == EVAL_MODE_COUNT)
            return false;
        memcpy(name, p, n);
        name[n] = '\0';
        enum eval_mode mode = eval_mode_parse(name);
        if (mode == EVAL_MODE_COUNT)
            return false;
        a->modes[a->options.mode_count++] = mode;
        p += n;
        if (!*p)
            return true;
    }
}

static bool set_number(struct eval_args *a, int option, const char *text)
{
    struct eval_options *o = &a->options;
    const char *flag = long_options[option - OPT_SOURCE].name;
    double v;
    switch (option) {
    case OPT_FPS:
        return cmd_number(NAME, flag, text, 0.01, 240, &o->fps);
    case OPT_UPLINK:
        return cmd_number(NAME, flag, text, 1, 1e6, &o->uplink_kbps);
    case OPT_DOWNLINK:
        return cmd_number(NAME, flag, text, 1, 1e6, &o->downlink_kbps);
    case OPT_STEPS:
        return cmd_number(NAME, flag, text, 0.01, 1e6, &o->train_steps_per_s);
    case OPT_SECONDS:
        return cmd_number(NAME, flag, text, 0, 1e6, &o->seconds);
    case OPT_SEED:
        if (!cmd_number(NAME, flag, text, 0, 9e15, &v))
            return false;
        o->seed = (uint64_t)v;
        return true;
    default:
        return cmd_whole(NAME, flag, text, 1, 256, &o->threads);
    }
}

static bool set_option(struct eval_args *a, int option, const char *text)
{
    struct eval_options *o = &a->options;
    switch (option) {
    case OPT_SOURCE:
        o->source = text;
        return true;
    case OPT_LABELS:
        o->labels_dir = text;
        return true;
    case OPT_REGIONS:
        o->regions = text;
        return true;
    case OPT_CLASS_MAP:
        o->class_map = text;
        return true;
    case OPT_STUDENT:
        o->student = text;
        return true;
    case OPT_TEACHER:
        o->teacher = text;
        return true;
    case OPT_RECIPE:
        o->recipe = text;
        return true;
    case OPT_MODE:
        if (parse_modes(text, a))
            return true;
        cmd_usage(NAME, "--mode is a list of none, one-time, full, ams, attune, not '%s'", text);
        return false;
    case OPT_PLOT:
        a->plot = text;
        return true;
    case OPT_JSON:
        return a->json = true;
    case OPT_QUIET:
        return a->quiet = true;
    default:
        return set_number(a, option, text);
    }
}

static void print_help(bool of_recipe)
{
    if (of_recipe)
        cmd_text(recipe_write_help);
    else
        cmd_help(help_text);
}

/* CMD_OK to go on, else the exit status; *ret_help: help was asked for and printed. */
static int parse_args(int argc, char **argv, struct eval_args *a, bool *ret_help)
{
    *a = (struct eval_args){0};
    eval_options_init(&a->options);
    a->options.modes = a->modes;
    parse_modes("none,one-time,full,ams,attune", a);
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == OPT_HELP || option == OPT_HELP_RECIPE) {
            print_help(option == OPT_HELP_RECIPE);
            *ret_help = true;
            return CMD_OK;
        }
        if (option == '?')
            return cmd_usage(NAME, "cannot read the options");
        if (!set_option(a, option, optarg))
            return CMD_USAGE;
    }
    if (optind < argc)
        return cmd_usage(NAME, "unexpected '%s'", argv[optind]);
    if (!a->options.source || !a->options.student || !a->options.teacher)
        return cmd_usage(NAME, "--source, --student and --teacher are needed");
    return CMD_OK;
}

static void on_progress(void *user, uint64_t frames, uint64_t total, const char *note)
{
    struct progress *p = user;
    p->total = total;
    progress_update(p, frames, note, clock_mono_us());
}

static int print_result(const struct eval_args *a, const struct eval_result *r)
{
    if (a->json) {
        json_t *o = report_json(r);
        if (!o)
            return CMD_FAILED;
        json_object_set_new(o, "seed", json_integer((json_int_t)a->options.seed));
        json_object_set_new(o, "commit", json_string(cmd_commit()));
        json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(o);
        return CMD_OK;
    }
    struct buf text;
    buf_init(&text);
    report_table(r, &text);
    fwrite(text.data, 1, text.size_bytes, stdout);
    buf_clear(&text);
    printf("%s, %.0f s, seed %llu, attune %s\n", a->options.source, r->duration_s,
           (unsigned long long)a->options.seed, cmd_commit());
    return CMD_OK;
}

static bool is_fleet(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--fleet") == 0 || strncmp(argv[i], "--fleet=", 8) == 0)
            return true;
    return false;
}

int cmd_eval(int argc, char **argv)
{
    if (is_fleet(argc, argv))
        return eval_fleet(argc, argv);
    struct eval_args a;
    bool help = false;
    int code = parse_args(argc, argv, &a, &help);
    if (code != CMD_OK || help)
        return code;
    struct progress bar;
    progress_init(&bar, "eval", 0, a.quiet, clock_mono_us());
    struct eval_result result = {0};
    struct error err = {0};
    enum status st = eval_run(&a.options, on_progress, &bar, &result, &err);
    progress_clear(&bar);
    if (st == ST_OK && a.plot)
        st = report_plot(&result, a.options.source, a.plot, &err);
    code = st == ST_OK ? print_result(&a, &result) : cmd_fail(NAME, &err);
    eval_result_clear(&result);
    return code;
}
