/* task.c - the table of tasks; reads what a network expects, fills its input, resizes labels.
 * Counts are in confusion.c, class maps in class_map.c. */
#include "task/task.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "nn/loss.h"

static const char *const task_names[] = {
    [TASK_SEGMENT] = "segment", [TASK_CLASSIFY] = "classify", [TASK_DETECT] = "detect"};

const char *task_name(enum task_kind task)
{
    return names_text(task_names, NAMES_COUNT(task_names), task, NULL);
}

enum task_kind task_parse(const char *name)
{
    return (enum task_kind)names_find(task_names, NAMES_COUNT(task_names), name, 0);
}

/* How a task is judged. */
static const struct {
    const char *name;
    double (*all)(const struct confusion *c);
    double (*of_class)(const struct confusion *c, int class_id);
} scores[] = {[TASK_SEGMENT] = {"mIoU", confusion_miou, confusion_iou},
              [TASK_CLASSIFY] = {"accuracy", confusion_accuracy, confusion_recall},
              [TASK_DETECT] = {"F1", confusion_f1, confusion_class_f1}};

void task_counts_init(enum task_kind task, int class_count, struct confusion *c)
{
    if (task == TASK_DETECT)
        confusion_init_boxes(c, class_count);
    else
        confusion_init(c, class_count);
}

double task_score(enum task_kind task, const struct confusion *c)
{
    return scores[task].all(c);
}

const char *task_score_name(enum task_kind task)
{
    return scores[task].name;
}

double task_class_score(enum task_kind task, const struct confusion *c, int class_id)
{
    return scores[task].of_class(c, class_id);
}

static const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f};
static const float imagenet_std[3] = {0.229f, 0.224f, 0.225f};

/* [N,C] or [N,C,h,w]. */
static bool read_output(const struct nn_tensor *out, struct task_spec *s)
{
    if ((out->rank != 2 && out->rank != 4) || out->dim[1] < 2 || out->dim[1] > CLASSES_MAX)
        return false;
    bool grid = out->rank == 4;
    if (grid && (out->dim[2] > FRAME_SIDE_MAX || out->dim[3] > FRAME_SIDE_MAX))
        return false;
    s->class_count = (int)out->dim[1];
    s->out_height = grid ? (int)out->dim[2] : 1;
    s->out_width = grid ? (int)out->dim[3] : 1;
    s->task = task_cells(s) == 1 ? TASK_CLASSIFY : TASK_SEGMENT;
    return true;
}

