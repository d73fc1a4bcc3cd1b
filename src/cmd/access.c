/* access.c - `attune access`: codes for cameras, tokens for scripts, and taking both back. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/fetch.h"

#define NAME "access"

static const char help_text[] =
    "usage: attune access code CAMERA            a code to enrol a camera with, for 15 minutes\n"
    "       attune access token NAME --role view a token for a script, shown this once\n"
    "       attune access revoke NAME            of a camera, or with --script of a script\n"
    "       attune access list                   who has what\n"
    "\n"
    "On the server's own machine, by STATE/control.sock; codes, revocations and the list also "
    "from\n"
    "elsewhere, with --server and --user or a token of role operate in ATTUNE_TOKEN.\n"
    "\n"
    "  --role ROLE    of a script's token: view or operate\n"
    "  --script       revoke: NAME is a script's, not a camera's\n"
    "  --json         as the server answers\n" FETCH_HELP "\n"
    "A camera that was revoked is told so and has to be enrolled again. Prometheus takes a token "
    "of\n"
    "role view: authorization: {credentials_file: FILE}.\n";

struct call {
    struct fetch_server server;
    const char *name, *role;
    bool script, json;
};

/* Sends; prints `format` with the answer's member, or the whole as JSON. */
static int ask(const struct call *c, const char *method, const char *path, const json_t *body,
               const char *member)
{
    struct error err = {0};
    json_t *answer = NULL;
    if (fetch_send(&c->server, method, path, body, &answer, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    if (c->json && answer)
        return cmd_json(NAME, answer);
    if (member)
        printf("%s\n", explain_text(answer, member, "?"));
    json_decref(answer);
    return CMD_OK;
}

static int code(const void *call)
{
    const struct call *c = call;
    char path[128];
    snprintf(path, sizeof path, "/v1/access/cameras/%.63s/code", c->name);
    return ask(c, "POST", path, NULL, "code");
}

static int token(const void *call)
{
    const struct call *c = call;
    char path[128];
    if (!c->role)
        return cmd_usage(NAME, "--role is needed: view or operate");
    json_t *body = json_pack("{s:s}", "role", c->role);
    snprintf(path, sizeof path, "/v1/access/tokens/%.63s", c->name);
    int status = ask(c, "PUT", path, body, "token");
    json_decref(body);
    return status;
}

static int revoke(const void *call)
{
    const struct call *c = call;
    char path[128];
    snprintf(path, sizeof path, "/v1/access/%s/%.63s", c->script ? "tokens" : "cameras", c->name);
    int status = ask(c, "DELETE", path, NULL, NULL);
    if (status == CMD_OK)
        printf("the token of %s '%s' is revoked\n", c->script ? "script" : "camera", c->name);
    return status;
}

static void print_time(const json_t *t, const char *key)
{
    double us = explain_number(t, key);
    time_t s = us > 0 ? (time_t)(us / 1e6) : 0;
    struct tm tm;
    char text[32] = "-";
    if (s && localtime_r(&s, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    printf("  %-16s", text);
}

static int list(const void *call)
{
    const struct call *c = call;
    struct error err = {0};
    json_t *o, *t;
    size_t i;
    if (fetch_json(&c->server, "/v1/access", &o, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    if (c->json)
        return cmd_json(NAME, o);
    printf("%-24s  %-7s  %-8s  %-16s  %-16s\n", "name", "kind", "role", "since", "revoked");
    json_array_foreach(json_object_get(o, "tokens"), i, t)
    {
        printf("%-24s  %-7s  %-8s", explain_text(t, "name", "?"), explain_text(t, "kind", "?"),
               explain_text(t, "role", "-"));
        print_time(t, "created_us");
        print_time(t, "revoked_us");
        putchar('\n');
    }
    json_decref(o);
    return CMD_OK;
}

static const struct cmd_verb verbs[] = {{"code", 1, code},
                                        {"token", 1, token},
                                        {"revoke", 1, revoke},
                                        {"list", 0, list},
                                        {NULL, 0, NULL}};

int cmd_access(int argc, char **argv)
{
    struct call c = {.server = {.state = FETCH_STANDARD_STATE}};
    const struct cmd_option options[] = {FETCH_OPTIONS(c.server),
                                         {"role", CMD_TEXT, &c.role, 0, 0},
                                         {"script", CMD_FLAG, &c.script, 0, 0},
                                         {"json", CMD_FLAG, &c.json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    const char *words[2] = {NULL, NULL};
    int count = 0;
    int bad = cmd_parse(NAME, help_text, options, argc, argv, words, 0, 2, &count);
    if (bad != -1)
        return bad;
    c.name = words[1];
    bad = cmd_verb_run(verbs, words, count, &c);
    if (bad != -1)
        return bad;
    return cmd_usage(NAME, "say code CAMERA, token NAME, revoke NAME or list");
}
