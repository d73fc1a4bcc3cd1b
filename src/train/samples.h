/* samples.h - labelled pictures by number: what networks are trained and scored on.
 *
 * What sample n is follows from n and the generator it is drawn with, so a run that is stopped and
 * goes on at step s draws what it would have drawn.
 *
 * Owns:    a source owns what it opens, until samples_close.
 * Threads: one at a time.
 * Errors:  of the source: ST_NOT_FOUND, ST_FORMAT, ST_UNSUPPORTED, ST_IO, ST_NOMEM.
 */
#ifndef ATTUNE_TRAIN_SAMPLES_H
#define ATTUNE_TRAIN_SAMPLES_H

#include "base/rng.h"
#include "task/task.h"

#define SAMPLES_TEXT_CHARS_MAX 1023

struct samples;

struct samples_kind {
    enum status (*draw)(struct samples *s, uint64_t n, struct rng *r, struct frame *frame,
                        struct label_map *labels, struct error *err);
    void (*close)(struct samples *s); /* frees s too */
};

/* The head of every source. */
struct samples {
    const struct samples_kind *kind;
    uint64_t count;                        /* different samples; 0: without end */
    struct class_map map;                  /* between the network's classes and the labels */
    float class_weight[CLASSES_MAX];       /* [label] weight of a pixel in the loss */
    char text[SAMPLES_TEXT_CHARS_MAX + 1]; /* lines that say which samples these are */
};

/* The labels that samples of a network come with: of the input's size, or boxes. */
enum status samples_size_labels(const struct task_spec *spec, struct label_map *labels,
                                struct error *err);

/* Sample n in the sizes of *frame and *labels (samples_size_labels), which are allocated. Labels
 * are those of s->map, LABEL_IGNORE where there is none. */
static inline enum status samples_draw(struct samples *s, uint64_t n, struct rng *r,
                                       struct frame *frame, struct label_map *labels,
                                       struct error *err)
{
    return s->kind->draw(s, n, r, frame, labels, err);
}

/* NULL and pointers to NULL are allowed. */
static inline void samples_close(struct samples **s)
{
    if (s && *s)
        (*s)->kind->close(*s);
    if (s)
        *s = NULL;
}

/* Pixels of samples [0, count), [label][label of the network's answer], by params (NULL: the
 * model's own). */
enum status samples_score(struct samples *samples, uint64_t count, const struct nn_model *m,
                          const float *params, int threads, struct confusion *ret,
                          struct error *err);

#endif
