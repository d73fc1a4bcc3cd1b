/* student.c - the public face of edge/student.h: frames of any layout in, answers out. */
#include <stdlib.h>
#include <string.h>

#include "library/library.h"
#include "video/frame.h"

_Static_assert(ATTUNE_BOXES_MAX == DETECT_BOXES_MAX, "as many boxes as a table has");
_Static_assert(ATTUNE_SIDE_MAX == FRAME_SIDE_MAX, "the same pictures");
_Static_assert((int)ATTUNE_NO_CLASS == LABEL_IGNORE, "the same mark");
_Static_assert((int)ATTUNE_SEGMENT == TASK_SEGMENT && (int)ATTUNE_CLASSIFY == TASK_CLASSIFY &&
                   (int)ATTUNE_DETECT == TASK_DETECT,
               "the same tasks");
_Static_assert((int)ATTUNE_RGB24 == PLANES_RGB && (int)ATTUNE_BGR24 == PLANES_BGR &&
                   (int)ATTUNE_RGBX == PLANES_RGBA && (int)ATTUNE_BGRX == PLANES_BGRA &&
                   (int)ATTUNE_GRAY8 == PLANES_GRAY && (int)ATTUNE_I420 == PLANES_I420 &&
                   (int)ATTUNE_NV12 == PLANES_NV12,
               "the same layouts");

static const struct task_spec *spec_of(const attune_student *s)
{
    return student_spec(s->network);
}

static enum status open_parts(attune_student *s, const char *path, int threads, struct error *err)
{
    const double full_size = 1;
    planes_scaler_init(&s->scaler);
    frame_init(&s->frame);
    label_map_init(&s->answer);
    enum status st = student_open(path, threads, &full_size, 1, &s->network, err);
    if (st == ST_OK)
        st = frame_resize(&s->frame, spec_of(s)->width, spec_of(s)->height, err);
    if (st == ST_OK)
        st = label_map_resize(&s->answer, spec_of(s)->out_width, spec_of(s)->out_height, err);
    return st;
}

attune_status attune_student_open(const char *path, int threads, attune_student **ret_student,
                                  attune_error *error)
{
    struct error err = {0};
    if (!path || !ret_student)
        return library_null(path ? "ret_student" : "path", error);
    enum status st = ST_OK;
    if (threads < 1 || threads > ATTUNE_THREADS_MAX)
        st = error_set(&err, ST_INVALID, "threads must be 1 to %d, not %d", ATTUNE_THREADS_MAX,
                       threads);
    attune_student *s = st == ST_OK ? calloc(1, sizeof *s) : NULL;
    if (st == ST_OK && !s)
        st = error_set(&err, ST_NOMEM, "no memory for a student");
    if (st == ST_OK)
        st = open_parts(s, path, threads, &err);
    if (st == ST_OK)
        *ret_student = s;
    else
        attune_student_close(&s);
    return library_status(st, &err, error);
}

void attune_student_close(attune_student **student)
{
    if (!student || !*student)
        return;
    student_close(&(*student)->network);
    planes_scaler_clear(&(*student)->scaler);
    frame_clear(&(*student)->frame);
    label_map_clear(&(*student)->answer);
    free(*student);
    *student = NULL;
}

/* ---- what it is ---- */

attune_task attune_student_task(const attune_student *student)
{
    return student ? (attune_task)spec_of(student)->task : (attune_task)0;
}

int attune_student_width(const attune_student *student)
{
    return student ? spec_of(student)->width : 0;
}

int attune_student_height(const attune_student *student)
{
    return student ? spec_of(student)->height : 0;
}

int attune_student_class_count(const attune_student *student)
{
    return student ? spec_of(student)->class_count : 0;
}

const char *attune_student_class_name(const attune_student *student, int class_id)
{
    if (!student || class_id < 0 || class_id >= spec_of(student)->class_count)
        return NULL;
    return spec_of(student)->class_name[class_id];
}

void attune_student_normalisation(const attune_student *student, float mean[3], float std[3])
{
    for (int i = 0; i < 3; i++) {
        mean[i] = student ? spec_of(student)->mean[i] : 0;
        std[i] = student ? spec_of(student)->std[i] : 1;
    }
}

const char *attune_student_identity(const attune_student *student)
{
    return student ? nn_model_identity_hex(student_model(student->network)) : "";
}

uint64_t attune_student_version(const attune_student *student)
{
    return student ? slot_version(student_slot(student->network)) : 0;
}

/* ---- frames ---- */

static void keep_boxes(attune_student *s)
{
    struct detection found[DETECT_BOXES_MAX];
    int count = detect_read(s->answer.classes, found);
    s->box_count = 0;
    for (int i = 0; i < count; i++) {
        const struct box *b = &found[i].box;
        if (!found[i].unsure)
            s->boxes[s->box_count++] =
                (attune_box){b->x0, b->y0, b->x1, b->y1, b->class_id, b->score};
    }
}

