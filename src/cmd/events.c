/* events.c - `attune events`: what has happened at a server, as sentences or as JSON lines, once or
 * for as long as one likes. A reader that knows the number of its last event misses none that is
 * still kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/fetch.h"
#include "cmd/plain.h"
#include "notify/envelope.h"

#define NAME "events"
#define BATCH 500
#define POLL_US ((uint64_t)1000000)
#define AWAY_US ((uint64_t)5 * 1000000)
#define STANDARD_COUNT 20

static const char help_text[] =
    "usage: attune events [--follow] [OPTIONS]\n"
    "\n"
    "What has happened at a server: the newest events, each with its reason.\n"
    "\n"
    "  --follow       go on with what happens from now on, until it is interrupted\n"
    "  --json         a line of JSON each, as GET /v1/events has them\n"
    "  --after N      those after number N instead of the newest\n"
    "  --count N      how many of the newest (default: 20)\n"
    "  --camera ID    of this camera only\n"
    "  --kind KIND    of this kind only, as drift_request\n" FETCH_HELP "\n"
    "example: attune events --follow --json --after 4711 >> events.jsonl\n";

struct asked {
    struct fetch_server server;
    const char *camera, *kind;
    bool follow, json, from_after;
    uint64_t after, count;
};

static bool is_asked_for(const struct asked *a, const json_t *e)
{
    return (!a->camera || strcmp(a->camera, explain_text(e, "camera", "")) == 0) &&
           (!a->kind || strcmp(a->kind, explain_text(e, "kind", "")) == 0);
}

static void print_event(const struct asked *a, json_t *e)
{
    char time[32];
    if (a->json) {
        json_dumpf(e, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        return;
    }
    envelope_time((uint64_t)json_integer_value(json_object_get(e, "t_us")), time);
    plain_json(e);
    const char *camera = explain_text(e, "camera", "");
    if (!camera[0])
        camera = explain_text(e, "group", "-");
    printf("%.19sZ  %-16s  %-16s  %s\n", time, explain_text(e, "kind", "?"), camera,
           explain_text(e, "reason", ""));
}

/* Prints what there is after a->after, which moves on; *ret_more: there may be more at once. */
static enum status print_new(struct asked *a, bool *ret_more, struct error *err)
{
    char path[96];
    json_t *o, *e;
    size_t i;
    snprintf(path, sizeof path, "/v1/events?format=json&limit=%d&after=%llu", BATCH,
             (unsigned long long)a->after);
    enum status st = fetch_json(&a->server, path, &o, err);
    if (st != ST_OK)
        return st;
    const json_t *list = json_object_get(o, "events");
    json_array_foreach(list, i, e)
    {
        a->after = (uint64_t)json_integer_value(json_object_get(e, "id"));
        if (is_asked_for(a, e))
            print_event(a, e);
    }
    *ret_more = json_array_size(list) == BATCH;
    json_decref(o);
    fflush(stdout);
    return ST_OK;
}

static enum status find_start(struct asked *a, struct error *err)
{
    json_t *o;
    enum status st = a->from_after ? ST_OK : fetch_json(&a->server, "/v1/health", &o, err);
    if (st != ST_OK || a->from_after)
        return st;
    uint64_t last = (uint64_t)json_integer_value(json_object_get(o, "events"));
    a->after = last > a->count ? last - a->count : 0;
    json_decref(o);
    return ST_OK;
}

/* A server that is away for a while is asked again, as long as it was there to begin with. */
static enum status follow(struct asked *a, struct error *err)
{
    bool more = true, away = false;
    enum status st = ST_OK;
    while (st == ST_OK || (st == ST_NETWORK && a->follow && away)) {
        st = print_new(a, &more, err);
        if (st == ST_NETWORK && a->follow && !away)
            fprintf(stderr, "attune %s: %s; asking again\n", NAME, err->message);
        away = st == ST_NETWORK;
        if (ferror(stdout) || (!a->follow && !more))
            return st;
        if (!more || away)
            clock_sleep_until_us(clock_mono_us() + (away ? AWAY_US : POLL_US));
    }
    return st;
}

int cmd_events(int argc, char **argv)
{
    struct asked a = {.server = FETCH_SERVER_INIT, .after = UINT64_MAX, .count = STANDARD_COUNT};
    struct error err = {0};
    const struct cmd_option options[] = {FETCH_OPTIONS(a.server),
                                         {"follow", CMD_FLAG, &a.follow, 0, 0},
                                         {"json", CMD_FLAG, &a.json, 0, 0},
                                         {"after", CMD_COUNT, &a.after, 0, 9007199254740992.0},
                                         {"count", CMD_COUNT, &a.count, 0, 100000},
                                         {"camera", CMD_TEXT, &a.camera, 0, 0},
                                         {"kind", CMD_TEXT, &a.kind, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad;
    a.from_after = a.after != UINT64_MAX;
    enum status st = find_start(&a, &err);
    if (st == ST_OK)
        st = follow(&a, &err);
    return st == ST_OK ? CMD_OK : cmd_fail(NAME, &err);
}
