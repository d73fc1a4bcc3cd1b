/* label.c - `attune label export`: the samples that cameras sent and the teacher labelled, as a
 * data set for annotation tools. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "label/export.h"
#include "nn/model.h"
#include "store/store.h"

#define NAME "label export"
#define CLASSES_BYTES_MAX 8192

static const char help_text[] =
    "usage: attune label export --state FOLDER --out FOLDER [OPTIONS]\n"
    "\n"
    "Writes what cameras have sent and the teacher has labelled as a data set that CVAT, Label\n"
    "Studio, FiftyOne and training programs read. The server may be running: its folder is only\n"
    "read.\n"
    "\n"
    "  --state FOLDER    of attune server (its setting `state`)\n"
    "  --out FOLDER      where to; it is made, and must be empty when it is there\n"
    "  --format FORMAT   coco: detection and segmentation, annotations.json beside images/; of a\n"
    "                    segmentation with NAME_label.png, which attune model train reads\n"
    "                    yolo: detection, images/ and labels/ with data.yaml\n"
    "                    folders: classification, a folder a class\n"
    "                    (default: coco, or folders of a classification)\n"
    "  --camera ID       of this camera only\n"
    "  --since WHEN      taken later than 2026-11-22, 2026-11-22T04:00:00Z, or 90m, 12h, 7d ago\n"
    "  --limit N         the newest N pictures of each camera\n"
    "  --min-score S     boxes that the teacher gave less are left out (default: 0)\n"
    "  --polygons        of a segmentation polygons instead of run lengths, for Label Studio; "
    "holes\n"
    "                    are filled\n"
    "  --png             pictures without loss (default: JPEG)\n"
    "  --quality Q       of JPEG, 1 to 100 (default: 95)\n"
    "  --student FILE    the server's student, for the names of the classes; only for the folder\n"
    "                    of an older server, which does not have them\n"
    "  --json            the summary as one line of JSON\n"
    "\n"
    "example: attune label export --state attune-state --out labels --camera gate --since 7d\n";

struct labels {
    enum task_kind task;
    int count;
    char name[CLASSES_MAX][CLASS_NAME_CHARS_MAX + 1];
    char teacher[65];
};

/* ---- names of the classes ---- */

static enum status read_names(const char *text, struct labels *ret, struct error *err)
{
    json_t *list = json_loads(text, 0, NULL);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < CLASSES_MAX; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        snprintf(ret->name[i], sizeof ret->name[i], "%s", name ? name : "?");
    }
    ret->count = (int)n;
    json_decref(list);
    return n >= 1 && n <= CLASSES_MAX
               ? ST_OK
               : error_set(err, ST_FORMAT, "the database does not name the classes");
}

static enum status from_state(const char *state, struct labels *ret, struct error *err)
{
    char text[CLASSES_BYTES_MAX], task[32];
    enum status st = store_peek_meta(state, "classes", text, sizeof text, err);
    if (st == ST_UNSUPPORTED)
        return error_set(err, ST_NOT_FOUND,
                         "%s does not say what the classes are called; name the server's student "
                         "with --student FILE.onnx",
                         state);
    if (st == ST_OK)
        st = store_peek_meta(state, "task", task, sizeof task, err);
    if (st == ST_OK)
        st = read_names(text, ret, err);
    if (st == ST_OK && store_peek_meta(state, "teacher", ret->teacher, 65, NULL) != ST_OK)
        ret->teacher[0] = '\0';
    ret->task = st == ST_OK ? task_parse(task) : 0;
    return st;
}

static enum status from_student(const char *path, struct labels *ret, struct error *err)
{
    struct nn_model *m;
    struct task_spec *spec = malloc(sizeof *spec);
    enum status st = spec ? nn_model_open(path, NULL, &m, err)
                          : error_set(err, ST_NOMEM, "no memory for a network");
    if (st == ST_OK) {
        st = task_spec_read(m, spec, err);
        nn_model_close(&m);
    }
    if (st == ST_OK) {
        ret->task = spec->task;
        ret->count = spec->class_count;
        memcpy(ret->name, spec->class_name, sizeof ret->name);
    }
    free(spec);
    return st;
}

/* ---- times ---- */

static bool read_ago(const char *text, uint64_t now_us, uint64_t *ret_us)
{
    static const char units[] = "smhd";
    static const double seconds[] = {1, 60, 3600, 86400};
    char *end;
    double v = strtod(text, &end);
    const char *unit = end > text && *end && !end[1] ? strchr(units, *end) : NULL;
    if (!unit || !(v >= 0) || v * seconds[unit - units] * 1e6 > (double)now_us)
        return false;
    *ret_us = now_us - (uint64_t)(v * seconds[unit - units] * 1e6);
    return true;
}

