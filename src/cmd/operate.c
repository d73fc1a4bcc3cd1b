/* operate.c - `attune pause`, `attune resume`, `attune retrain`: what a person wants of a camera.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "cmd/fetch.h"
#include "cmd/operate.h"
#include "cmd/plain.h"

#define OPTIONS_HELP                                                                               \
    "\n" FETCH_HELP                                                                                \
    "  --by NAME      who it is, for the events (default: who is logged in here)\n"                \
    "  --json         the server's answer\n"

static const char pause_help[] =
    "usage: attune pause CAMERA [--server URL] [OPTIONS]\n"
    "\n"
    "The camera's learning is paused: it keeps the version that it has, nobody trains on its "
    "frames,\n"
    "and they are labelled and scored as before. attune resume CAMERA has it go on.\n" OPTIONS_HELP;

static const char resume_help[] =
    "usage: attune resume CAMERA [--server URL] [OPTIONS]\n"
    "\n"
    "The camera learns again, and has what its group has learned meanwhile.\n" OPTIONS_HELP;

static const char retrain_help[] =
    "usage: attune retrain CAMERA [--server URL] [OPTIONS]\n"
    "\n"
    "The camera's group is trained as soon as a worker is free, on the frames that there are;\n"
    "attune explain drift CAMERA says what came of it.\n" OPTIONS_HELP;

json_t *operate_body(const char *by)
{
    const struct passwd *me = by ? NULL : getpwuid(getuid());
    json_t *name = json_string(by ? by : me ? me->pw_name : "");
    return name ? json_pack("{s:o}", "by", name) : json_object();
}

bool operate_path(char path[OPERATE_PATH_BYTES], const char *kind, const char *name,
                  const char *verb)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.");
    return n > 0 && n < 128 && name[n] == '\0' &&
           snprintf(path, OPERATE_PATH_BYTES, "/v1/%s/%s/%s", kind, name, verb) <
               OPERATE_PATH_BYTES;
}

static void print_learning(const json_t *o, bool pause)
{
    const char *camera = explain_text(o, "camera", "?");
    bool news = json_is_true(json_object_get(o, "changed"));
    double version = explain_number(o, "version");
    if (pause)
        printf("%s: learning %s paused; it keeps version %.0f and is scored as before\n", camera,
               news ? "is" : "was already", version);
    else
        printf("%s: %s; version %.0f\n", camera,
               news ? "learning goes on" : "learning was not paused", version);
}

static void print_pause(const json_t *o)
{
    print_learning(o, true);
}

static void print_resume(const json_t *o)
{
    print_learning(o, false);
}

static void print_retrain(const json_t *o)
{
    printf(
        "%s: training is asked for, request %.0f; attune explain drift %s says what came of it\n",
        explain_text(o, "camera", "?"), explain_number(o, "request"),
        explain_text(o, "camera", "?"));
}

struct wish {
    const char *name, *help, *method, *verb;
    int paused; /* of the body, -1: not in it */
    void (*print)(const json_t *o);
};

static int run(const struct wish *w, int argc, char **argv)
{
    struct fetch_server server = FETCH_SERVER_INIT;
    const char *camera, *by = NULL;
    bool json = false;
    char path[OPERATE_PATH_BYTES];
    const struct cmd_option options[] = {FETCH_OPTIONS(server),
                                         {"by", CMD_TEXT, &by, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int count, bad = cmd_parse(w->name, w->help, options, argc, argv, &camera, 0, 1, &count);
    if (bad != -1)
        return bad;
    if (count == 0)
        return cmd_usage(w->name, "say which camera");
    if (!operate_path(path, "cameras", camera, w->verb))
        return cmd_usage(w->name, "'%s' is no camera's id", camera);
    json_t *body = operate_body(by), *o = NULL;
    struct error err;
    if (w->paused >= 0)
        json_object_set_new(body, "paused", json_boolean(w->paused));
    enum status st = fetch_send(&server, w->method, path, body, &o, &err);
    json_decref(body);
    if (st != ST_OK)
        return cmd_fail(w->name, &err);
    if (json)
        return cmd_json(w->name, o);
    plain_json(o);
    w->print(o);
    json_decref(o);
    return CMD_OK;
}

int cmd_pause(int argc, char **argv)
{
    return run(&(struct wish){"pause", pause_help, "PUT", "learning", 1, print_pause}, argc, argv);
}

int cmd_resume(int argc, char **argv)
{
    return run(&(struct wish){"resume", resume_help, "PUT", "learning", 0, print_resume}, argc,
               argv);
}

int cmd_retrain(int argc, char **argv)
{
    return run(&(struct wish){"retrain", retrain_help, "POST", "retrain", -1, print_retrain}, argc,
               argv);
}
