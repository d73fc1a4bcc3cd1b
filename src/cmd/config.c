/* config.c - `attune config VERB`: a file to begin with, what is wrong with one, what is in force.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "server/settings_show.h"

#define NAME "config"

static const char help_text[] =
    "usage: attune config VERB ...\n"
    "\n"
    "  example           a file with every setting of the server, its default and what it is\n"
    "  check FILE...     everything that is wrong with a file, as FILE:LINE:COLUMN: what; what to\n"
    "                    do. Exit status 1 when anything is. [--json]\n"
    "  show              the settings as they would be in force, from --config FILE and the\n"
    "                    environment; passwords are not shown. [--origin] [--json]\n"
    "  schema            a JSON Schema of the file, for editors\n"
    "\n"
    "example: attune config example > attune.yaml && attune config check attune.yaml\n";

/* ---- check ---- */

static json_t *problems_json(const char *path, const struct problems *p)
{
    json_t *list = json_array();
    for (int i = 0; i < p->count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "level",
                                              p->items[i].warning ? "warning" : "error", "text",
                                              p->items[i].text));
    return json_pack("{s:s,s:i,s:i,s:o}", "file", path, "errors", p->errors, "warnings",
                     p->warnings, "problems", list);
}

static void print_problems(const char *path, const struct problems *p)
{
    for (int i = 0; i < p->count; i++)
        printf("%s%s\n", p->items[i].warning ? "warning: " : "", p->items[i].text);
    if (p->errors + p->warnings > p->count)
        printf("%s: and %d more\n", path, p->errors + p->warnings - p->count);
    if (p->errors == 0)
        printf("%s: good\n", path);
}

static enum status check_file(const char *path, struct problems *p, struct error *err)
{
    static struct settings s;
    struct camera_list cameras;
    const struct settings_sources from = {
        .path = path, .environment = (const char *const *)environ, .partial = true};
    camera_list_init(&cameras);
    problems_init(p);
    enum status st = settings_load(&from, &s, &cameras, p, err);
    camera_list_clear(&cameras);
    return st == ST_NOMEM ? st : ST_OK;
}

#define FILES_MAX 64

static int check(int argc, char **argv)
{
    static struct problems problems;
    bool json = false;
    int count = 0, errors = 0;
    const char *files[FILES_MAX];
    const struct cmd_option options[] = {{"json", CMD_FLAG, &json, 0, 0}, {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, files, 1, FILES_MAX, &count);
    if (bad != -1)
        return bad;
    json_t *all = json_array();
    for (int i = 0; i < count; i++) {
        struct error err;
        if (check_file(files[i], &problems, &err) != ST_OK)
            return cmd_fail(NAME, &err);
        if (json)
            json_array_append_new(all, problems_json(files[i], &problems));
        else
            print_problems(files[i], &problems);
        errors += problems.errors;
    }
    int status = json ? cmd_json(NAME, json_incref(all)) : CMD_OK;
    json_decref(all);
    return status != CMD_OK ? status : errors > 0 ? CMD_NO : CMD_OK;
}

/* ---- show ---- */

static void print_rows(const struct settings *s, const struct setting_table *t, const void *values,
                       const char *indent, bool origin)
{
    char shown[SETTING_TEXT_BYTES], from[SETTINGS_ORIGIN_BYTES];
    for (int i = 0; i < t->count; i++) {
        struct setting_origin o = setting_table_origin(t, values, i);
        setting_table_show(t, values, i, shown);
        settings_origin(s, &o, from);
        bool text = t->rows[i].kind == SETTING_TEXT;
        printf("%s%s: %s%s%s", indent, t->rows[i].name, text ? "\"" : "", shown, text ? "\"" : "");
        printf(origin ? "  # %s\n" : "\n", from);
    }
}

static void print_settings(const struct settings *s, const struct camera_list *cameras, bool origin)
{
    print_rows(s, settings_table(), s, "", origin);
    if (cameras->count > 0)
        printf("cameras:\n");
    for (int i = 0; i < cameras->count; i++) {
        printf("  %s:\n", cameras->cameras[i].id);
        print_rows(s, camera_settings_table(), &cameras->cameras[i], "    ", origin);
    }
}

static int show(int argc, char **argv)
{
    static struct settings s;
    static struct problems problems;
    struct camera_list cameras;
    struct settings_sources from = {.environment = (const char *const *)environ, .partial = true};
    bool json = false, origin = false;
    const struct cmd_option options[] = {{"config", CMD_TEXT, &from.path, 0, 0},
                                         {"origin", CMD_FLAG, &origin, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int status = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (status != -1)
        return status;
    struct error err;
    camera_list_init(&cameras);
    problems_init(&problems);
    if (settings_load(&from, &s, &cameras, &problems, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    status = json ? cmd_json(NAME, settings_json(&s, &cameras)) : CMD_OK;
    if (!json)
        print_settings(&s, &cameras, origin);
    camera_list_clear(&cameras);
    return status;
}

static int example(int argc, char **argv)
{
    return argc > 1 ? cmd_usage(NAME, "unexpected '%s'", argv[1])
                    : cmd_text(settings_write_example);
}

static int schema(int argc, char **argv)
{
    return argc > 1 ? cmd_usage(NAME, "unexpected '%s'", argv[1])
                    : cmd_json(NAME, settings_schema());
}

static const struct cmd_sub verbs[] = {
    {"example", example}, {"check", check}, {"show", show}, {"schema", schema}, {NULL, NULL}};

int cmd_config(int argc, char **argv)
{
    return cmd_sub_run(NAME, help_text, verbs, argc, argv);
}
