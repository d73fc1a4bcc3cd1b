/* user.c - `attune user`: who may sign in to the page. */
#include <stdio.h>
#include <string.h>

#include "cmd/access_call.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/password.h"

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

static int put(const void *call)
{
    const struct access_call *c = call;
    char path[ACCESS_PATH_BYTES], password[PASSWORD_BYTES];
    struct error err = {0};
    if (!access_path(c, "users", NULL, path))
        return CMD_USAGE;
    if (password_get("password: ", true, c->password_file, password, &err) != ST_OK)
        return cmd_fail(c->command, &err);
    json_t *body = json_pack("{s:s}", "password", password);
    explicit_bzero(password, sizeof password);
    if (c->role)
        json_object_set_new(body, "role", json_string(c->role));
    int status = access_send(c, "PUT", path, body, NULL);
    if (status == CMD_OK)
        printf("%s may sign in%s%s\n", c->name, c->role ? ", role " : " with the new password",
               c->role ? c->role : "");
    return status;
}

static int add(const void *call)
{
    return access_has_role(call) ? put(call) : CMD_USAGE;
}

static int drop(const void *call)
{
    const struct access_call *c = call;
    char path[ACCESS_PATH_BYTES];
    if (!access_path(c, "users", NULL, path))
        return CMD_USAGE;
    int status = access_send(c, "DELETE", path, NULL, NULL);
    if (status == CMD_OK)
        printf("%s may not sign in any more\n", c->name);
    return status;
}

static int list(const void *call)
{
    json_t *o, *u;
    size_t i;
    int status = access_list(call, "/v1/users", &o);
    if (!o)
        return status;
    json_array_foreach(json_object_get(o, "users"), i, u)
        printf("%-24s %s\n", explain_text(u, "name", "?"), explain_text(u, "role", "?"));
    json_decref(o);
    return CMD_OK;
}

static const struct cmd_verb verbs[] = {
    {"add", 1, add}, {"password", 1, put}, {"remove", 1, drop}, {"list", 0, list}, {NULL, 0, NULL}};

int cmd_user(int argc, char **argv)
{
    static const struct access_command command = {
        "user", help_text, "say add NAME, password NAME, remove NAME or list", verbs, true};
    return access_run(&command, argc, argv);
}
