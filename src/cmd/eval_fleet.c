/* eval_fleet.c - `attune eval --fleet SCENARIO.yaml`: several cameras on a budget of compute. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "cmd/eval.h"
#include "eval/fleet_report.h"

#define NAME "eval"

static const char help_text[] =
    "usage: attune eval --fleet SCENARIO.yaml [OPTIONS]\n"
    "\n"
    "Several cameras through the real pipeline (stream, infer, label, train, gate, deploy) under "
    "a\n"
    "virtual clock and a stated budget of compute, one policy after the other, and the same "
    "report\n"
    "for each. docs/formats.md says what a scenario holds; deploy/fleet-town.yaml is one.\n"
    "\n"
    "  --policy LIST       none, uniform (the four fixed baselines), uniform-c1-50 (configuration "
    "C1\n"
    "                      or C2, percentage for inference), round-robin, thief-printed, thief,\n"
    "                      attune, attune-fixed-split, attune-fixed-configuration\n"
    "                      (default: none,uniform,thief,attune); where cameras infer by "
    "themselves\n"
    "                      (deploy/fleet-districts.yaml) also independent, ekya, recl, ecco, and\n"
    "                      ours without one part: attune-no-grouping, attune-no-fairness,\n"
    "                      attune-fixed-sampling, attune-no-gaimd, attune-no-zoo; planted has the\n"
    "                      scenario's districts for groups\n"
    "  --estimates SOURCE  profile, history or blend (default: blend)\n"
    "  --cameras N         the scenario's first N cameras alone (default: all)\n"
    "  --seconds N         stop after N seconds (default: the scenario's)\n"
    "  --seed N            of everything random (default: 1)\n"
    "  --threads N         of inference and training (default: 1)\n"
    "  --json              the result as JSON on standard output\n"
    "  --plot FILE.png     accuracy over time\n"
    "  --quiet             no progress bar\n";

struct fleet_args {
    struct fleet_options options;
    struct fleet_scenario scenario;
    struct contender policies[CONTENDERS_MAX];
    int policy_count, cameras;
    const char *path, *list, *estimates, *plot;
    double seconds;
    bool json, quiet;
};

static int parse(struct fleet_args *a, int argc, char **argv)
{
    struct fleet_options *o = &a->options;
    const struct cmd_option options[] = {{"fleet", CMD_TEXT, &a->path, 0, 0},
                                         {"policy", CMD_TEXT, &a->list, 0, 0},
                                         {"cameras", CMD_WHOLE, &a->cameras, 1, FLEET_CAMERAS_MAX},
                                         {"estimates", CMD_TEXT, &a->estimates, 0, 0},
                                         {"seconds", CMD_NUMBER, &a->seconds, 10, 86400},
                                         {"seed", CMD_COUNT, &o->seed, 0, 9e15},
                                         {"threads", CMD_WHOLE, &o->threads, 1, 256},
                                         {"json", CMD_FLAG, &a->json, 0, 0},
                                         {"plot", CMD_TEXT, &a->plot, 0, 0},
                                         {"quiet", CMD_FLAG, &a->quiet, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad == CMD_OK ? -1 : bad;
    if (a->estimates && !(o->estimates = estimate_source_parse(a->estimates)))
        return cmd_usage(NAME, "--estimates takes profile, history or blend, not '%s'",
                         a->estimates);
    struct error err;
    if (contender_add_list(a->list, a->policies, &a->policy_count, &err) != ST_OK)
        return cmd_usage(NAME, "%s", err.message);
    return CMD_OK;
}

struct bar {
    struct progress progress;
    const char *policy;
    int index, count;
};

static void on_second(void *user, double second, double total)
{
    struct bar *b = user;
    b->progress.total = (uint64_t)total * (uint64_t)b->count;
    progress_update(&b->progress, (uint64_t)(second + total * b->index), b->policy,
                    clock_mono_us());
}

static int print(const struct fleet_args *a, const struct fleet_result *runs)
{
    if (a->json) {
        json_t *o = fleet_json(&a->scenario, runs, a->policy_count);
        json_object_set_new(o, "seed", json_integer((json_int_t)a->options.seed));
        json_object_set_new(o, "commit", json_string(cmd_commit()));
        return cmd_json(NAME, o);
    }
    struct buf text;
    buf_init(&text);
    fleet_table(&a->scenario, runs, a->policy_count, &text);
    fwrite(text.data, 1, text.size_bytes, stdout);
    buf_clear(&text);
    printf("\nseed %llu, attune %s\n", (unsigned long long)a->options.seed, cmd_commit());
    return CMD_OK;
}

static enum status run_all(struct fleet_args *a, struct fleet_result *runs, struct error *err)
{
    struct bar bar = {.count = a->policy_count};
    enum status st = ST_OK;
    progress_init(&bar.progress, "eval", 0, a->quiet, clock_mono_us());
    for (int i = 0; i < a->policy_count && st == ST_OK; i++) {
        bar.index = i;
        bar.policy = a->policies[i].name;
        st = fleet_run(&a->options, &a->policies[i], on_second, &bar, &runs[i], err);
    }
    progress_clear(&bar.progress);
    if (st == ST_OK && a->plot)
        st = fleet_plot(&a->scenario, runs, a->policy_count, a->plot, err);
    return st;
}

int eval_fleet(int argc, char **argv)
{
    static struct fleet_args a;
    a = (struct fleet_args){.list = "none,uniform,thief,attune"};
    fleet_options_init(&a.options);
    a.options.scenario = &a.scenario;
    int bad = parse(&a, argc, argv);
    if (bad != CMD_OK)
        return bad == -1 ? CMD_OK : bad;
    struct error err;
    if (fleet_scenario_open(a.path, &a.scenario, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    if (a.cameras > 0 && a.cameras < a.scenario.camera_count)
        a.scenario.camera_count = a.cameras;
    if (a.seconds > 0)
        a.scenario.seconds = a.seconds;
    struct fleet_result *runs = calloc(CONTENDERS_MAX, sizeof *runs);
    enum status st =
        runs ? run_all(&a, runs, &err) : error_set(&err, ST_NOMEM, "no memory for the results");
    int status = st == ST_OK ? print(&a, runs) : cmd_fail(NAME, &err);
    for (int i = 0; runs && i < CONTENDERS_MAX; i++)
        fleet_result_clear(&runs[i]);
    free(runs);
    return status;
}
