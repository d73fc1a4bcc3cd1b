/* explain.c - `attune explain schedule`: why each camera has the compute that it has. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"

#define NAME "explain"

static const char help_text[] =
    "usage: attune explain schedule [--server URL] [OPTIONS]\n"
    "\n"
    "Shows the plan that the server follows now: what each camera gets for inference and for "
    "training,\n"
    "under which configuration, what that is expected to bring, and why.\n"
    "\n"
    "  --server URL   of the server (default: http://127.0.0.1:8080)\n"
    "  --ca FILE      certificate of the server (STATE/tls/cert.pem there)\n"
    "  --insecure     do not check the certificate\n"
    "  --file FILE    a saved answer of GET /v1/schedule instead of a server; - for standard "
    "input\n"
    "  --json         the answer as it is\n";

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *text(const json_t *o, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : otherwise;
}

static void print_head(const json_t *o)
{
    double capacity = number(o, "capacity"), t_us = number(o, "t_us");
    double age_s = ((double)clock_wall_us() - t_us) / 1e6;
    printf("policy %s; planned", text(o, "policy", "?"));
    if (age_s >= 0 && age_s < 1e6)
        printf(" %.0f s ago", age_s);
    printf(" (%s) for %.0f s, %g processor%s\n", text(o, "event", "?"), number(o, "left_s"),
           capacity, capacity == 1 ? "" : "s");
    printf(
        "expected accuracy %.1f %%, without training %.1f %%; below their floor: %.0f; %.0f plans "
        "compared in %.1f ms\n\n",
        100 * number(o, "expected"), 100 * number(o, "expected_untrained"),
        number(o, "below_floor"), number(o, "evaluations"), number(o, "plan_ms"));
}

static void print_training(const json_t *c)
{
    if (!json_is_string(json_object_get(c, "configuration"))) {
        printf("%-16s %18s", "-", "");
        return;
    }
    printf("%-16.16s %3.0f to %3.0f s, %4.1f %%", text(c, "configuration", "-"),
           number(c, "start_s"), number(c, "end_s"), 100 * number(c, "option_accuracy"));
}

static void print_cameras(const json_t *cameras, double capacity)
{
    double used = 0;
    const json_t *c;
    size_t i;
    printf("%-16s  now %%  infer (keeps)  train  %-16s  when, then      expected %%\n", "camera",
           "configuration");
    json_array_foreach(cameras, i, c)
    {
        used += number(c, "infer_share") + number(c, "train_share");
        printf("%-16.16s  %5.1f  %5.2f (%3.0f %%)  %5.2f  ", text(c, "camera", "?"),
               100 * number(c, "accuracy"), number(c, "infer_share"), 100 * number(c, "factor"),
               number(c, "train_share"));
        print_training(c);
        printf("  %5.1f\n    %s\n", 100 * number(c, "expected"), text(c, "reason", ""));
    }
    printf("%-16s  %.2f of %g processors are not given to anyone\n", "", fmax(capacity - used, 0),
           capacity);
}

static void print_history(const json_t *history)
{
    const json_t *h;
    size_t i;
    if (json_array_size(history) == 0)
        return;
    printf("\npast trainings    count  accepted  mean gain  mean compute\n");
    json_array_foreach(history, i, h)
    {
        if (!(number(h, "trainings") > 0))
            continue;
        printf("%-16.16s  %5.0f  %8.0f  %+8.1f   %9.1f s\n", text(h, "configuration", "?"),
               number(h, "trainings"), number(h, "accepted"), 100 * number(h, "gain"),
               number(h, "compute_s"));
    }
}

static int print(const json_t *o)
{
    const json_t *cameras = json_object_get(o, "cameras");
    if (!json_is_array(cameras) || !json_is_string(json_object_get(o, "policy"))) {
        struct error err;
        error_set(&err, ST_FORMAT,
                  "the answer is no schedule: GET /v1/schedule of a server gives one");
        return cmd_fail(NAME, &err);
    }
    if (json_array_size(cameras) == 0) {
        printf("policy %s: there is no plan%s\n", text(o, "policy", "?"),
               strcmp(text(o, "policy", ""), "round-robin") == 0
                   ? "; each camera is trained in its turn"
                   : " yet; it comes with the first labelled frames");
        return CMD_OK;
    }
    print_head(o);
    print_cameras(cameras, number(o, "capacity"));
    print_history(json_object_get(o, "history"));
    return CMD_OK;
}

static enum status read_file(const char *path, json_t **ret, struct error *err)
{
    json_error_t why;
    *ret = strcmp(path, "-") == 0 ? json_loadf(stdin, 0, &why) : json_load_file(path, 0, &why);
    return *ret ? ST_OK : error_set(err, ST_FORMAT, "%s: %s", path, why.text);
}

int cmd_explain(int argc, char **argv)
{
    const char *server = "http://127.0.0.1:8080", *ca = NULL, *file = NULL, *what[1];
    bool insecure = false, json = false;
    const struct cmd_option options[] = {
        {"server", CMD_TEXT, &server, 0, 0},     {"ca", CMD_TEXT, &ca, 0, 0},
        {"insecure", CMD_FLAG, &insecure, 0, 0}, {"file", CMD_TEXT, &file, 0, 0},
        {"json", CMD_FLAG, &json, 0, 0},         {NULL, 0, NULL, 0, 0}};
    int count, bad = cmd_parse(NAME, help_text, options, argc, argv, what, 0, 1, &count);
    if (bad != -1)
        return bad;
    if (count == 0 || strcmp(what[0], "schedule") != 0)
        return cmd_usage(NAME, "say what to explain: schedule");
    json_t *o;
    struct error err;
    enum status st = file ? read_file(file, &o, &err)
                          : fetch_json(server, "/v1/schedule", ca, insecure, &o, &err);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    if (json)
        return cmd_json(NAME, o);
    int status = print(o);
    json_decref(o);
    return status;
}
