/* model_describe.c - `attune model describe`: says in a network's file what the network is for. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cmd/model.h"
#include "nn/describe.h"
#include "task/task.h"

#define NAME "model describe"

static const char help[] =
    "usage: attune model describe FILE.onnx --out OUT.onnx [OPTIONS]\n\n"
    "Writes the network again with metadata that says what it takes and gives, for files that "
    "come\n"
    "from elsewhere; the rest of the file stays as it is. What is not given stays as the file "
    "says\n"
    "it. Prints what attune then makes of it.\n\n"
    "  --task TASK        segment, classify or detect\n"
    "  --classes A,B,...  names of the classes, in order\n"
    "  --mean R,G,B       of RGB in 0..1, taken off; default of files that say nothing: "
    "ImageNet's\n"
    "  --std R,G,B        ... and divided by; 0.0039216 for networks that take 0..255\n"
    "  --order rgb|bgr    of the input's channels\n"
    "of a detector\n"
    "  --fit FIT          of a teacher: stretch (default), or letterbox: pictures keep their "
    "aspect\n"
    "  --head HEAD        yolox, fastestdet or grid (src/task/detect_head.h)\n"
    "  --channels N,...   which of the file's classes those of --classes are, where not all\n"
    "  --threshold X      score from which a box is answered, default 0.35\n"
    "  --unsure X         score from which a box is kept as unsure, default 0.1\n"
    "  --nms X            overlap from which the weaker of two boxes goes, default 0.5\n\n"
    "example: attune model describe FastestDet.onnx --out student.onnx --task detect \\\n"
    "           --head fastestdet --classes person,bicycle,car,motorcycle,bus,truck \\\n"
    "           --channels 0,1,2,3,5,7 --mean 0,0,0 --std 1,1,1 --order bgr\n";

static const char *const keys[] = {
    "attune.task",          "attune.classes",         "attune.mean",
    "attune.std",           "attune.order",           "attune.fit",
    "attune.detect.head",   "attune.detect.channels", "attune.detect.threshold",
    "attune.detect.unsure", "attune.detect.nms"};
#define KEYS (sizeof keys / sizeof *keys)

static const char *const flags[KEYS] = {"task", "classes",  "mean",      "std",    "order", "fit",
                                        "head", "channels", "threshold", "unsure", "nms"};

static void print_spec(const struct task_spec *s)
{
    printf("task         %s\ninput        %d x %d, %s%s\nclasses     ", task_name(s->task),
           s->width, s->height, s->bgr ? "bgr" : "rgb", s->letterbox ? ", letterbox" : "");
    for (int k = 0; k < s->class_count; k++)
        printf(" %s", s->class_name[k]);
    puts("");
    if (s->task == TASK_DETECT)
        printf("boxes        %d cells on %d grid%s; answered from %.3g, unsure from %.3g\n",
               s->head.cell_count, s->head.level_count, s->head.level_count > 1 ? "s" : "",
               (double)s->head.threshold, (double)s->head.unsure);
}

static enum status describe(const char *path, const char *out, const char *const values[KEYS],
                            struct task_spec *ret, struct error *err)
{
    struct nn_property properties[KEYS];
    struct nn_model *m = NULL;
    struct buf file, made;
    int count = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (values[i])
            properties[count++] = (struct nn_property){keys[i], values[i]};
    buf_init(&file);
    buf_init(&made);
    enum status st = file_read(path, NN_FILE_BYTES_MAX, &file, err);
    if (st == ST_OK)
        st = nn_describe(file.data, file.size_bytes, properties, count, &made, err);
    if (st == ST_OK)
        st = nn_model_read(made.data, made.size_bytes, NULL, &m, err);
    if (st == ST_OK)
        st = task_spec_read(m, ret, err);
    if (st != ST_OK)
        error_prefix(err, "%s", path);
    else
        st = file_write(out, made.data, made.size_bytes, err);
    nn_model_close(&m);
    buf_clear(&file);
    buf_clear(&made);
    return st;
}

int cmd_model_describe(int argc, char **argv)
{
    const char *path = NULL, *out = NULL, *values[KEYS] = {NULL};
    struct cmd_option options[KEYS + 2] = {{"out", CMD_TEXT, &out, 0, 0}};
    for (size_t i = 0; i < KEYS; i++)
        options[i + 1] = (struct cmd_option){flags[i], CMD_TEXT, &values[i], 0, 0};
    int code = cmd_parse(NAME, help, options, argc, argv, &path, 1, 1, NULL);
    if (code >= 0)
        return code;
    if (!out)
        return cmd_usage(NAME, "--out is needed");
    struct task_spec spec;
    struct error err = {0};
    if (describe(path, out, values, &spec, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    print_spec(&spec);
    return CMD_OK;
}
