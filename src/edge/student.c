/* student.c - opens one file at several sizes; scales the frame in and the answer out. */
#include "edge/student.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/loss.h"
#include "video/frame.h"
#include "video/scale.h"

struct size {
    struct nn_model *model;
    struct task_spec spec;
    struct scaler scaler; /* from the full size */
    struct frame scaled;
    struct label_map answer;
};

struct student {
    struct size sizes[SLOT_SIZES_MAX];
    double scales[SLOT_SIZES_MAX];
    int count;
    struct slot *slot;
    char note[STUDENT_NOTE_CHARS_MAX + 1];
};

static int side_near(int side, double scale, int multiple)
{
    int n = (int)lround(side * scale / multiple);
    return multiple * (n < 1 ? 1 : n);
}

static void clear_size(struct size *z)
{
    nn_model_close(&z->model);
    scaler_clear(&z->scaler);
    frame_clear(&z->scaled);
    label_map_clear(&z->answer);
}

static enum status open_model(const char *path, const struct nn_model_options *o, struct size *z,
                              struct error *err)
{
    enum status st = nn_model_open(path, o, &z->model, err);
    if (st == ST_OK)
        st = task_spec_read(z->model, &z->spec, err);
    return st == ST_OK ? task_spec_check_student(&z->spec, err) : st;
}

/* What a frame needs, the scaler's tables among it: so that none has to wait for memory. */
static enum status take_buffers(const struct task_spec *full, struct size *z, struct error *err)
{
    struct frame blank;
    frame_init(&blank);
    enum status st = frame_resize(&blank, full->width, full->height, err);
    if (st == ST_OK)
        st = frame_resize(&z->scaled, z->spec.width, z->spec.height, err);
    if (st == ST_OK)
        st = label_map_resize(&z->answer, z->spec.out_width, z->spec.out_height, err);
    if (st == ST_OK) {
        memset(blank.pixels, 0, frame_bytes(&blank));
        st = scaler_run(&z->scaler, &blank, &z->scaled, err);
    }
    frame_clear(&blank);
    return st;
}

/* One attempt: a session is opened and closed, since only that shows that the network takes the
 * size. */
static enum status try_size(const char *path, const struct task_spec *full, int width, int height,
                            struct size *z, struct error *err)
{
    const struct nn_model_options o = {.height = height, .width = width};
    struct nn_session *trial = NULL;
    scaler_init(&z->scaler);
    frame_init(&z->scaled);
    label_map_init(&z->answer);
    z->model = NULL;
    enum status st = open_model(path, &o, z, err);
    if (st == ST_OK && (z->spec.width != width || z->spec.height != height))
        st = error_set(err, ST_UNSUPPORTED, "the file fixes its input size");
    if (st == ST_OK)
        st = nn_session_open(z->model, NULL, &trial, err);
    nn_session_close(&trial);
    if (st == ST_OK)
        st = take_buffers(full, z, err);
    if (st != ST_OK)
        clear_size(z);
    return st;
}

static bool is_new(const struct student *s, int width, int height)
{
    for (int i = 0; i < s->count; i++)
        if (s->sizes[i].spec.width == width && s->sizes[i].spec.height == height)
            return false;
    return true;
}

static enum status add_size(struct student *s, const char *path, double scale, struct error *err)
{
    static const int multiples[] = {8, 16, 32};
    const struct task_spec *full = &s->sizes[0].spec;
    enum status st = ST_UNSUPPORTED;
    for (size_t i = 0; i < sizeof multiples / sizeof multiples[0]; i++) {
        int width = side_near(full->width, scale, multiples[i]);
        int height = side_near(full->height, scale, multiples[i]);
        if (!is_new(s, width, height)) {
            error_set(err, st, "%d x %d pixels are there already", width, height);
            continue;
        }
        st = try_size(path, full, width, height, &s->sizes[s->count], err);
        if (st == ST_OK) {
            s->scales[s->count++] = scale;
            return ST_OK;
        }
        if (st == ST_NOMEM)
            return st;
    }
    return st;
}

static enum status add_sizes(struct student *s, const char *path, const double *scales, int count,
                             struct error *err)
{
    for (int i = 1; i < count; i++) {
        struct error why = {0};
        enum status st = add_size(s, path, scales[i], &why);
        if (st == ST_NOMEM)
            return error_set(err, st, "%s", why.message);
        if (st != ST_OK && !s->note[0])
            snprintf(s->note, sizeof s->note,
                     "the student does not run at %.3g of its size: %.100s", scales[i],
                     why.message);
    }
    return ST_OK;
}

enum status student_open(const char *path, int threads, const double *scales, int count,
                         struct student **ret, struct error *err)
{
    assert(count >= 1 && count <= SLOT_SIZES_MAX && scales[0] == 1);
    struct student *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the student");
    enum status st = open_model(path, NULL, &s->sizes[0], err);
    s->scales[0] = 1;
    s->count = 1;
    if (st == ST_OK)
        st = add_sizes(s, path, scales, count, err);
    const struct nn_model *models[SLOT_SIZES_MAX];
    for (int i = 0; i < s->count; i++)
        models[i] = s->sizes[i].model;
    if (st == ST_OK)
        st = slot_open(models, s->count, threads, &s->slot, err);
    if (st == ST_OK)
        *ret = s;
    else
        student_close(&s);
    return st;
}

void student_close(struct student **s)
{
    if (!s || !*s)
        return;
    slot_close(&(*s)->slot);
    for (int i = 0; i < (*s)->count; i++)
        clear_size(&(*s)->sizes[i]);
    free(*s);
    *s = NULL;
}

const struct nn_model *student_model(const struct student *s)
{
    return s->sizes[0].model;
}

struct slot *student_slot(struct student *s)
{
    return s->slot;
}

const struct task_spec *student_spec(const struct student *s)
{
    return &s->sizes[0].spec;
}

int student_scales(const struct student *s, const double **ret_scales)
{
    *ret_scales = s->scales;
    return s->count;
}

const char *student_note(const struct student *s)
{
    return s->note;
}

enum status student_infer(struct student *s, int size, const struct frame *frame, uint8_t *labels,
                          uint64_t *ret_version, struct nn_view *ret_logits, struct error *err)
{
    assert(size >= 0 && size < s->count);
    struct size *z = &s->sizes[size];
    const struct task_spec *full = &s->sizes[0].spec;
    enum status st = size > 0 ? scaler_run(&z->scaler, frame, &z->scaled, err) : ST_OK;
    if (st != ST_OK)
        return st;
    struct nn_session *session = slot_session(s->slot, size);
    const struct nn_view input = nn_session_input(session, 0);
    task_input(&z->spec, size > 0 ? &z->scaled : frame, &input, 0);
    st = slot_forward(s->slot, size, ret_version, err);
    if (st != ST_OK)
        return st;
    *ret_logits = nn_session_output(session, 0);
    task_answer(&z->spec, ret_logits, NULL, size > 0 ? z->answer.classes : labels);
    struct label_map out = {full->out_width, full->out_height, labels};
    if (size > 0)
        task_resize_labels(&z->answer, &out);
    return ST_OK;
}
