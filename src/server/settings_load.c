/* settings_load.c - everything that is said of the settings, in the order in which later ones win:
 * files as layers (first all that they say of the server and of cameras in common, then of each
 * camera), the environment, flags. */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/names.h"
#include "server/settings.h"
#include "store/store.h"

#define VARIABLE_PREFIX "ATTUNE_"
#define CAMERAS_PREFIX "CAMERAS_"
#define VARIABLE_CHARS_MAX 127

static const char *const others[] = {"cameras", "camera_defaults", "configurations", NULL};

struct layer {
    struct yaml_doc *doc;
    uint8_t file;
};

struct loading {
    struct settings set;
    struct camera_settings defaults;
    struct camera_list list;
    struct layer layers[SETTINGS_FILES_MAX];
    int count;
    struct setting_reading how;
};

static struct loading *loading_open(const struct settings *base, struct problems *p,
                                    struct error *err)
{
    struct loading *l = calloc(1, sizeof *l);
    if (!l) {
        error_set(err, ST_NOMEM, "no memory to read settings");
        return NULL;
    }
    l->set = *base;
    l->how.problems = p;
    camera_settings_init(&l->defaults);
    return l;
}

static void loading_close(struct loading **l)
{
    for (int i = 0; i < (*l)->count; i++)
        yaml_close(&(*l)->layers[i].doc);
    camera_list_clear(&(*l)->list);
    free(*l);
    *l = NULL;
}

static void note(struct loading *l, const struct error *err)
{
    problems_error(l->how.problems, "%s", err->message);
}

/* ---- files ---- */

static void add_text(struct loading *l, const void *text, size_t n, const char *name)
{
    struct error err;
    struct layer *to = &l->layers[l->count];
    if (l->set.file_count == SETTINGS_FILES_MAX)
        l->set.file_count = 0; /* those of before are not meant any more */
    to->file = (uint8_t)l->set.file_count;
    snprintf(l->set.files[l->set.file_count++], SETTINGS_PATH_BYTES, "%s", name);
    if (yaml_open(text, n, name, &to->doc, &err) == ST_OK)
        l->count++;
    else
        note(l, &err);
}

static void add_file(struct loading *l, const char *path)
{
    struct buf text;
    struct error err;
    buf_init(&text);
    if (file_read(path, SETTINGS_FILE_BYTES_MAX, &text, &err) == ST_OK)
        add_text(l, text.data, text.size_bytes, path);
    else
        problems_error(l->how.problems, "%s:1:1: %s; name a readable file of at most %zu bytes",
                       path, err.message, SETTINGS_FILE_BYTES_MAX);
    buf_clear(&text);
}

static int is_yaml(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

/* The folder conf.d beside the file, if there is one. */
static void add_folder(struct loading *l, const char *path)
{
    char folder[PATH_MAX], file[PATH_MAX + 256];
    const char *slash = strrchr(path, '/');
    struct dirent **found;
    snprintf(folder, sizeof folder, "%.*sconf.d", slash ? (int)(slash - path) + 1 : 0, path);
    int count = scandir(folder, &found, is_yaml, alphasort);
    if (count < 0)
        return;
    for (int i = 0; i < count; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, found[i]->d_name);
        if (i < SETTINGS_FILES_MAX - 1)
            add_file(l, file);
        else if (i == SETTINGS_FILES_MAX - 1)
            problems_error(l->how.problems,
                           "%s:1:1: there are more than %d files in %s; put some "
                           "into one",
                           file, SETTINGS_FILES_MAX - 1, folder);
        free(found[i]);
    }
    free(found);
}

/* No node, or an empty one ("gate:"). */
static bool says_nothing(const yaml_node *n)
{
    const char *text = yaml_text(n);
    return !n || (text && !*text);
}

/* ---- what files say of the server and of cameras in common ---- */

static void read_common(struct loading *l, const struct layer *from)
{
    struct error err;
    const yaml_node *root = yaml_root(from->doc);
    l->how.origin = (struct setting_origin){.from = SETTING_FROM_FILE, .file = from->file};
    if (says_nothing(root))
        return;
    setting_table_read(settings_table(), &l->set, from->doc, root, others, &l->how);
    const yaml_node *defaults = yaml_get(from->doc, root, "camera_defaults");
    const char *text = yaml_text(defaults);
    l->how.origin.shared = true;
    if (defaults && !(text && !*text))
        setting_table_read(camera_settings_table(), &l->defaults, from->doc, defaults, NULL,
                           &l->how);
    const yaml_node *trainings = yaml_get(from->doc, root, "configurations");
    if (trainings &&
        train_configurations_read(from->doc, trainings, &l->set.configurations, &err) != ST_OK)
        note(l, &err);
}

/* ---- what they say of each ---- */

static struct camera_settings *find_camera(struct loading *l, const char *id)
{
    return (struct camera_settings *)(uintptr_t)camera_list_find(&l->list, id);
}

