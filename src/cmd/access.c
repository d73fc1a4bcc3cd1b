/* access.c - `attune access`: codes for cameras, tokens for scripts, and taking both back. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/access_call.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"

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

static int code(const void *call)
{
    const struct access_call *c = call;
    char path[ACCESS_PATH_BYTES];
    if (!access_path(c, "access/cameras", "code", path))
        return CMD_USAGE;
    return access_send(c, "POST", path, NULL, "code");
}

static int token(const void *call)
{
    const struct access_call *c = call;
    char path[ACCESS_PATH_BYTES];
    if (!access_path(c, "access/tokens", NULL, path) || !access_has_role(c))
        return CMD_USAGE;
    return access_send(c, "PUT", path, json_pack("{s:s}", "role", c->role), "token");
}

static int revoke(const void *call)
{
    const struct access_call *c = call;
    char path[ACCESS_PATH_BYTES];
    if (!access_path(c, c->script ? "access/tokens" : "access/cameras", NULL, path))
        return CMD_USAGE;
    int status = access_send(c, "DELETE", path, NULL, NULL);
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
    json_t *o, *t;
    size_t i;
    int status = access_list(call, "/v1/access", &o);
    if (!o)
        return status;
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
    static const struct access_command command = {
        "access", help_text, "say code CAMERA, token NAME, revoke NAME or list", verbs, false};
    return access_run(&command, argc, argv);
}
