/* trace_json.c - the profiles of one city as Ekya's simulator writes them. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/trace_internal.h"

struct reader {
    struct trace *t;
    const char *name;
    int camera;
    struct error *err;
};

static enum status bad(const struct reader *r, const char *window, const char *what)
{
    return error_set(r->err, ST_FORMAT, "%s: window %.20s: %s", r->name, window, what);
}

/* "CONFIG_EPOCH": epochs are counted from 0 there. */
static bool read_key(const json_t *v, int *ret_config, int *ret_epochs)
{
    int used = 0;
    const char *text = json_string_value(v);
    if (!text || sscanf(text, "%d_%d%n", ret_config, ret_epochs, &used) != 2 || text[used] ||
        *ret_config < 0 || *ret_epochs < 0 || *ret_epochs >= 1000)
        return false;
    ++*ret_epochs;
    return true;
}

static bool read_number(const json_t *v, double min, double max, double *ret)
{
    double x = json_is_number(v) ? json_number_value(v) : NAN;
    *ret = x;
    return x >= min && x <= max;
}

static bool read_entry(const json_t *entry, struct trace_row *row)
{
    return json_array_size(entry) >= 4 &&
           read_key(json_array_get(entry, 0), &row->config, &row->epochs) &&
           read_number(json_array_get(entry, 1), 0, 1, &row->start) &&
           read_number(json_array_get(entry, 2), 0, 1, &row->end) &&
           read_number(json_array_get(entry, 3), 1e-6, 1e9, &row->compute_s);
}

/* The estimate of the same window, configuration and epochs. */
static void read_estimate(const json_t *predicted, struct trace_row *row)
{
    row->est_start = row->est_end = NAN;
    for (size_t i = 0; i < json_array_size(predicted); i++) {
        struct trace_row p;
        if (read_entry(json_array_get(predicted, i), &p) && p.config == row->config &&
            p.epochs == row->epochs) {
            row->est_start = p.start;
            row->est_end = p.end;
            return;
        }
    }
}

static enum status add_window(struct reader *r, const char *window, const json_t *entries,
                              const json_t *predicted)
{
    char *end;
    long number = strtol(window, &end, 10);
    if (end == window || *end || number < 0 || number > 1000000 || !json_is_array(entries))
        return bad(r, window, "a number with a list of profiles is expected");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        struct trace_row row = {.camera = r->camera, .window = (int)number};
        if (!read_entry(json_array_get(entries, i), &row))
            return bad(r, window, "a profile must be [\"CONFIG_EPOCH\", start, end, gpu_seconds]");
        read_estimate(predicted, &row);
        enum status st = trace_add(r->t, &row, r->err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static int camera_of(struct trace *t, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char name[TRACE_NAME_CHARS_MAX + 1];
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    char *dot = strstr(name, ".json");
    if (dot)
        *dot = '\0';
    return trace_camera(t, name, err);
}

enum status trace_add_json(struct trace *t, const void *text, size_t n, const char *name,
                           struct error *err)
{
    json_error_t why;
    struct reader r = {.t = t, .name = name, .err = err};
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return error_set(err, ST_FORMAT, "%s:%d:%d: %s", name, why.line, why.column, why.text);
    json_t *profiles = json_object_get(root, "taskwise_train_profiles"), *entries;
    const json_t *predicted = json_object_get(root, "taskwise_predicted_profiles");
    enum status st = ST_OK;
    if (!json_is_object(profiles))
        st = error_set(err, ST_FORMAT, "%s has no taskwise_train_profiles", name);
    if (st == ST_OK) {
        r.camera = camera_of(t, name, err);
        st = r.camera < 0 ? ST_LIMIT : ST_OK;
    }
    const char *window;
    json_object_foreach(profiles, window, entries)
    {
        if (st == ST_OK)
            st = add_window(&r, window, entries, json_object_get(predicted, window));
    }
    json_decref(root);
    return st;
}
