/* teach.h - the teacher of an eval: labels chunks, and remembers the last few of them.
 *
 * Modes that sample alike upload the same bytes, so their labels are looked up by the chunk's
 * digest instead of being made again: each mode still labels what it decoded, nothing else.
 *
 * Owns:    the labeller, decoded frames and labels of TEACH_CHUNKS chunks.
 * Threads: one.
 */
#ifndef ATTUNE_EVAL_TEACH_H
#define ATTUNE_EVAL_TEACH_H

#include "label/labeller.h"
#include "train/buffer.h"

#define TEACH_CHUNKS 4

struct teach;

/* One labelled frame of a chunk. */
struct taught {
    struct frame frame;      /* at the student's input size */
    struct label_map labels; /* at the student's output size, network classes */
    struct soft_map soft;    /* probs NULL without soft labels */
};

/* soft_width, soft_height: 0 for hard labels only; at most the size of the logits is kept. */
enum status teach_open(const struct nn_model *student, const struct nn_model *teacher,
                       int soft_width, int soft_height, int threads, struct teach **ret,
                       struct error *err);
void teach_close(struct teach **t);

struct labeller *teach_labeller(struct teach *t);

/* Decodes and labels a chunk's bytes; *ret lends `*ret_count` frames until TEACH_CHUNKS other
 * chunks were labelled. */
enum status teach_chunk(struct teach *t, const void *bytes, size_t n, const struct taught **ret,
                        int *ret_count, struct error *err);

#endif
