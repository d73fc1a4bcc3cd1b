/* segment.c - reads what a segmentation network expects, fills its input, resizes labels.
 * Scores are in confusion.c, class maps in class_map.c. */
#include "task/segment.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f};
static const float imagenet_std[3] = {0.229f, 0.224f, 0.225f};

static enum status read_shapes(const struct nn_model *m, struct segment_spec *s, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(m);
    if (g->input_count != 1 || g->output_count != 1)
        return error_set(
            err, ST_UNSUPPORTED,
            "a segmentation network has one input and one output, this one has %d and %d",
            g->input_count, g->output_count);
    const struct nn_tensor *in = &g->tensors[g->inputs[0]], *out = &g->tensors[g->outputs[0]];
    if (in->rank != 4 || in->dim[1] != 3 || in->dim[2] > FRAME_SIDE_MAX ||
        in->dim[3] > FRAME_SIDE_MAX)
        return error_set(err, ST_UNSUPPORTED,
                         "the input must be RGB images [N,3,H,W], sides at most %d",
                         FRAME_SIDE_MAX);
    if (out->rank != 4 || out->dim[1] < 2 || out->dim[1] > CLASSES_MAX ||
        out->dim[2] > FRAME_SIDE_MAX || out->dim[3] > FRAME_SIDE_MAX)
        return error_set(err, ST_UNSUPPORTED,
                         "the output must be logits [N,C,H,W] with 2 to %d classes", CLASSES_MAX);
    s->height = (int)in->dim[2];
    s->width = (int)in->dim[3];
    s->class_count = (int)out->dim[1];
    s->out_height = (int)out->dim[2];
    s->out_width = (int)out->dim[3];
    return ST_OK;
}

static enum status read_triple(const struct nn_model *m, const char *key, float ret[3],
                               struct error *err)
{
    const char *text = nn_model_metadata(m, key);
    if (!text)
        return ST_OK;
    float v[3];
    char rest;
    if (sscanf(text, " %f , %f , %f %c", &v[0], &v[1], &v[2], &rest) != 3 || !isfinite(v[0]) ||
        !isfinite(v[1]) || !isfinite(v[2]))
        return error_set(err, ST_UNSUPPORTED, "metadata %s must be three numbers, it is '%.80s'",
                         key, text);
    memcpy(ret, v, sizeof v);
    return ST_OK;
}

/* Splits "sky,road,car" into names; the count must be the network's. */
static enum status read_classes(const char *text, struct segment_spec *s, struct error *err)
{
    int count = 0;
    for (const char *p = text;; count++) {
        size_t n = strcspn(p, ",");
        if (count < s->class_count) {
            if (n == 0 || n > CLASS_NAME_CHARS_MAX)
                return error_set(err, ST_UNSUPPORTED,
                                 "metadata attune.classes: names have 1 to %d characters",
                                 CLASS_NAME_CHARS_MAX);
            memcpy(s->class_name[count], p, n);
            s->class_name[count][n] = '\0';
        }
        if (p[n] == '\0')
            break;
        p += n + 1;
    }
    if (count + 1 != s->class_count)
        return error_set(err, ST_UNSUPPORTED,
                         "metadata attune.classes names %d classes, the output has %d channels",
                         count + 1, s->class_count);
    return ST_OK;
}

static enum status read_metadata(const struct nn_model *m, struct segment_spec *s,
                                 struct error *err)
{
    const char *task = nn_model_metadata(m, "attune.task");
    if (task && strcmp(task, "segment") != 0)
        return error_set(err, ST_UNSUPPORTED, "the network's task is '%.40s', expected 'segment'",
                         task);
    enum status st = read_triple(m, "attune.mean", s->mean, err);
    if (st == ST_OK)
        st = read_triple(m, "attune.std", s->std, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < 3; i++)
        if (!(s->std[i] > 0))
            return error_set(err, ST_UNSUPPORTED, "metadata attune.std must be positive");
    const char *classes = nn_model_metadata(m, "attune.classes");
    s->from_metadata = task && classes;
    return classes ? read_classes(classes, s, err) : ST_OK;
}

enum status segment_spec_read(const struct nn_model *m, struct segment_spec *ret, struct error *err)
{
    struct segment_spec s = {0};
    enum status st = read_shapes(m, &s, err);
    if (st != ST_OK)
        return st;
    memcpy(s.mean, imagenet_mean, sizeof s.mean);
    memcpy(s.std, imagenet_std, sizeof s.std);
    for (int i = 0; i < s.class_count; i++)
        snprintf(s.class_name[i], sizeof s.class_name[i], "class%d", i);
    st = read_metadata(m, &s, err);
    if (st == ST_OK)
        *ret = s;
    return st;
}

enum status segment_specs_match(const struct segment_spec *student,
                                const struct segment_spec *teacher, struct error *err)
{
    if (student->class_count != teacher->class_count)
        return error_set(err, ST_UNSUPPORTED,
                         "the student has %d classes, the teacher %d; they must be the same",
                         student->class_count, teacher->class_count);
    if (!student->from_metadata || !teacher->from_metadata)
        return ST_OK;
    for (int i = 0; i < student->class_count; i++)
        if (strcmp(student->class_name[i], teacher->class_name[i]) != 0)
            return error_set(err, ST_UNSUPPORTED,
                             "class %d is '%s' for the student and '%s' for the teacher", i,
                             student->class_name[i], teacher->class_name[i]);
    return ST_OK;
}

void segment_input(const struct segment_spec *spec, const struct frame *frame,
                   const struct nn_view *input, int index)
{
    assert(frame->width == spec->width && frame->height == spec->height);
    assert(input->rank == 4 && index >= 0 && index < input->dim[0]);
    float table[3][256]; /* a byte's normalised value, per channel */
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            table[c][v] = ((float)v / 255.0f - spec->mean[c]) / spec->std[c];
    float *image = input->data + index * input->stride[0];
    const int64_t sc = input->stride[1], sy = input->stride[2], sx = input->stride[3];
    for (int y = 0; y < spec->height; y++) {
        const uint8_t *row = frame->pixels + (size_t)y * (size_t)spec->width * 3;
        for (int c = 0; c < 3; c++) {
            float *out = image + c * sc + y * sy;
            for (int x = 0; x < spec->width; x++)
                out[x * sx] = table[c][row[3 * x + c]];
        }
    }
}

void segment_resize_labels(const struct label_map *src, struct label_map *dst)
{
    for (int y = 0; y < dst->height; y++) {
        int sy = (int)(((int64_t)y * 2 + 1) * src->height / (2 * (int64_t)dst->height));
        const uint8_t *row = src->classes + (size_t)sy * (size_t)src->width;
        uint8_t *out = dst->classes + (size_t)y * (size_t)dst->width;
        for (int x = 0; x < dst->width; x++)
            out[x] = row[((int64_t)x * 2 + 1) * src->width / (2 * (int64_t)dst->width)];
    }
}
