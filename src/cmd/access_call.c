#include "cmd/access_call.h"

#include <stdio.h>
#include <string.h>

#include "cmd/explain.h"
#include "flow/records.h"

int access_run(const struct access_command *of, int argc, char **argv)
{
    struct access_call c = {.command = of->name, .server = {.state = FETCH_STANDARD_STATE}};
    const struct cmd_option script = {"script", CMD_FLAG, &c.script, 0, 0};
    const struct cmd_option password = {"password-file", CMD_TEXT, &c.password_file, 0, 0};
    const struct cmd_option options[] = {FETCH_OPTIONS(c.server),
                                         {"role", CMD_TEXT, &c.role, 0, 0},
                                         {"json", CMD_FLAG, &c.json, 0, 0},
                                         of->users ? password : script,
                                         {NULL, 0, NULL, 0, 0}};
    const char *words[2] = {NULL, NULL};
    int count = 0;
    int bad = cmd_parse(of->name, of->help, options, argc, argv, words, 0, 2, &count);
    if (bad != -1)
        return bad;
    c.name = words[1];
    bad = cmd_verb_run(of->verbs, words, count, &c);
    return bad != -1 ? bad : cmd_usage(of->name, "%s", of->say);
}

bool access_path(const struct access_call *c, const char *kind, const char *verb,
                 char ret[ACCESS_PATH_BYTES])
{
    size_t n = strspn(c->name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    if (n < 1 || n > CAMERA_ID_CHARS_MAX || c->name[n]) {
        cmd_usage(c->command, "a name is 1 to %d of a-z, 0-9, _ and -, not '%.70s'",
                  CAMERA_ID_CHARS_MAX, c->name);
        return false;
    }
    snprintf(ret, ACCESS_PATH_BYTES, "/v1/%s/%s%s%s", kind, c->name, verb ? "/" : "",
             verb ? verb : "");
    return true;
}

bool access_has_role(const struct access_call *c)
{
    if (!c->role)
        cmd_usage(c->command, "--role is needed: view or operate");
    return c->role;
}

int access_send(const struct access_call *c, const char *method, const char *path, json_t *body,
                const char *member)
{
    struct error err = {0};
    json_t *answer = NULL;
    enum status st = fetch_send(&c->server, method, path, body, &answer, &err);
    json_decref(body);
    if (st != ST_OK)
        return cmd_fail(c->command, &err);
    if (c->json && answer)
        return cmd_json(c->command, answer);
    if (member)
        printf("%s\n", explain_text(answer, member, "?"));
    json_decref(answer);
    return CMD_OK;
}

int access_list(const struct access_call *c, const char *path, json_t **ret)
{
    struct error err = {0};
    json_t *o;
    *ret = NULL;
    if (fetch_json(&c->server, path, &o, &err) != ST_OK)
        return cmd_fail(c->command, &err);
    if (c->json)
        return cmd_json(c->command, o);
    *ret = o;
    return CMD_OK;
}
