/* label_queue.h - whose chunk is labelled next: that of the camera which has had the least of the
 * labeller's time, so that one which uploads much, or what is dear to decode, makes only itself
 * wait (start-time fair queueing). A camera that comes, or comes back, begins where the others are.
 *
 * Owns: its rows. Threads: one at a time. Time: an argument, us.
 */
#ifndef ATTUNE_SERVER_LABEL_QUEUE_H
#define ATTUNE_SERVER_LABEL_QUEUE_H

#include "store/store.h"

struct label_queue {
    struct label_turn {
        char camera[CAMERA_ID_CHARS_MAX + 1];
        uint64_t had_us;
    } * turns;
    int count, capacity;
    uint64_t now_us; /* what the one that is served had before */
};

/* capacity: cameras; of more than that the rest are as if they had had nothing. */
enum status label_queue_init(struct label_queue *q, int capacity, struct error *err);
void label_queue_clear(struct label_queue *q);

/* ST_NOT_FOUND (without a message): nothing waits. */
enum status label_queue_next(struct label_queue *q, struct store *s, struct store_chunk *ret,
                             struct error *err);

/* The chunk that label_queue_next gave has taken so long. */
void label_queue_took(struct label_queue *q, const char *camera, uint64_t took_us);

#endif
