/* worker_internal.h - what the worker's source files share. */
#ifndef ATTUNE_SERVER_WORKER_INTERNAL_H
#define ATTUNE_SERVER_WORKER_INTERNAL_H

#include <jansson.h>

#include "label/label_file.h"
#include "share/throttle.h"
#include "train/learner.h"
#include "uplink/chunk.h"
#include "video/scale.h"

struct pupil {
    char group[CAMERA_ID_CHARS_MAX + 1];
    struct learner *learner;
};

struct worker {
    struct nn_model *model; /* NULL before init */
    struct learner_options options;
    uint64_t seed;
    struct pupil *pupils;
    int count;
    struct scaler scaler;
    struct frame decoded, scaled;
    struct throttle throttle;
};

/* Members of a request; "" and 0 where they are missing or of another type. */
const char *worker_text(const json_t *o, const char *key);
double worker_number(const json_t *o, const char *key);

/* The learner of the group that the request names. */
enum status worker_pupil(struct worker *w, const json_t *q, struct pupil **ret, struct error *err);

/* A chunk and its labels, read from the files that the request names. */
struct worker_pair {
    struct buf bytes;
    struct chunk *chunk; /* borrows from bytes */
    struct label_set labels;
};

/* Clear it whatever comes back. */
enum status worker_pair_read(const json_t *q, struct worker_pair *ret, struct error *err);
void worker_pair_clear(struct worker_pair *p);

/* A request: fills the members of the reply. */
typedef enum status worker_request(struct worker *w, const json_t *q, json_t *reply,
                                   struct error *err);

worker_request worker_phase, worker_begin, worker_train, worker_checkpoint, worker_finish,
    worker_abandon, worker_profile; /* worker_train.c */
worker_request worker_trial;        /* worker_trial.c */
worker_request worker_own;          /* worker_own.c */

#endif
