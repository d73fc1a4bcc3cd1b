/* doctor.c - the list, the file, and the models; doctor_machine.c and doctor_network.c have the
 * rest.
 */
#include "server/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/names.h"
#include "label/labeller.h"
#include "nn/session.h"

#define RUNS 5 /* of a model; the shortest counts */

static const char *const level_names[] = {NULL, "ok", "warn", "fail"};

const char *doctor_level_name(enum doctor_level l)
{
    return names_text(level_names, NAMES_COUNT(level_names), l, "");
}

void doctor_init(struct doctor *d)
{
    *d = (struct doctor){.lines = NULL};
}

void doctor_clear(struct doctor *d)
{
    free(d->lines);
    doctor_init(d);
}

static struct doctor_line *add_line(struct doctor *d)
{
    if (d->count == d->capacity && d->capacity < DOCTOR_LINES_MAX) {
        int capacity = d->capacity ? 2 * d->capacity : 32;
        capacity = capacity < DOCTOR_LINES_MAX ? capacity : DOCTOR_LINES_MAX;
        struct doctor_line *more = realloc(d->lines, (size_t)capacity * sizeof *more);
        if (!more)
            return NULL;
        d->lines = more;
        d->capacity = capacity;
    }
    return d->count < d->capacity ? &d->lines[d->count++] : NULL;
}

void doctor_add(struct doctor *d, enum doctor_level level, const char *about, const char *format,
                ...)
{
    struct doctor_line *line = add_line(d);
    d->warnings += level == DOCTOR_WARN;
    d->failures += level == DOCTOR_FAIL;
    if (!line)
        return;
    va_list args;
    va_start(args, format);
    line->level = level;
    snprintf(line->about, sizeof line->about, "%s", about);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
}

void doctor_config(struct doctor *d, const char *path, const struct problems *p)
{
    for (int i = 0; i < p->count; i++)
        doctor_add(d, p->items[i].warning ? DOCTOR_WARN : DOCTOR_FAIL, "settings", "%s",
                   p->items[i].text);
    if (p->errors > 0)
        return;
    if (path)
        doctor_add(d, DOCTOR_OK, "settings", "%s is valid", path);
    else
        doctor_add(d, DOCTOR_OK, "settings", "the defaults; --config FILE looks at a file's");
}

/* ---- models ---- */

/* The shortest of a few runs on one thread, and what the session takes. */
static enum status measure(const struct nn_model *m, double *ret_s, double *ret_bytes,
                           struct error *err)
{
    struct nn_session_options o;
    struct nn_session *s = NULL;
    nn_session_options_init(&o);
    o.precision = nn_precision_of_model(m);
    enum status st = nn_session_open(m, &o, &s, err);
    double best = 0;
    for (int i = 0; i < RUNS && st == ST_OK; i++) {
        uint64_t before_us = clock_mono_us();
        st = nn_session_forward(s, err);
        double took = (double)(clock_mono_us() - before_us) / 1e6;
        best = i == 0 || took < best ? took : best;
    }
    if (st == ST_OK) {
        *ret_s = best;
        *ret_bytes = (double)nn_session_bytes(s);
    }
    nn_session_close(&s);
    return st;
}

/* NULL after a line that says why. */
static struct nn_model *open_model(struct doctor *d, const char *what, const char *path)
{
    struct nn_model *m = NULL;
    struct error err;
    if (!path[0])
        return NULL; /* the settings' lines say so */
    if (nn_model_open(path, NULL, &m, &err) == ST_OK)
        return m;
    doctor_add(d, DOCTOR_FAIL, what, "%s; 'attune model check %s' says more", err.message, path);
    return NULL;
}

static void look_at(struct doctor *d, const char *what, const char *path, const struct nn_model *m,
                    double *ret_s, double *ret_bytes)
{
    struct error err;
    if (measure(m, ret_s, ret_bytes, &err) != ST_OK)
        doctor_add(d, DOCTOR_FAIL, what, "%s; 'attune model check %s' says more", err.message,
                   path);
    else
        doctor_add(d, DOCTOR_OK, what, "%s: %.1f ms a frame on one thread, %.0f MB, %zu parameters",
                   path, *ret_s * 1e3, *ret_bytes / 1e6, nn_model_param_count(m));
}

/* What the server does with both, as it does it. */
static void look_at_both(struct doctor *d, const struct nn_model *student,
                         const struct nn_model *teacher, struct doctor_cost *ret)
{
    struct error err;
    struct task_spec spec;
    struct labeller *l = NULL;
    enum status st = task_spec_read(student, &spec, &err);
    if (st == ST_OK)
        st = task_spec_check_student(&spec, &err);
    if (st == ST_OK)
        st = labeller_open(student, teacher, 1, &l, &err);
    if (st == ST_OK) {
        ret->width = spec.width;
        ret->height = spec.height;
        doctor_add(d, DOCTOR_OK, "models", "student and teacher fit: %s, %d classes, %d x %d",
                   task_name(spec.task), spec.class_count, spec.width, spec.height);
    } else {
        doctor_add(d, DOCTOR_FAIL, "models",
                   "%s; 'attune model describe' corrects what a file says", err.message);
    }
    labeller_close(&l);
}

void doctor_models(struct doctor *d, const struct settings *s, struct doctor_cost *ret)
{
    *ret = (struct doctor_cost){.width = 0};
    struct nn_model *student = open_model(d, "student", s->student),
                    *teacher = open_model(d, "teacher", s->teacher);
    if (student) {
        ret->param_bytes = 4 * (uint64_t)nn_model_param_count(student);
        look_at(d, "student", s->student, student, &ret->student_s, &ret->student_bytes);
    }
    if (teacher)
        look_at(d, "teacher", s->teacher, teacher, &ret->teacher_s, &ret->teacher_bytes);
    if (student && teacher)
        look_at_both(d, student, teacher, ret);
    nn_model_close(&student);
    nn_model_close(&teacher);
}
