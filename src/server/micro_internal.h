/* micro_internal.h - what micro.c and micro_show.c share. */
#ifndef ATTUNE_SERVER_MICRO_INTERNAL_H
#define ATTUNE_SERVER_MICRO_INTERNAL_H

#include "group/sharing.h"
#include "schedule/allocator.h"
#include "server/control_internal.h"

/* A group's micro-windows. */
struct micro_seat {
    uint64_t id;         /* the allocator's, another for each group that takes the seat; 0: none */
    int slots;           /* in this window */
    uint64_t started_us; /* the last one */
    uint64_t until_us;   /* it ends then, or as soon after as it has trained at all */
    uint64_t rest_us;    /* not before */
    bool ending;         /* it was told to end */
    bool gaining; /* the last one made the group better: another on the same frames may, too */
};

struct micro {
    struct control *control;
    const struct sharing *sharing;
    struct allocator *allocator;
    struct micro_seat *seats;   /* [seats_max] */
    struct allocator_job *jobs; /* [seats_max] room for a list */
    double *parts;              /* [seats_max] the same */
    int slots, used;            /* of a window; so far */
    uint64_t slot_us, window_us, window_end_us, looked_us, ids;
    uint64_t revision;    /* of the seats when cameras were last told */
    pthread_mutex_t lock; /* of shown */
    json_t *shown;
};

/* Has the seat's group something to train on, and may it? */
bool micro_ready(const struct micro *m, int seat, uint64_t now_us);

/* Keeps what is in force for micro_json. */
void micro_show(struct micro *m, uint64_t now_us);
json_t *micro_json(void *self);

#endif