/* NULL after a problem: no id, or given twice in one file. */
static struct camera_settings *camera_of(struct loading *l, const struct layer *from,
                                         const yaml_node *key)
{
    struct error err;
    size_t line, column;
    const char *id = yaml_text(key);
    if (!id || !store_camera_id_valid(id)) {
        yaml_fail(from->doc, key, &err,
                  "'%.60s' is no camera id; an id is 1 to %d of a-z, 0-9, _ and -", id ? id : "",
                  CAMERA_ID_CHARS_MAX);
        note(l, &err);
        return NULL;
    }
    struct camera_settings *c = find_camera(l, id);
    if (c && c->place.file == from->file) {
        yaml_fail(from->doc, key, &err,
                  "the camera '%s' is given twice, on line %u and here; "
                  "keep one",
                  id, c->place.line);
        note(l, &err);
        return NULL;
    }
    if (!c) {
        c = &l->list.cameras[l->list.count++];
        *c = l->defaults;
        snprintf(c->id, sizeof c->id, "%s", id);
    }
    yaml_place(key, &line, &column);
    c->place = l->how.origin;
    c->place.line = (uint32_t)line;
    c->place.column = (uint32_t)column;
    return c;
}

static const yaml_node *cameras_of(const struct layer *from)
{
    const yaml_node *root = yaml_root(from->doc);
    return root ? yaml_get(from->doc, root, "cameras") : NULL;
}

static void read_cameras(struct loading *l, const struct layer *from)
{
    const yaml_node *map = cameras_of(from);
    for (size_t i = 0; i < yaml_count(map) && l->how.problems->errors < PROBLEMS_MAX; i++) {
        const yaml_node *value = yaml_value(from->doc, map, i);
        l->how.origin = (struct setting_origin){.from = SETTING_FROM_FILE, .file = from->file};
        struct camera_settings *c = camera_of(l, from, yaml_key(from->doc, map, i));
        if (c && !says_nothing(value))
            setting_table_read(camera_settings_table(), c, from->doc, value, NULL, &l->how);
    }
}

/* Room for all cameras of all files; false after a problem. */
static bool make_list(struct loading *l, struct error *ret_fatal)
{
    size_t count = 0;
    struct error err;
    for (int i = 0; i < l->count; i++) {
        const yaml_node *map = cameras_of(&l->layers[i]);
        count += yaml_count(map);
        if (!says_nothing(map) && !yaml_is_map(map))
            yaml_fail(l->layers[i].doc, map, &err,
                      "this is no map; cameras takes one of camera ids to their settings");
        else if (count > CAMERA_LIST_MAX)
            yaml_fail(l->layers[i].doc, map, &err,
                      "there may be %d cameras, these are %zu; "
                      "another server takes the others",
                      CAMERA_LIST_MAX, count);
        else
            continue;
        note(l, &err);
        return false;
    }
    l->list.cameras = calloc(count ? count : 1, sizeof *l->list.cameras);
    if (!l->list.cameras)
        error_set(ret_fatal, ST_NOMEM, "no memory for %zu cameras", count);
    return l->list.cameras != NULL;
}

static enum status read_layers(struct loading *l)
{
    struct error fatal = {.code = ST_OK};
    for (int i = 0; i < l->count; i++)
        read_common(l, &l->layers[i]);
    if (make_list(l, &fatal))
        for (int i = 0; i < l->count; i++)
            read_cameras(l, &l->layers[i]);
    return fatal.code;
}

/* ---- the environment ---- */

static void put(struct loading *l, const struct setting_table *t, void *values, int row,
                const char *variable, const char *text)
{
    struct error err;
    const struct setting_origin origin = {.from = SETTING_FROM_ENVIRONMENT};
    if (setting_table_put(t, values, row, text, &l->how.substitutes, &origin, &err) != ST_OK)
        problems_error(l->how.problems, "environment variable %s: %s", variable, err.message);
}

/* name begins with the id in capitals, dashes as underscores: what follows, else NULL. */
static const char *behind_id(const char *name, const char *id)
{
    for (; *id; id++, name++)
        if (*name != (*id == '-' ? '_' : toupper((unsigned char)*id)))
            return NULL;
    return *name == '_' ? name + 1 : NULL;
}

static void lower(const char *name, char ret[VARIABLE_CHARS_MAX + 1])
{
    size_t i = 0;
    for (; i < VARIABLE_CHARS_MAX && name[i]; i++)
        ret[i] = (char)tolower((unsigned char)name[i]);
    ret[i] = '\0';
}

