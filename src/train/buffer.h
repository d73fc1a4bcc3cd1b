/* buffer.h - the last minutes of labelled frames of one job: a ring with a horizon.
 *
 * Frames are kept at the network's input size, labels at the size of its logits, optional soft
 * labels (the teacher's probabilities in 1/255 steps) at a reduced size. Older than the horizon
 * leaves; where the ring is full the oldest leaves.
 *
 * Owns:    all pixels, allocated at open for the whole capacity; what the accessors return is
 *          borrowed until the next buffer_add.
 * Threads: one at a time.
 * Time:    frames carry theirs; now is the newest frame's.
 * Memory:  buffer_bytes = capacity * (3 * width * height + label_width * label_height
 *          + soft_width * soft_height * class_count) and a few words a frame.
 */
#ifndef ATTUNE_TRAIN_BUFFER_H
#define ATTUNE_TRAIN_BUFFER_H

#include "base/error.h"
#include "base/rng.h"
#include "flow/records.h"

#define BUFFER_FRAMES_MAX 65536

/* The teacher's probabilities, channel last. */
struct soft_map {
    int width, height, class_count;
    uint8_t *probs; /* [height][width][class_count], 1/255 steps */
};

struct buffer_options {
    int width, height;             /* of frames */
    int label_width, label_height; /* of labels */
    int soft_width, soft_height;   /* 0: no soft labels are kept */
    int class_count;               /* of soft labels */
    int capacity;                  /* frames, 1..BUFFER_FRAMES_MAX */
    uint64_t horizon_us;           /* 0: only the capacity bounds */
};

struct buffer_entry {
    struct frame frame;
    struct label_map labels;
    struct soft_map soft; /* probs NULL: none came with this frame */
    int source;           /* the caller's camera index */
    uint64_t seq;         /* counts up from 0, never reused */
};

struct buffer;

enum status buffer_open(const struct buffer_options *o, struct buffer **ret, struct error *err);
void buffer_close(struct buffer **b);
size_t buffer_bytes(const struct buffer_options *o);

/* Copies the frame (its size exactly) and the labels (resized by nearest neighbour when their size
 * differs); soft may be NULL and is resized likewise. ST_INVALID for another size or class count,
 * or a frame older than the newest by more than the horizon. */
enum status buffer_add(struct buffer *b, const struct frame *frame, const struct label_map *labels,
                       const struct soft_map *soft, int source, struct error *err);

int buffer_count(const struct buffer *b);

/* i-th oldest, 0 <= i < buffer_count. */
const struct buffer_entry *buffer_at(const struct buffer *b, int i);

/* The latest of t_us and the frames' times: what the horizon counts from. Frames of several cameras
 * may arrive a little out of order. */
uint64_t buffer_newest_us(const struct buffer *b, uint64_t t_us);

/* Sequence number that the next frame will get. */
uint64_t buffer_next_seq(const struct buffer *b);

/* Draws one of the indices among[count], oldest first, 1..buffer_count of them, with replacement:
 * uniformly when half_life_us is 0, else with a weight that halves every half_life_us of age. */
int buffer_sample(const struct buffer *b, const int *among, int count, uint64_t half_life_us,
                  struct rng *rng);

void buffer_forget(struct buffer *b); /* drops all frames */

#endif
