/* list.h - the parts of the policy "attune" (attune.c says how it works). Internal.
 *
 * pieces.c: what training a camera would bring, as stretches of work. filling.c: what a part of the
 * machine is worth for inference.
 */
#ifndef ATTUNE_SCHEDULE_LIST_H
#define ATTUNE_SCHEDULE_LIST_H

#include "schedule/internal.h"

#define CHOICE_PIECES_MAX 8
#define CAMERA_CHOICES_MAX 48 /* beyond it the costliest are left out */

/* A stretch of a training, to its end or to the next checkpoint worth deploying. */
struct piece {
    int camera;
    double compute_s, gain;
    double index; /* gain per second of compute, by which the list is sorted */
};

/* A way to train a camera: to the end of one option, by way of its checkpoints. The index falls
 * from piece to piece. */
struct choice {
    int option, count;
    double compute_s, gain;
    struct piece pieces[CHOICE_PIECES_MAX];
};

/* The camera's ways to train that bring anything and that no other beats in both compute and gain,
 * by growing compute; returns how many, at most `most`. weight: what a gain counts (the factor of
 * its inference). */
int pieces_choices(const struct schedule_snapshot *s, int camera, double weight, int most,
                   struct choice *ret);

/* Inference of all cameras by total share: floors first, then where the next bit keeps most
 * accuracy. */
struct filling {
    const struct schedule_snapshot *s;
    struct segment *segments; /* by falling slope */
    int segment_count;
    double *floor_share; /* [cameras] */
    double *share;       /* [cameras] result of filling_fill */
    bool *closed;        /* [cameras] the last step did not fit */
    double demand;       /* beyond it nothing is gained */
};

enum status filling_init(const struct schedule_snapshot *s, struct filling *ret, struct error *err);
void filling_clear(struct filling *f);

/* Divides `total` into f->share. */
void filling_fill(struct filling *f, double total);

#endif
