/* class_map.c - the YAML file that turns a network's classes into a data set's labels
 * (docs/formats.md, "class map"). Strict: unknown keys, missing classes and double entries are
 * errors with their place in the file. */
#include "task/class_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/yaml.h"
#include "task/task.h"

void class_map_identity(const struct task_spec *spec, struct class_map *ret)
{
    memset(ret, 0, sizeof *ret);
    memset(ret->to_label, LABEL_IGNORE, sizeof ret->to_label);
    ret->label_count = ret->network_count = spec->class_count;
    ret->ignore = LABEL_IGNORE;
    for (int i = 0; i < spec->class_count; i++) {
        ret->to_label[i] = (uint8_t)i;
        memcpy(ret->label_name[i], spec->class_name[i], sizeof ret->label_name[i]);
    }
}

void class_map_apply(const struct class_map *map, struct label_map *l)
{
    size_t n = (size_t)l->width * (size_t)l->height;
    for (size_t i = 0; i < n; i++)
        l->classes[i] =
            l->classes[i] < map->network_count ? map->to_label[l->classes[i]] : LABEL_IGNORE;
}

static enum status read_names(const struct yaml_doc *d, const yaml_node *list, struct class_map *m,
                              struct error *err)
{
    if (!yaml_is_list(list) || yaml_count(list) < 2 || yaml_count(list) > CLASSES_MAX)
        return yaml_fail(d, list ? list : yaml_root(d), err,
                         "'labels' must be a list of 2 to %d class names", CLASSES_MAX);
    m->label_count = (int)yaml_count(list);
    for (int i = 0; i < m->label_count; i++) {
        const yaml_node *n = yaml_value(d, list, (size_t)i);
        const char *name = yaml_text(n);
        if (!name || !*name || strlen(name) > CLASS_NAME_CHARS_MAX)
            return yaml_fail(d, n, err, "a class name has 1 to %d characters",
                             CLASS_NAME_CHARS_MAX);
        snprintf(m->label_name[i], sizeof m->label_name[i], "%s", name);
    }
    return ST_OK;
}

static enum status read_target(const struct yaml_doc *d, const yaml_node *n,
                               const struct class_map *m, uint8_t *ret, struct error *err)
{
    const char *name = yaml_text(n);
    if (name && strcmp(name, "none") == 0) {
        *ret = LABEL_IGNORE;
        return ST_OK;
    }
    for (int i = 0; name && i < m->label_count; i++)
        if (strcmp(name, m->label_name[i]) == 0) {
            *ret = (uint8_t)i;
            return ST_OK;
        }
    return yaml_fail(d, n, err, "'%.60s' is not one of 'labels' (or none)", name ? name : "");
}

static enum status read_map(const struct yaml_doc *d, const yaml_node *map, struct class_map *m,
                            struct error *err)
{
    if (!yaml_is_map(map) || yaml_count(map) < 2 || yaml_count(map) > CLASSES_MAX)
        return yaml_fail(d, map ? map : yaml_root(d), err,
                         "'network' must map each class number of the network to a label or none");
    m->network_count = (int)yaml_count(map);
    bool seen[CLASSES_MAX] = {false};
    for (size_t i = 0; i < yaml_count(map); i++) {
        const yaml_node *key = yaml_key(d, map, i);
        double k;
        enum status st = yaml_number(d, key, 0, m->network_count - 1, &k, err);
        if (st != ST_OK)
            return st;
        int class_id = (int)k;
        if ((double)class_id != k || seen[class_id])
            return yaml_fail(d, key, err, "class numbers are whole and given once");
        seen[class_id] = true;
        st = read_target(d, yaml_value(d, map, i), m, &m->to_label[class_id], err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status read_document(const struct yaml_doc *d, struct class_map *m, struct error *err)
{
    static const char *const keys[] = {"labels", "ignore", "network"};
    const yaml_node *root = yaml_root(d);
    enum status st = yaml_check_keys(d, root, keys, 3, err);
    if (st == ST_OK)
        st = read_names(d, yaml_get(d, root, "labels"), m, err);
    if (st == ST_OK)
        st = read_map(d, yaml_get(d, root, "network"), m, err);
    m->ignore = -1;
    const yaml_node *ignore = yaml_get(d, root, "ignore");
    if (st == ST_OK && ignore) {
        double v;
        st = yaml_number(d, ignore, 0, 255, &v, err);
        if (st == ST_OK)
            m->ignore = (int)v;
    }
    return st;
}

enum status class_map_read(const void *text, size_t n, const char *name, struct class_map *ret,
                           struct error *err)
{
    struct yaml_doc *d = NULL;
    enum status st = yaml_open(text, n, name, &d, err);
    if (st != ST_OK)
        return st;
    struct class_map m = {0};
    st = read_document(d, &m, err);
    yaml_close(&d);
    if (st == ST_OK)
        *ret = m;
    return st;
}

enum status class_map_open(const char *path, struct class_map *ret, struct error *err)
{
    struct buf text;
    buf_init(&text);
    enum status st = file_read(path, YAML_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = class_map_read(text.data, text.size_bytes, path, ret, err);
    buf_clear(&text);
    return st;
}
