/* doctor.c - `attune doctor`: every finding a line with what to do. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/doctor_sources.h"

#define NAME "doctor"
#define LOOK_S 2.5 /* at a live source */

static const char help_text[] =
    "usage: attune doctor [--config FILE] [OPTIONS]\n"
    "\n"
    "Looks for what could keep a server from working here: settings, models, the state folder, "
    "disk,\n"
    "clock, ports, processors, memory, the broker, and each camera's source. One line each with "
    "ok,\n"
    "warn or fail, and what to do. Exit status 1 when anything fails.\n"
    "\n"
    "  --config FILE   the server's settings; the environment counts, too\n"
    "  --camera ID     of the cameras only this one\n"
    "  --timeout S     longest wait for a camera's pictures [5]\n"
    "  --json          the same for programs\n"
    "\n"
    "example: attune doctor --config /etc/attune/attune.yaml\n";

struct arguments {
    const char *config, *camera;
    double timeout_s;
    bool json;
};

static int print_table(const struct doctor *d)
{
    int wide = 0;
    for (int i = 0; i < d->count; i++) {
        int n = (int)strlen(d->lines[i].about);
        wide = n > wide ? n : wide;
    }
    for (int i = 0; i < d->count; i++)
        printf("%-4s  %-*s  %s\n", doctor_level_name(d->lines[i].level), wide, d->lines[i].about,
               d->lines[i].text);
    printf("\n%d looked at, %d warning%s, %d failure%s\n", d->count, d->warnings,
           d->warnings == 1 ? "" : "s", d->failures, d->failures == 1 ? "" : "s");
    return CMD_OK;
}

static int print_json(const struct doctor *d)
{
    json_t *list = json_array();
    for (int i = 0; i < d->count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "level",
                                              doctor_level_name(d->lines[i].level), "about",
                                              d->lines[i].about, "text", d->lines[i].text));
    return cmd_json(NAME, json_pack("{s:o,s:i,s:i}", "findings", list, "warnings", d->warnings,
                                    "failures", d->failures));
}

/* Everything but the settings, which are good. */
static enum status look(struct doctor *d, const struct arguments *a, const struct settings *s,
                        const struct camera_list *cameras, struct error *err)
{
    struct doctor_cost cost;
    const struct doctor_sources sources = {.set = s,
                                           .cameras = cameras,
                                           .only = a->camera,
                                           .timeout_s = a->timeout_s,
                                           .look_s = LOOK_S,
                                           .quiet = a->json};
    doctor_models(d, s, &cost);
    doctor_state(d, s, cameras, &cost);
    doctor_certificate(d, s, clock_wall_us());
    doctor_network(d, s);
    doctor_machine(d, s, cameras, &cost);
    return doctor_sources(d, &sources, err);
}

static enum status examine(struct doctor *d, const struct arguments *a, struct error *err)
{
    static struct settings s;
    static struct problems problems;
    struct camera_list cameras;
    const struct settings_sources from = {
        .path = a->config, .environment = (const char *const *)environ, .partial = true};
    camera_list_init(&cameras);
    problems_init(&problems);
    enum status st = settings_load(&from, &s, &cameras, &problems, err);
    if (st == ST_NOMEM)
        return st;
    bool good = st == ST_OK;
    doctor_config(d, a->config, &problems);
    doctor_clock(d, clock_wall_us());
    st = ST_OK;
    if (good && a->camera && !camera_list_find(&cameras, a->camera))
        doctor_add(d, DOCTOR_FAIL, "camera",
                   "the settings have no camera '%.63s'; name one of them", a->camera);
    if (good)
        st = look(d, a, &s, &cameras, err);
    camera_list_clear(&cameras);
    return st;
}

int cmd_doctor(int argc, char **argv)
{
    struct arguments a = {.timeout_s = 5};
    struct doctor d;
    struct error err;
    const struct cmd_option options[] = {{"config", CMD_TEXT, &a.config, 0, 0},
                                         {"camera", CMD_TEXT, &a.camera, 0, 0},
                                         {"timeout", CMD_NUMBER, &a.timeout_s, 0.1, 600},
                                         {"json", CMD_FLAG, &a.json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int status = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (status != -1)
        return status;
    doctor_init(&d);
    enum status st = examine(&d, &a, &err);
    if (st != ST_OK)
        status = cmd_fail(NAME, &err);
    else
        status = a.json ? print_json(&d) : print_table(&d);
    if (status == CMD_OK && d.failures > 0)
        status = CMD_NO;
    doctor_clear(&d);
    return status;
}