/* name: what follows ATTUNE_CAMERAS_. */
static void put_camera(struct loading *l, const char *variable, const char *name, const char *text)
{
    char key[VARIABLE_CHARS_MAX + 1];
    bool known = false;
    for (int i = 0; i < l->list.count; i++) {
        struct camera_settings *c = &l->list.cameras[i];
        const char *rest = behind_id(name, c->id);
        if (!rest)
            continue;
        lower(rest, key);
        int row = setting_table_find(camera_settings_table(), key);
        if (row < 0)
            continue;
        put(l, camera_settings_table(), c, row, variable, text);
        known = true;
    }
    if (!known)
        problems_warn(l->how.problems,
                      "environment variable %s: it names no camera of the file with a setting; "
                      "write " VARIABLE_PREFIX CAMERAS_PREFIX "ID_SETTING",
                      variable);
}

/* Variables of ours that are no settings: of our own processes, and of tests. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"SOURCE", "TOKEN", "SHARE",     "SHARE_FD", "PROGRAM",
                                       "MODELS", "DOCS",  "TEST_DATA", "TRACES",   "SHARED_DATA"};
    return names_find(ours, NAMES_COUNT(ours), name, -1) >= 0;
}

static void warn_unknown(struct loading *l, const char *variable, const char *key)
{
    const struct setting_table *t = settings_table();
    const char *known[SETTINGS_ROWS];
    for (int i = 0; i < t->count; i++)
        known[i] = t->rows[i].name;
    const char *near = yaml_nearest(key, known, (size_t)t->count);
    if (near)
        problems_warn(l->how.problems,
                      "environment variable %s: there is no setting '%s'; did you mean '%s'?",
                      variable, key, near);
}

static void read_variable(struct loading *l, const char *entry)
{
    char variable[VARIABLE_CHARS_MAX + 1], key[VARIABLE_CHARS_MAX + 1];
    const char *equals = strchr(entry, '=');
    if (!equals || equals - entry > VARIABLE_CHARS_MAX)
        return;
    snprintf(variable, sizeof variable, "%.*s", (int)(equals - entry), entry);
    const char *name = variable + strlen(VARIABLE_PREFIX);
    if (strncmp(name, CAMERAS_PREFIX, strlen(CAMERAS_PREFIX)) == 0 &&
        strcmp(name, "CAMERAS_MAX") != 0) {
        put_camera(l, variable, name + strlen(CAMERAS_PREFIX), equals + 1);
        return;
    }
    lower(name, key);
    int row = setting_table_find(settings_table(), key);
    if (row >= 0)
        put(l, settings_table(), &l->set, row, variable, equals + 1);
    else if (!is_ours(name))
        warn_unknown(l, variable, key);
}

static void read_environment(struct loading *l, const char *const *environment)
{
    for (int i = 0; environment && environment[i]; i++)
        if (strncmp(environment[i], VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0)
            read_variable(l, environment[i]);
}

static void read_flags(struct loading *l, const struct setting_flag *flags, int count)
{
    struct error err;
    for (int i = 0; i < count; i++)
        if (settings_set(&l->set, flags[i].name, flags[i].value, &err) != ST_OK)
            problems_error(l->how.problems, "--%s: %s", flags[i].name, err.message);
}

/* ---- all together ---- */

static void give(struct loading *l, struct settings *s, struct camera_list *cameras)
{
    *s = l->set;
    camera_list_clear(cameras);
    *cameras = l->list;
    camera_list_init(&l->list);
}

enum status settings_load(const struct settings_sources *from, struct settings *s,
                          struct camera_list *cameras, struct problems *problems, struct error *err)
{
    struct settings *base = malloc(sizeof *base);
    if (!base)
        return error_set(err, ST_NOMEM, "no memory to read settings");
    settings_init(base);
    struct loading *l = loading_open(base, problems, err);
    free(base);
    if (!l)
        return ST_NOMEM;
    l->how.substitutes = (struct substitutes){from->environment, true};
    if (from->path) {
        add_file(l, from->path);
        add_folder(l, from->path);
    }
    enum status st = read_layers(l);
    if (st != ST_OK)
        error_set(err, st, "no memory to read settings");
    read_environment(l, from->environment);
    read_flags(l, from->flags, from->flag_count);
    if (st == ST_OK) /* also when some are wrong: those are at their defaults then */
        settings_rules(&l->set, &l->list, !from->partial, problems);
    if (st == ST_OK)
        st = problems_status(problems, ST_INVALID, err);
    if (st == ST_OK)
        give(l, s, cameras);
    loading_close(&l);
    return st;
}

enum status settings_read(struct settings *s, struct camera_list *cameras, const void *text,
                          size_t n, const char *source, struct error *err)
{
    struct problems problems;
    problems_init(&problems);
    struct loading *l = loading_open(s, &problems, err);
    if (!l)
        return ST_NOMEM;
    add_text(l, text, n, source);
    enum status st = read_layers(l);
    if (st != ST_OK)
        error_set(err, st, "no memory to read settings");
    else
        st = problems_status(&problems, ST_FORMAT, err);
    if (st == ST_OK)
        give(l, s, cameras);
    loading_close(&l);
    return st;
}
