/* teach.c - chunk to labelled frames, with a small cache by content. */
#include "eval/teach.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "uplink/chunk.h"
#include "video/decode.h"
#include "video/frame.h"
#include "video/scale.h"

struct lesson {
    char digest[65];
    uint64_t used; /* for the least recently used */
    struct taught *frames;
    int count;
};

struct teach {
    struct labeller *labeller;
    struct task_spec spec; /* the student's */
    int soft_width, soft_height;
    struct scaler scaler;
    struct frame decoded;
    struct lesson lessons[TEACH_CHUNKS];
    uint64_t clock;
};

enum status teach_open(const struct nn_model *student, const struct nn_model *teacher,
                       int soft_width, int soft_height, int threads, struct teach **ret,
                       struct error *err)
{
    struct teach *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "no memory for the teacher");
    scaler_init(&t->scaler);
    frame_init(&t->decoded);
    enum status st = labeller_open(student, teacher, threads, &t->labeller, err);
    if (st != ST_OK) {
        teach_close(&t);
        return st;
    }
    t->spec = *labeller_student_spec(t->labeller);
    *ret = t;
    if (t->spec.task == TASK_DETECT)
        return ST_OK; /* boxes have no soft labels */
    t->soft_width = soft_width < t->spec.out_width ? soft_width : t->spec.out_width;
    t->soft_height = soft_height < t->spec.out_height ? soft_height : t->spec.out_height;
    return ST_OK;
}

static void lesson_clear(struct lesson *l)
{
    for (int i = 0; i < l->count; i++) {
        frame_clear(&l->frames[i].frame);
        label_map_clear(&l->frames[i].labels);
        free(l->frames[i].soft.probs);
    }
    free(l->frames);
    memset(l, 0, sizeof *l);
}

void teach_close(struct teach **t)
{
    if (!t || !*t)
        return;
    for (int i = 0; i < TEACH_CHUNKS; i++)
        lesson_clear(&(*t)->lessons[i]);
    labeller_close(&(*t)->labeller);
    scaler_clear(&(*t)->scaler);
    frame_clear(&(*t)->decoded);
    free(*t);
    *t = NULL;
}

struct labeller *teach_labeller(struct teach *t)
{
    return t->labeller;
}

static enum status lesson_allocate(struct teach *t, struct lesson *l, int count, struct error *err)
{
    l->frames = calloc((size_t)count, sizeof *l->frames);
    if (!l->frames)
        return error_set(err, ST_NOMEM, "no memory for %d labelled frames", count);
    l->count = count;
    size_t soft_bytes =
        (size_t)t->soft_width * (size_t)t->soft_height * (size_t)t->spec.class_count;
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < count; i++) {
        struct taught *f = &l->frames[i];
        st = frame_resize(&f->frame, t->spec.width, t->spec.height, err);
        if (st == ST_OK)
            st = label_map_resize(&f->labels, t->spec.out_width, t->spec.out_height, err);
        f->soft = (struct soft_map){t->soft_width, t->soft_height, t->spec.class_count, NULL};
        if (st == ST_OK && soft_bytes && !(f->soft.probs = malloc(soft_bytes)))
            st = error_set(err, ST_NOMEM, "no memory for soft labels");
    }
    return st;
}

static enum status label_frames(struct teach *t, const struct chunk *c, struct lesson *l,
                                struct error *err)
{
    struct clip_decoder *d = NULL;
    enum status st =
        clip_decoder_open(c->payload, c->payload_bytes, c->width, c->height, c->count, &d, err);
    for (int i = 0; st == ST_OK && i < c->count; i++) {
        struct taught *f = &l->frames[i];
        st = clip_decoder_next(d, &t->decoded, err);
        t->decoded.t_us = c->t_us[i];
        if (st == ST_OK)
            st = labeller_teach(t->labeller, &t->decoded, &f->labels, err);
        if (st == ST_OK && f->soft.probs)
            labeller_soft(t->labeller, f->soft.width, f->soft.height, f->soft.probs);
        if (st == ST_OK)
            st = scaler_run(&t->scaler, &t->decoded, &f->frame, err);
    }
    clip_decoder_close(&d);
    return st;
}

/* The lesson with this digest, or the least recently used one. */
static struct lesson *find(struct teach *t, const char *digest)
{
    struct lesson *oldest = &t->lessons[0];
    for (int i = 0; i < TEACH_CHUNKS; i++) {
        struct lesson *l = &t->lessons[i];
        if (l->count && strcmp(l->digest, digest) == 0)
            return l;
        if (l->used < oldest->used)
            oldest = l;
    }
    return oldest;
}

static enum status learn_lesson(struct teach *t, struct lesson *l, const struct chunk *c,
                                struct error *err)
{
    lesson_clear(l);
    enum status st = lesson_allocate(t, l, c->count, err);
    if (st == ST_OK)
        st = label_frames(t, c, l, err);
    if (st != ST_OK)
        lesson_clear(l);
    return st;
}

enum status teach_chunk(struct teach *t, const void *bytes, size_t n, const struct taught **ret,
                        int *ret_count, struct error *err)
{
    struct chunk c;
    enum status st = chunk_parse(bytes, n, &c, err);
    if (st != ST_OK)
        return st;
    char digest[65];
    file_sha256_hex(bytes, n, digest);
    struct lesson *l = find(t, digest);
    if (!l->count || strcmp(l->digest, digest) != 0) {
        st = learn_lesson(t, l, &c, err);
        if (st != ST_OK)
            return st;
        memcpy(l->digest, digest, sizeof digest);
    }
    l->used = ++t->clock;
    *ret = l->frames;
    *ret_count = l->count;
    return ST_OK;
}
