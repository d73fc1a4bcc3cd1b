/* runner.h - a camera as far as updates go: it asks the kit's server and applies what it is sent.
 */
#ifndef ATTUNE_TESTS_SERVER_RUNNER_H
#define ATTUNE_TESTS_SERVER_RUNNER_H

#include "delta/delta.h"
#include "kit.h"

struct runner {
    struct kit *kit;
    const char *camera;
    struct nn_model *student;
    struct delta_model model;
    float *params;
    uint64_t version;
};

/* With the student's own weights. */
void runner_open(struct kit *k, struct runner *r, const char *camera);
void runner_close(struct runner *r);

/* Its version grows; returns whether it was sent a snapshot. a: the answer, the caller's. */
bool runner_update(struct runner *r, struct answer *a);

/* Bit for bit. */
void runner_expect_same(const struct runner *a, const struct runner *b);

#endif
