/* replay.c - `attune replay`: schedulers on measured retrainings, and the paper's worked example.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "eval/replay_report.h"

#define NAME "replay"

static const char help_text[] =
    "usage: attune replay --profiles FILE --policy P[,P] --gpus N[,N] [OPTIONS]\n"
    "       attune replay --example\n"
    "\n"
    "Compares schedulers on retrainings that were measured before (accuracy before and after, GPU\n"
    "seconds), in virtual time, through the scheduler that the server runs. Always prints the "
    "gain\n"
    "over the best and the worst fixed baseline and over no retraining.\n"
    "\n"
    "  --profiles FILE       a CSV (city,window,config,epochs,start_acc,end_acc,gpu_seconds and, "
    "for\n"
    "                        estimates, est_start_acc,est_end_acc), the JSON of one city as "
    "Ekya's\n"
    "                        simulator writes it, or a folder of those\n"
    "  --policy P[,P]        none, uniform (the four baselines), uniform-c1-50 (configuration C1 "
    "or\n"
    "                        C2, any percentage for inference), round-robin, thief-printed, "
    "thief,\n"
    "                        exhaustive (small cases), attune (default: "
    "thief-printed,thief,attune)\n"
    "  --gpus N[,N]          (default: 1,2,4,8)\n"
    "  --delta D             smallest part of a GPU that thieves move (default: 0.1)\n"
    "  --window-s S          length of a retraining window (default: 200)\n"
    "  --estimates SOURCE    plan on estimates: profile, history or blend, learned from the other\n"
    "                        cameras (default: what retrainings really bring, an oracle)\n"
    "  --share-curve FILE    throughput of a training by its share: CSV with share,throughput or\n"
    "                        gpu_percent,relative_throughput (default: linear)\n"
    "  --inference-curve FILE  accuracy left at lower frame rates: CSV with subsampling,factor or\n"
    "                        share,factor (default: inference_profiles.csv beside the profiles;\n"
    "                        without it linear)\n"
    "  --infer-gpus N        GPUs that a camera's full frame rate takes (default: 0.25)\n"
    "  --streams N           cameras, the first by name (default: 10)\n"
    "  --held-out N          cameras, the last by name, that choose C1 and C2 (default: 2)\n"
    "  --no-rerun            do not plan again when a training ends: shares are handed on\n"
    "  --no-checkpoints, --no-again, --no-gate   attune without its parts: models of unfinished\n"
    "                        trainings, a second training in a window, worse models stopped\n"
    "  --csv FILE            accuracy and shares of every camera, second by second\n"
    "  --plot FILE.png       accuracy over time\n"
    "  --example             Ekya's worked example (section 3.2), all policies\n"
    "  --json                the result as JSON on standard output\n"
    "\n"
    "example: attune replay --profiles cityscapes_profiles.csv --policy thief,attune --gpus 4,8 "
    "\\\n"
    "                       --estimates blend --plot replay.png\n";

struct replay_args {
    struct replay_options options;
    const char *policies, *gpus, *estimates, *csv, *plot;
    bool json, example, no_rerun, no_checkpoints, no_again, no_gate;
};

static int take_gpus(struct replay_args *a, const char *word)
{
    double v;
    if (!cmd_number(NAME, "gpus", word, 0.01, 10000, &v))
        return CMD_USAGE;
    if (a->options.capacity_count == REPLAY_CAPACITIES_MAX)
        return cmd_usage(NAME, "--gpus takes at most %d numbers", REPLAY_CAPACITIES_MAX);
    a->options.capacities[a->options.capacity_count++] = v;
    return CMD_OK;
}

static int read_gpus(struct replay_args *a)
{
    int bad = CMD_OK;
    for (const char *p = a->gpus; bad == CMD_OK;) {
        char word[32];
        size_t n = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        bad = take_gpus(a, word);
        if (!p[n])
            break;
        p += n + 1;
    }
    return bad;
}

static int finish_options(struct replay_args *a)
{
    struct replay_options *o = &a->options;
    o->rerun = !a->no_rerun;
    o->checkpoints = !a->no_checkpoints;
    o->again = !a->no_again;
    o->gated = !a->no_gate;
    if (a->estimates && !(o->estimates = estimate_source_parse(a->estimates)))
        return cmd_usage(NAME, "--estimates takes profile, history or blend, not '%s'",
                         a->estimates);
    if (!a->example && !o->profiles)
        return cmd_usage(NAME, "--profiles is needed (or --example)");
    struct error err;
    enum status st = contender_add_list(a->policies, o->policies, &o->policy_count, &err);
    for (int i = 0; i < o->policy_count && st == ST_OK; i++)
        if (o->policies[i].division == SHARING_MICRO)
            st = error_set(
                &err, ST_INVALID,
                "policy %s divides micro-windows among groups: attune eval --fleet has it",
                o->policies[i].name);
    if (st != ST_OK)
        return cmd_usage(NAME, "%s", err.message);
    return read_gpus(a);
}

static int parse(struct replay_args *a, int argc, char **argv)
{
    struct replay_options *o = &a->options;
    const struct cmd_option options[] = {
        {"profiles", CMD_TEXT, &o->profiles, 0, 0},
        {"policy", CMD_TEXT, &a->policies, 0, 0},
        {"gpus", CMD_TEXT, &a->gpus, 0, 0},
        {"delta", CMD_NUMBER, &o->delta, 0.001, 1},
        {"window-s", CMD_NUMBER, &o->window_s, 1, 1e6},
        {"estimates", CMD_TEXT, &a->estimates, 0, 0},
        {"share-curve", CMD_TEXT, &o->share_curve, 0, 0},
        {"inference-curve", CMD_TEXT, &o->inference_curve, 0, 0},
        {"infer-gpus", CMD_NUMBER, &o->demand, 0.001, 1000},
        {"streams", CMD_WHOLE, &o->streams, 1, TRACE_CAMERAS_MAX},
        {"held-out", CMD_WHOLE, &o->held_out, 1, TRACE_CAMERAS_MAX},
        {"no-rerun", CMD_FLAG, &a->no_rerun, 0, 0},
        {"no-checkpoints", CMD_FLAG, &a->no_checkpoints, 0, 0},
        {"no-again", CMD_FLAG, &a->no_again, 0, 0},
        {"no-gate", CMD_FLAG, &a->no_gate, 0, 0},
        {"csv", CMD_TEXT, &a->csv, 0, 0},
        {"plot", CMD_TEXT, &a->plot, 0, 0},
        {"example", CMD_FLAG, &a->example, 0, 0},
        {"json", CMD_FLAG, &a->json, 0, 0},
        {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    return bad == -1 ? finish_options(a) : bad == CMD_OK ? -1 : bad;
}

static int print_text(struct buf *text)
{
    int status = text->failed ? CMD_FAILED : CMD_OK;
    if (status == CMD_OK)
        fwrite(text->data, 1, text->size_bytes, stdout);
    buf_clear(text);
    return status;
}

static int run_example(const struct replay_args *a)
{
    struct replay_example_row rows[REPLAY_EXAMPLE_ROWS];
    struct error err;
    struct buf text;
    if (replay_example(rows, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    if (a->json)
        return cmd_json(NAME, replay_example_json(rows));
    buf_init(&text);
    replay_example_table(rows, &text);
    return print_text(&text);
}

static int print(const struct replay_args *a, const struct replay_set *set)
{
    struct buf text;
    if (a->json)
        return cmd_json(NAME, replay_json(&a->options, set));
    buf_init(&text);
    replay_table(&a->options, set, &text);
    return print_text(&text);
}

static int run_profiles(const struct replay_args *a)
{
    struct replay_seconds *seconds = NULL;
    struct error err;
    struct replay_set *set = malloc(sizeof *set);
    enum status st = set ? ST_OK : error_set(&err, ST_NOMEM, "no memory for the results");
    if (st == ST_OK && (a->csv || a->plot))
        st = replay_seconds_open(&a->options, &seconds, &err);
    if (st == ST_OK)
        st = replay_run_all(&a->options, seconds ? replay_seconds_span : NULL, seconds, set, &err);
    if (st == ST_OK && seconds)
        st = replay_seconds_write(seconds, a->csv, a->plot, &err);
    int status = st == ST_OK ? print(a, set) : cmd_fail(NAME, &err);
    replay_seconds_close(&seconds);
    free(set);
    return status;
}

int cmd_replay(int argc, char **argv)
{
    struct replay_args a = {.policies = "thief-printed,thief,attune", .gpus = "1,2,4,8"};
    replay_options_init(&a.options);
    int bad = parse(&a, argc, argv);
    if (bad != CMD_OK)
        return bad == -1 ? CMD_OK : bad;
    return a.example ? run_example(&a) : run_profiles(&a);
}
