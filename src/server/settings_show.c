#include "server/settings_show.h"

#include <stdlib.h>
#include <string.h>

#include "server/setting_units.h"

/* ---- what is in force ---- */

static json_t *value_json(const struct setting_table *t, const void *values, int i)
{
    char shown[SETTING_TEXT_BYTES];
    const void *at = (const char *)values + t->rows[i].offset;
    switch (t->rows[i].kind) {
    case SETTING_INT:
        return json_integer(*(const int *)at);
    case SETTING_REAL:
        return json_real(*(const double *)at);
    case SETTING_BOOL:
        return json_boolean(*(const bool *)at);
    default:
        setting_table_show(t, values, i, shown);
        return json_string(shown);
    }
}

static json_t *rows_json(const struct settings *s, const struct setting_table *t,
                         const void *values)
{
    json_t *list = json_array();
    char origin[SETTINGS_ORIGIN_BYTES];
    for (int i = 0; list && i < t->count; i++) {
        const struct setting *row = &t->rows[i];
        struct setting_origin o = setting_table_origin(t, values, i);
        settings_origin(s, &o, origin);
        json_array_append_new(list,
                              json_pack("{s:s,s:o,s:s,s:s,s:s,s:s,s:b,s:s}", "name", row->name,
                                        "value", value_json(t, values, i), "default", row->standard,
                                        "unit", row->unit, "help", row->help, "section",
                                        row->section, "live", (int)row->live, "origin", origin));
    }
    return list;
}

json_t *settings_json(const struct settings *s, const struct camera_list *cameras)
{
    json_t *list = json_array();
    for (int i = 0; list && i < cameras->count; i++) {
        const struct camera_settings *c = &cameras->cameras[i];
        json_array_append_new(list, json_pack("{s:s,s:o}", "id", c->id, "settings",
                                              rows_json(s, camera_settings_table(), c)));
    }
    return json_pack("{s:o,s:o}", "settings", rows_json(s, settings_table(), s), "cameras", list);
}

/* ---- the schema ---- */

static json_t *words(const char *choices)
{
    json_t *list = json_array();
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, " ");
        json_array_append_new(list, json_stringn(p, n));
        p += n + (p[n] == ' ');
    }
    return list;
}

/* "a number, or one with a unit". */
static json_t *number_schema(const struct setting *row)
{
    const char *type = row->kind == SETTING_INT ? "integer" : "number";
    json_t *plain =
        json_pack("{s:s,s:f,s:f}", "type", type, "minimum", row->min, "maximum", row->max);
    json_t *text = json_pack("{s:s,s:s}", "type", "string", "pattern",
                             "^[-+.0-9]+(e[-+]?[0-9]+)? ?[A-Za-z1/%]*$|\\$\\{");
    return json_pack("{s:[o,o]}", "anyOf", plain, text);
}

static json_t *row_schema(const struct setting *row)
{
    static const char reference[] = "\\$\\{";
    json_t *o;
    if (row->kind == SETTING_INT || row->kind == SETTING_REAL)
        o = number_schema(row);
    else if (row->kind == SETTING_BOOL)
        o = json_pack("{s:[{s:s},{s:[s,s,s,s]},{s:s,s:s}]}", "anyOf", "type", "boolean", "enum",
                      "yes", "no", "on", "off", "type", "string", "pattern", reference);
    else if (row->kind == SETTING_CHOICE)
        o = json_pack("{s:[{s:o},{s:b},{s:s,s:s}]}", "anyOf", "enum", words(row->choices), "const",
                      0, "type", "string", "pattern", reference);
    else
        o = json_pack("{s:[s,s,s,s],s:i}", "type", "string", "number", "boolean", "null",
                      "maxLength", SETTING_TEXT_BYTES - 1);
    json_object_set_new(o, "description",
                        json_sprintf("%s%s%s%s", row->help, row->unit[0] ? " [" : "", row->unit,
                                     row->unit[0] ? "]" : ""));
    json_object_set_new(o, "default", json_string(row->standard));
    return o;
}

static json_t *map_schema(const struct setting_table *t)
{
    json_t *properties = json_object();
    for (int i = 0; i < t->count; i++)
        json_object_set_new(properties, t->rows[i].name, row_schema(&t->rows[i]));
    return json_pack("{s:[s,s],s:b,s:o}", "type", "object", "null", "additionalProperties", 0,
                     "properties", properties);
}

json_t *settings_schema(void)
{
    json_t *root = map_schema(settings_table()), *more = json_object_get(root, "properties");
    json_t *camera = map_schema(camera_settings_table());
    json_object_set_new(root, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(root, "title", json_string("settings of attune server"));
    json_object_set(more, "camera_defaults", camera);
    json_object_set_new(more, "cameras",
                        json_pack("{s:[s,s],s:i,s:b,s:{s:O}}", "type", "object", "null",
                                  "maxProperties", CAMERA_LIST_MAX, "additionalProperties", 0,
                                  "patternProperties", "^[a-z0-9_-]{1,63}$", camera));
    json_object_set_new(more, "configurations",
                        json_pack("{s:s,s:i}", "type", "array", "maxItems", CONFIGURATIONS_MAX));
    json_decref(camera);
    return root;
}