static enum status run(attune_student *s, const attune_image *image, struct error *err)
{
    struct planes planes = {.layout = (enum planes_layout)image->layout,
                            .width = image->width,
                            .height = image->height};
    memcpy(planes.data, image->plane, sizeof planes.data);
    memcpy(planes.stride_bytes, image->stride_bytes, sizeof planes.stride_bytes);
    uint64_t version;
    enum status st = planes_scaler_run(&s->scaler, &planes, &s->frame, err);
    if (st == ST_OK)
        st = student_infer(s->network, 0, &s->frame, s->answer.classes, &version, &s->logits, err);
    if (st != ST_OK)
        return st;
    if (spec_of(s)->task == TASK_DETECT)
        keep_boxes(s);
    s->answered = true;
    return ST_OK;
}

attune_status attune_student_run(attune_student *student, const attune_image *image,
                                 attune_error *error)
{
    struct error err = {0};
    if (!student || !image)
        return library_null(student ? "image" : "student", error);
    return library_status(run(student, image, &err), &err, error);
}

/* Whether there is an answer of the wanted kind. */
static enum status check_answer(const attune_student *s, bool boxes, struct error *err)
{
    if ((spec_of(s)->task == TASK_DETECT) != boxes)
        return error_set(err, ST_UNSUPPORTED, "the student's task is %s; its answer is %s",
                         task_name(spec_of(s)->task), boxes ? "a map" : "boxes");
    return s->answered ? ST_OK : error_set(err, ST_AGAIN, "no frame has run yet");
}

attune_status attune_student_map(const attune_student *student, const uint8_t **ret_map,
                                 int *ret_width, int *ret_height, attune_error *error)
{
    struct error err = {0};
    if (!student || !ret_map || !ret_width || !ret_height)
        return library_null("an argument", error);
    enum status st = check_answer(student, false, &err);
    if (st == ST_OK) {
        *ret_map = student->answer.classes;
        *ret_width = student->answer.width;
        *ret_height = student->answer.height;
    }
    return library_status(st, &err, error);
}

attune_status attune_student_probabilities(const attune_student *student, int x, int y,
                                           float *probability, attune_error *error)
{
    struct error err = {0};
    if (!student || !probability)
        return library_null(student ? "probability" : "student", error);
    enum status st = check_answer(student, false, &err);
    const struct task_spec *spec = spec_of(student);
    if (st == ST_OK && (x < 0 || x >= spec->out_width || y < 0 || y >= spec->out_height))
        st = error_set(&err, ST_INVALID, "cell %d,%d is outside of the answer's %d x %d", x, y,
                       spec->out_width, spec->out_height);
    if (st == ST_OK)
        task_probabilities(&student->logits, x, y, NULL, probability);
    return library_status(st, &err, error);
}

attune_status attune_student_boxes(const attune_student *student, const attune_box **ret_boxes,
                                   int *ret_count, attune_error *error)
{
    struct error err = {0};
    if (!student || !ret_boxes || !ret_count)
        return library_null("an argument", error);
    enum status st = check_answer(student, true, &err);
    if (st == ST_OK) {
        *ret_boxes = student->boxes;
        *ret_count = student->box_count;
    }
    return library_status(st, &err, error);
}

/* ---- weights ---- */

/* Only while nobody else applies updates. */
static enum status check_alone(const attune_student *s, struct error *err)
{
    if (atomic_load(&s->followed))
        return error_set(err, ST_CONFLICT,
                         "the student's updates come from a server; attune_updates_close first");
    return ST_OK;
}

attune_status attune_student_load(attune_student *student, const char *path, attune_error *error)
{
    struct error err = {0};
    if (!student || !path)
        return library_null(student ? "path" : "student", error);
    enum status st = check_alone(student, &err);
    if (st == ST_OK)
        st = slot_load(student_slot(student->network), path, &err);
    return library_status(st, &err, error);
}

attune_status attune_student_save(attune_student *student, const char *path, attune_error *error)
{
    struct error err = {0};
    if (!student || !path)
        return library_null(student ? "path" : "student", error);
    struct slot *slot = student_slot(student->network);
    enum status st = check_alone(student, &err);
    if (st == ST_OK && slot_settle(slot, &err) == ST_AGAIN)
        st = ST_AGAIN;
    if (st == ST_OK)
        st = slot_save(slot, path, &err);
    return library_status(st, &err, error);
}

attune_status attune_student_apply(attune_student *student, const void *bytes, size_t size_bytes,
                                   int *ret_applied, attune_error *error)
{
    struct error err = {0};
    bool offered = false;
    if (!student || !bytes)
        return library_null(student ? "bytes" : "student", error);
    enum status st = check_alone(student, &err);
    if (st == ST_OK)
        st = slot_offer(student_slot(student->network), bytes, size_bytes, &offered, &err);
    if (st == ST_OK && ret_applied)
        *ret_applied = offered;
    return library_status(st, &err, error);
}

attune_status attune_student_settle(attune_student *student, attune_error *error)
{
    struct error err = {0};
    if (!student)
        return library_null("student", error);
    enum status st = check_alone(student, &err);
    if (st == ST_OK)
        st = slot_settle(student_slot(student->network), &err);
    return library_status(st, &err, error);
}
