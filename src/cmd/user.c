/* user.c - `attune user`: who may sign in to the page. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/fetch.h"
#include "cmd/password.h"

#define NAME "user"

static const char help_text[] =
    "usage: attune user add NAME --role view|operate [OPTIONS]\n"
    "       attune user password NAME | remove NAME | list\n"
    "\n"
    "Users of the page. view sees everything, operate changes things, too. Asked of the running\n"
    "server by its control socket, so on its own machine, as who may open STATE/control.sock.\n"
    "\n"
    "  --state DIR            the server's state folder (default: attune-state)\n"
    "  --role ROLE            view or operate\n"
    "  --password-file FILE   its first line, instead of asking; - for standard input\n"
    "  --json                 list: as the server answers\n"
    "\n"
    "example: attune user add ann --role operate --state /var/lib/attune\n";

struct call {
    struct fetch_server server;
    const char *name, *role, *password_file;
    bool json;
};

static int put(const void *call)
{
    const struct call *c = call;
    char path[128], password[PASSWORD_BYTES];
    struct error err = {0};
    json_t *none = NULL;
    enum status st = password_get("password: ", true, c->password_file, password, &err);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    json_t *body = json_pack("{s:s}", "password", password);
    if (c->role)
        json_object_set_new(body, "role", json_string(c->role));
    snprintf(path, sizeof path, "/v1/users/%.63s", c->name);
    st = fetch_send(&c->server, "PUT", path, body, &none, &err);
    json_decref(body);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    printf("%s may sign in%s%s\n", c->name, c->role ? ", role " : " with the new password",
           c->role ? c->role : "");
    return CMD_OK;
}

static int add(const void *call)
{
    const struct call *c = call;
    if (!c->role)
        return cmd_usage(NAME, "--role is needed: view or operate");
    return put(c);
}

static int drop(const void *call)
{
    const struct call *c = call;
    char path[128];
    struct error err = {0};
    json_t *none = NULL;
    snprintf(path, sizeof path, "/v1/users/%.63s", c->name);
    if (fetch_send(&c->server, "DELETE", path, NULL, &none, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    printf("%s may not sign in any more\n", c->name);
    return CMD_OK;
}

static int list(const void *call)
{
    const struct call *c = call;
    struct error err = {0};
    json_t *o, *u;
    size_t i;
    if (fetch_json(&c->server, "/v1/users", &o, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    if (c->json)
        return cmd_json(NAME, o);
    json_array_foreach(json_object_get(o, "users"), i, u)
        printf("%-24s %s\n", explain_text(u, "name", "?"), explain_text(u, "role", "?"));
    json_decref(o);
    return CMD_OK;
}

static const struct cmd_verb verbs[] = {
    {"add", 1, add}, {"password", 1, put}, {"remove", 1, drop}, {"list", 0, list}, {NULL, 0, NULL}};

int cmd_user(int argc, char **argv)
{
    struct call c = {.server = {.state = FETCH_STANDARD_STATE}};
    const struct cmd_option options[] = {{"state", CMD_TEXT, &c.server.state, 0, 0},
                                         {"role", CMD_TEXT, &c.role, 0, 0},
                                         {"password-file", CMD_TEXT, &c.password_file, 0, 0},
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
    return cmd_usage(NAME, "say add NAME, password NAME, remove NAME or list");
}
