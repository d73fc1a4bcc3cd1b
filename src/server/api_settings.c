/* api_settings.c - what is in force, for people: every setting with its value, what it means and
 * what it may be. Whoever may look at cameras may look at this, so secrets are not in it. */
#include <string.h>

#include "base/names.h"
#include "base/url.h"
#include "server/http.h"

/* Values of these are not shown, whatever they are. */
static bool is_secret(const char *name)
{
    static const char *const ends[] = {"password", "token", "secret", "key", "credentials"};
    size_t n = strlen(name);
    for (size_t i = 0; i < NAMES_COUNT(ends); i++)
        if (n >= strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static json_t *text_json(const char *name, const char *text)
{
    char shown[SETTING_TEXT_BYTES];
    if (text[0] && is_secret(name))
        return json_string("***");
    url_redact(text, shown, sizeof shown);
    json_t *value = json_string(shown);
    return value ? value : json_string("(not UTF-8)");
}

static json_t *value_json(const struct setting *row, const void *values)
{
    const char *at = (const char *)values + row->offset;
    switch (row->kind) {
    case SETTING_INT:
        return json_integer(*(const int *)(const void *)at);
    case SETTING_REAL:
        return json_real(*(const double *)(const void *)at);
    case SETTING_BOOL:
        return json_boolean(*(const bool *)(const void *)at);
    default:
        return text_json(row->name, at);
    }
}

static json_t *row_json(const struct setting *row, const void *values)
{
    static const char *const kinds[] = {[SETTING_TEXT] = "text",
                                        [SETTING_CHOICE] = "choice",
                                        [SETTING_INT] = "whole number",
                                        [SETTING_REAL] = "number",
                                        [SETTING_BOOL] = "yes or no"};
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:o}", "name", row->name, "section", row->section,
                  "kind", kinds[row->kind], "unit", row->unit, "standard", row->standard, "help",
                  row->help, "live", (int)row->live, "value", value_json(row, values));
    if (row->choices)
        json_object_set_new(o, "choices", json_string(row->choices));
    if (row->kind == SETTING_INT || row->kind == SETTING_REAL) {
        json_object_set_new(o, "min", json_real(row->min));
        json_object_set_new(o, "max", json_real(row->max));
    }
    return o;
}

static json_t *rows_json(const struct setting_table *t, const void *values)
{
    json_t *rows = json_array();
    for (int i = 0; i < t->count; i++)
        json_array_append_new(rows, row_json(&t->rows[i], values));
    return rows;
}

/* Values alone: what they mean is with the defaults. */
static json_t *camera_json(const struct camera_settings *c)
{
    const struct setting_table *t = camera_settings_table();
    json_t *values = json_object();
    for (int i = 0; i < t->count; i++)
        json_object_set_new(values, t->rows[i].name, value_json(&t->rows[i], c));
    return json_pack("{s:s,s:o}", "id", c->id, "values", values);
}

void api_settings_all(struct request *r, struct reply *out)
{
    const struct server *s = r->server;
    const struct camera_list *list = &s->options.cameras;
    struct camera_settings standard;
    json_t *cameras = json_array();
    camera_settings_init(&standard);
    for (int i = 0; i < list->count; i++)
        json_array_append_new(cameras, camera_json(&list->cameras[i]));
    reply_json(out, 200,
               json_pack("{s:o,s:o,s:o}", "settings", rows_json(settings_table(), &s->set),
                         "camera_settings", rows_json(camera_settings_table(), &standard),
                         "cameras", cameras));
}
