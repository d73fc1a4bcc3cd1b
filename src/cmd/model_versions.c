/* model_versions.c - `attune model versions` and `attune model rollback`: a group's line of
 * versions in a running server, and the way back. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/explain.h"
#include "cmd/fetch.h"
#include "cmd/model.h"
#include "cmd/operate.h"
#include "cmd/plain.h"

#define VERSION_MAX 9007199254740992.0 /* 2^53 */

static const char versions_help[] =
    "usage: attune model versions GROUP|CAMERA [--server URL] [OPTIONS]\n"
    "\n"
    "What the group (that the camera is in) has learned, newest first: each candidate, what the "
    "gate\n"
    "measured before and after, and whether one can go back to it.\n"
    "\n" FETCH_HELP "  --limit N      the newest N (default: 20)\n"
    "  --json         GET /v1/groups/GROUP/versions as it is\n";

static const char rollback_help[] =
    "usage: attune model rollback GROUP|CAMERA [--to VERSION] [--server URL] [OPTIONS]\n"
    "\n"
    "All cameras of the group (that the camera is in) go back to the weights of an older version,\n"
    "under a new number. Learning goes on from there: attune pause stops it. attune model "
    "versions\n"
    "lists what there is.\n"
    "\n"
    "  --to VERSION   0: the student as its file has it (default: the version before the present\n"
    "                 one, so that a second time undoes the first)\n" FETCH_HELP
    "  --by NAME      who it is, for the events (default: who is logged in here)\n"
    "  --json         the server's answer\n";

/* Group `name`, or that of camera `name`: its versions, {"id", "version", "versions"}. */
static enum status fetch_versions(const struct fetch_server *server, const char *name, int limit,
                                  json_t **ret, struct error *err)
{
    char path[OPERATE_PATH_BYTES], verb[32];
    json_t *camera = NULL;
    if (!operate_path(path, "cameras", name, ""))
        return error_set(err, ST_INVALID, "'%.80s' is no name of a group or camera", name);
    path[strlen(path) - 1] = '\0';
    const char *group = name;
    if (fetch_json(server, path, &camera, err) == ST_OK)
        group = explain_text(camera, "group", name);
    snprintf(verb, sizeof verb, "versions?limit=%d", limit);
    enum status st = operate_path(path, "groups", group, verb)
                         ? fetch_json(server, path, ret, err)
                         : error_set(err, ST_FORMAT, "the server names a group strangely");
    json_decref(camera);
    if (st == ST_NOT_FOUND)
        return error_set(err, ST_NOT_FOUND, "there is no group and no camera '%.80s'", name);
    if (st == ST_OK && !json_is_array(json_object_get(*ret, "versions"))) {
        json_decref(*ret);
        return error_set(err, ST_FORMAT, "the server's answer is no list of versions");
    }
    return st;
}

/* ---- versions ---- */

static void print_score(double v)
{
    if (isfinite(v))
        printf("  %8.1f", 100 * v);
    else
        printf("  %8s", "-");
}

static void print_version(const json_t *v)
{
    char when[32] = "?";
    struct tm parts;
    double t_us = explain_number(v, "t_us");
    time_t at = t_us > 0 ? (time_t)(t_us / 1e6) : 0;
    bool accepted = json_is_true(json_object_get(v, "accepted"));
    if (localtime_r(&at, &parts))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    printf("%7.0f  %s  %-8s  %-4s", explain_number(v, "version"), when,
           accepted ? "accepted" : "rejected",
           json_is_true(json_object_get(v, "kept")) ? "yes" : "");
    print_score(explain_number(v, "score_before"));
    print_score(explain_number(v, "score_after"));
    printf("  %9.0f  %s\n", explain_number(v, "delta_bytes"), explain_text(v, "reason", ""));
}

int cmd_model_versions(int argc, char **argv)
{
    struct fetch_server server = FETCH_SERVER_INIT;
    const char *name;
    int limit = 20;
    bool json = false;
    const struct cmd_option options[] = {FETCH_OPTIONS(server),
                                         {"limit", CMD_WHOLE, &limit, 1, 500},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int count,
        bad = cmd_parse("model versions", versions_help, options, argc, argv, &name, 0, 1, &count);
    if (bad != -1)
        return bad;
    if (count == 0)
        return cmd_usage("model versions", "say which group or camera");
    json_t *o, *v;
    struct error err;
    size_t i;
    if (fetch_versions(&server, name, limit, &o, &err) != ST_OK)
        return cmd_fail("model versions", &err);
    if (json)
        return cmd_json("model versions", o);
    plain_json(o);
    printf(
        "group %s is at version %.0f; version 0, the student as its file has it, is always kept\n",
        explain_text(o, "id", "?"), explain_number(o, "version"));
    printf("%7s  %-19s  %-8s  %-4s  %8s  %8s  %9s  %s\n", "version", "made", "gate", "kept",
           "before %", "after %", "bytes", "why");
    json_array_foreach(json_object_get(o, "versions"), i, v) print_version(v);
    json_decref(o);
    return CMD_OK;
}

/* ---- rollback ---- */

/* The newest below the present one that is kept. */
static double one_before(const json_t *o)
{
    const json_t *v;
    size_t i;
    json_array_foreach(json_object_get(o, "versions"), i,
                       v) if (json_is_true(json_object_get(v, "kept")) &&
                              explain_number(v, "version") <
                                  explain_number(o, "version")) return explain_number(v, "version");
    return 0;
}

static enum status send_rollback(const struct fetch_server *server, const char *group, uint64_t to,
                                 const char *by, json_t **ret, struct error *err)
{
    char path[OPERATE_PATH_BYTES];
    if (!operate_path(path, "groups", group, "rollback"))
        return error_set(err, ST_FORMAT, "the server names a group strangely");
    json_t *body = operate_body(by);
    json_object_set_new(body, "version", json_integer((json_int_t)to));
    enum status st = fetch_send(server, "POST", path, body, ret, err);
    json_decref(body);
    return st;
}

int cmd_model_rollback(int argc, char **argv)
{
    struct fetch_server server = FETCH_SERVER_INIT;
    const char *name, *by = NULL;
    uint64_t to = UINT64_MAX;
    bool json = false;
    const struct cmd_option options[] = {FETCH_OPTIONS(server),
                                         {"to", CMD_COUNT, &to, 0, VERSION_MAX},
                                         {"by", CMD_TEXT, &by, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int count,
        bad = cmd_parse("model rollback", rollback_help, options, argc, argv, &name, 0, 1, &count);
    if (bad != -1)
        return bad;
    if (count == 0)
        return cmd_usage("model rollback", "say which group or camera");
    json_t *o = NULL, *done = NULL;
    struct error err;
    enum status st = fetch_versions(&server, name, 500, &o, &err);
    if (st == ST_OK && to == UINT64_MAX)
        to = (uint64_t)one_before(o);
    if (st == ST_OK)
        st = send_rollback(&server, explain_text(o, "id", ""), to, by, &done, &err);
    double had = explain_number(o, "version");
    json_decref(o);
    if (st != ST_OK)
        return cmd_fail("model rollback", &err);
    if (json)
        return cmd_json("model rollback", done);
    plain_json(done);
    printf("group %s: from version %.0f back to the weights of %" PRIu64 ", as version %.0f\n",
           explain_text(done, "group", "?"), had, to, explain_number(done, "version"));
    json_decref(done);
    return CMD_OK;
}