static enum status read_shapes(const struct nn_model *m, struct task_spec *s, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(m);
    if (g->input_count != 1 || g->output_count != 1)
        return error_set(err, ST_UNSUPPORTED,
                         "a network has one input and one output, this one has %d and %d",
                         g->input_count, g->output_count);
    const struct nn_tensor *in = &g->tensors[g->inputs[0]], *out = &g->tensors[g->outputs[0]];
    if (in->rank != 4 || in->dim[1] != 3 || in->dim[2] > FRAME_SIDE_MAX ||
        in->dim[3] > FRAME_SIDE_MAX)
        return error_set(err, ST_UNSUPPORTED,
                         "the input must be RGB images [N,3,H,W], sides at most %d",
                         FRAME_SIDE_MAX);
    s->height = (int)in->dim[2];
    s->width = (int)in->dim[3];
    if (s->task == TASK_DETECT)
        return ST_OK; /* read_head */
    if (!read_output(out, s))
        return error_set(err, ST_UNSUPPORTED,
                         "the output must be logits of 2 to %d classes: [N,C,H,W] for every pixel "
                         "or [N,C] for the picture; a detector says so in its metadata "
                         "(attune model describe)",
                         CLASSES_MAX);
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
static enum status read_classes(const char *text, struct task_spec *s, struct error *err)
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

static enum status read_task(const char *name, struct task_spec *s, struct error *err)
{
    enum task_kind task = task_parse(name);
    if (!task)
        return error_set(err, ST_UNSUPPORTED,
                         "the network's task is '%.40s'; those known are segment, classify and "
                         "detect",
                         name);
    if (task == TASK_DETECT)
        return ST_OK; /* its shapes have been read */
    if (task == TASK_CLASSIFY && task_cells(s) != 1)
        return error_set(err, ST_UNSUPPORTED,
                         "a classification has logits [N,C], this network's are %d x %d",
                         s->out_width, s->out_height);
    s->task = task;
    return ST_OK;
}

static enum status read_order(const struct nn_model *m, struct task_spec *s, struct error *err)
{
    const char *text = nn_model_metadata(m, "attune.order");
    if (text && strcmp(text, "rgb") != 0 && strcmp(text, "bgr") != 0)
        return error_set(err, ST_UNSUPPORTED, "metadata attune.order is rgb or bgr, not '%.40s'",
                         text);
    s->bgr = text && strcmp(text, "bgr") == 0;
    return ST_OK;
}

static enum status read_fit(const struct nn_model *m, struct task_spec *s, struct error *err)
{
    const char *text = nn_model_metadata(m, "attune.fit");
    s->letterbox = text && strcmp(text, "letterbox") == 0;
    if (text && !s->letterbox && strcmp(text, "stretch") != 0)
        return error_set(err, ST_UNSUPPORTED,
                         "metadata attune.fit is stretch or letterbox, not '%.40s'", text);
    if (s->letterbox && s->task != TASK_DETECT)
        return error_set(err, ST_UNSUPPORTED, "metadata attune.fit is letterbox of detectors only");
    return ST_OK;
}

/* Of a detector: its head, and how many classes it has. */
static enum status read_head(const struct nn_model *m, struct task_spec *s, struct error *err)
{
    const char *classes = nn_model_metadata(m, "attune.classes");
    int count = classes ? 1 : 0;
    for (const char *p = classes; p && *p; p++)
        count += *p == ',';
    s->out_width = DETECT_ROW_BYTES;
    s->out_height = DETECT_BOXES_MAX;
    enum status st = detect_head_read(m, count, &s->head, err);
    s->class_count = st == ST_OK ? s->head.class_count : 0;
    return st;
}

static enum status read_metadata(const struct nn_model *m, struct task_spec *s, struct error *err)
{
    const char *task = nn_model_metadata(m, "attune.task");
    enum status st = task ? read_task(task, s, err) : ST_OK;
    if (st == ST_OK)
        st = read_triple(m, "attune.mean", s->mean, err);
    if (st == ST_OK)
        st = read_triple(m, "attune.std", s->std, err);
    if (st == ST_OK)
        st = read_order(m, s, err);
    if (st == ST_OK)
        st = read_fit(m, s, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < 3; i++)
        if (!(s->std[i] > 0))
            return error_set(err, ST_UNSUPPORTED, "metadata attune.std must be positive");
    const char *classes = nn_model_metadata(m, "attune.classes");
    s->from_metadata = task && classes;
    return classes ? read_classes(classes, s, err) : ST_OK;
}

enum status task_spec_read(const struct nn_model *m, struct task_spec *ret, struct error *err)
{
    struct task_spec s = {.task = task_parse(nn_model_metadata(m, "attune.task"))};
    enum status st = read_shapes(m, &s, err);
    if (st == ST_OK && s.task == TASK_DETECT)
        st = read_head(m, &s, err);
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

enum status task_spec_check_student(const struct task_spec *spec, struct error *err)
{
    if (spec->letterbox)
        return error_set(err, ST_UNSUPPORTED,
                         "metadata attune.fit is letterbox, which is for teachers: describe the "
                         "student with --fit stretch");
    return ST_OK;
}

enum status task_specs_match(const struct task_spec *student, const struct task_spec *teacher,
                             struct error *err)
{
    if (student->task != teacher->task)
        return error_set(err, ST_UNSUPPORTED,
                         "the student's task is %s, the teacher's %s; they must be the same",
                         task_name(student->task), task_name(teacher->task));
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

void task_input(const struct task_spec *spec, const struct frame *frame,
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
            float *out = image + (spec->bgr ? 2 - c : c) * sc + y * sy;
            for (int x = 0; x < spec->width; x++)
                out[x * sx] = table[c][row[3 * x + c]];
        }
    }
}

void task_answer(const struct task_spec *spec, const struct nn_view *output,
                 const uint8_t *class_chosen, uint8_t *classes)
{
    if (spec->task != TASK_DETECT) {
        nn_argmax(output, class_chosen, classes);
        return;
    }
    for (int i = 0; i < (int)output->dim[0]; i++)
        detect_decode(&spec->head, output, i, class_chosen,
                      classes + (size_t)i * DETECT_TABLE_BYTES);
}

void task_map_classes(enum task_kind task, const struct class_map *map, struct label_map *l)
{
    if (task == TASK_DETECT)
        detect_map_classes(map->to_label, l->classes);
    else
        class_map_apply(map, l);
}

void task_no_answer(enum task_kind task, struct label_map *l)
{
    memset(l->classes, task == TASK_DETECT ? LABEL_IGNORE : 0,
           (size_t)l->width * (size_t)l->height);
}

void task_choose_labels(const struct task_spec *spec, const uint8_t *class_chosen,
                        const struct label_map *from, uint8_t *to)
{
    size_t pixels = (size_t)from->width * (size_t)from->height;
    uint8_t to_class[256];
    for (int c = 0; c < 256; c++)
        to_class[c] =
            c < spec->class_count && (!class_chosen || class_chosen[c]) ? (uint8_t)c : LABEL_IGNORE;
    if (spec->task == TASK_DETECT) {
        memcpy(to, from->classes, pixels);
        detect_map_classes(to_class, to);
        return;
    }
    for (size_t i = 0; i < pixels; i++)
        to[i] = to_class[from->classes[i]];
}

void task_resize_labels(const struct label_map *src, struct label_map *dst)
{
    for (int y = 0; y < dst->height; y++) {
        int sy = (int)(((int64_t)y * 2 + 1) * src->height / (2 * (int64_t)dst->height));
        const uint8_t *row = src->classes + (size_t)sy * (size_t)src->width;
        uint8_t *out = dst->classes + (size_t)y * (size_t)dst->width;
        for (int x = 0; x < dst->width; x++)
            out[x] = row[((int64_t)x * 2 + 1) * src->width / (2 * (int64_t)dst->width)];
    }
}

static float box_weights(const uint8_t *table, int class_count, float *weight)
{
    struct detection d[DETECT_BOXES_MAX];
    int count = detect_read(table, d), counted = 0;
    float score = 0;
    for (int i = 0; i < count; i++) {
        const struct box *b = &d[i].box;
        if (d[i].unsure || b->class_id >= class_count)
            continue;
        weight[b->class_id] += (b->x1 - b->x0) * (b->y1 - b->y0);
        score += b->score;
        counted++;
    }
    return counted ? score / (float)counted : NAN;
}

float task_class_weights(const struct task_spec *spec, const uint8_t *classes, float *weight)
{
    memset(weight, 0, (size_t)spec->class_count * sizeof *weight);
    if (spec->task == TASK_DETECT)
        return box_weights(classes, spec->class_count, weight);
    for (size_t i = 0; i < task_cells(spec); i++)
        if (classes[i] < spec->class_count)
            weight[classes[i]]++;
    return NAN;
}

void task_probabilities(const struct nn_view *logits, int x, int y, const uint8_t *class_chosen,
                        float *probability)
{
    const float *at = logits->data;
    if (logits->rank == 4)
        at += y * logits->stride[2] + x * logits->stride[3];
    float largest = -INFINITY, sum = 0;
    int count = (int)logits->dim[1];
    int64_t stride = logits->stride[1];
    for (int k = 0; k < count; k++)
        if ((!class_chosen || class_chosen[k]) && at[k * stride] > largest)
            largest = at[k * stride];
    for (int k = 0; k < count; k++) {
        bool chosen = !class_chosen || class_chosen[k];
        probability[k] = chosen ? expf(at[k * stride] - largest) : 0;
        sum += probability[k];
    }
    for (int k = 0; k < count; k++)
        probability[k] /= sum;
}