/* A date, or date and time of UTC. */
static bool read_date(const char *text, uint64_t *ret_us)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm utc = {0};
        const char *end = strptime(text, forms[i], &utc);
        time_t s = end && !*end ? timegm(&utc) : -1;
        if (s < 0)
            continue;
        *ret_us = (uint64_t)s * 1000000;
        return true;
    }
    return false;
}

/* ---- the command ---- */

struct view {
    struct progress bar;
    uint64_t start_us;
};

static void on_picture(void *context, uint64_t pictures)
{
    struct view *v = context;
    progress_update(&v->bar, pictures, NULL, clock_mono_us());
}

static int print_summary(const struct export_options *o, const struct export_summary *s, bool json)
{
    if (json)
        return cmd_json(NAME, json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "format",
                                        export_format_name(o->format), "task", task_name(o->task),
                                        "out", o->out, "cameras", (json_int_t)s->cameras,
                                        "pictures", (json_int_t)s->pictures, "annotations",
                                        (json_int_t)s->annotations, "damaged_chunks",
                                        (json_int_t)s->damaged));
    printf("%llu pictures of %llu cameras with %llu annotations in %s\n",
           (unsigned long long)s->pictures, (unsigned long long)s->cameras,
           (unsigned long long)s->annotations, o->out);
    if (s->damaged)
        printf("%llu chunks were damaged and are left out\n", (unsigned long long)s->damaged);
    return CMD_OK;
}

static int run(const struct export_options *given, const char *student, const char *format,
               bool json)
{
    struct labels *labels = calloc(1, sizeof *labels);
    struct export_options o = *given;
    struct view view = {.start_us = clock_mono_us()};
    struct export_summary summary;
    struct error err = {0};
    enum status st = !labels   ? error_set(&err, ST_NOMEM, "no memory for the classes")
                     : student ? from_student(student, labels, &err)
                               : from_state(o.state, labels, &err);
    if (st == ST_OK) {
        o.task = labels->task;
        o.class_count = labels->count;
        o.class_name = (const char(*)[CLASS_NAME_CHARS_MAX + 1]) labels->name;
        o.teacher = labels->teacher;
        o.format = format ? export_format_parse(format) : export_format_for(o.task);
        o.on_picture = on_picture;
        o.context = &view;
        progress_init(&view.bar, NAME, 0, json, view.start_us);
        st = export_labels(&o, &summary, &err);
        progress_clear(&view.bar);
    }
    free(labels);
    return st == ST_OK ? print_summary(&o, &summary, json) : cmd_fail(NAME, &err);
}

static int label_export(int argc, char **argv)
{
    struct export_options o = {.quality = 95, .now_us = clock_wall_us()};
    const char *since = NULL, *student = NULL, *format = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"state", CMD_TEXT, &o.state, 0, 0},
                                         {"out", CMD_TEXT, &o.out, 0, 0},
                                         {"format", CMD_TEXT, &format, 0, 0},
                                         {"camera", CMD_TEXT, &o.camera, 0, 0},
                                         {"since", CMD_TEXT, &since, 0, 0},
                                         {"limit", CMD_COUNT, &o.limit, 1, 1e12},
                                         {"min-score", CMD_NUMBER, &o.min_score, 0, 1},
                                         {"polygons", CMD_FLAG, &o.polygons, 0, 0},
                                         {"png", CMD_FLAG, &o.png, 0, 0},
                                         {"quality", CMD_WHOLE, &o.quality, 1, 100},
                                         {"student", CMD_TEXT, &student, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad;
    if (!o.state || !o.out)
        return cmd_usage(NAME, "--state FOLDER and --out FOLDER are needed");
    if (format && !export_format_parse(format))
        return cmd_usage(NAME, "--format is coco, yolo or folders, not '%.40s'", format);
    if (since && !read_ago(since, o.now_us, &o.since_us) && !read_date(since, &o.since_us))
        return cmd_usage(NAME,
                         "--since is a date, as 2026-11-22T04:00:00Z, or 12h or 7d ago, not "
                         "'%.40s'",
                         since);
    return run(&o, student, format, json);
}

static const struct cmd_sub verbs[] = {{"export", label_export}, {NULL, NULL}};

int cmd_label(int argc, char **argv)
{
    static const char usage[] =
        "usage: attune label VERB ...        attune label VERB --help teaches it\n"
        "\n"
        "  export         what cameras sent and the teacher labelled, for annotation tools\n";
    return cmd_sub_run("label", usage, verbs, argc, argv);
}
