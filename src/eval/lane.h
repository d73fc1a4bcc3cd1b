/* lane.h - one mode of an eval: a camera, two links and a server, under the virtual clock.
 *
 * Owns:    its student, learner, links and queues; borrows models, labeller and class map.
 * Threads: one.
 * Bounds:  LANE_CHUNKS_MAX chunks and LANE_DELTAS_MAX deltas under way; beyond it the oldest chunk
 *          is dropped (counted as lost) and phases wait.
 */
#ifndef ATTUNE_EVAL_LANE_H
#define ATTUNE_EVAL_LANE_H

#include "eval/eval.h"
#include "eval/teach.h"
#include "flow/records.h"
#include "train/recipe.h"

#define LANE_CHUNKS_MAX 64
#define LANE_DELTAS_MAX 8

struct lane;

/* What all lanes share. */
struct lane_shared {
    const struct eval_options *options;
    const struct nn_model *student;
    struct teach *teach;
    const struct class_map *map;
};

/* The recipe of a mode: its preset, with options->recipe over ours. full: ours, every weight. */
enum status lane_recipe(const struct eval_options *o, enum eval_mode mode, struct recipe *ret,
                        struct error *err);

enum status lane_open(const struct lane_shared *shared, enum eval_mode mode, struct lane **ret,
                      struct error *err);
void lane_close(struct lane **l);

/* The camera's answer for a frame at frame->t_us with the weights it has then: first everything
 * that is due by that time happens (uploads, labels, phases, deltas). classes: network classes,
 * allocated, of any size. */
enum status lane_predict(struct lane *l, const struct frame *frame, struct label_map *classes,
                         struct error *err);

/* After the frame was scored: the sampler sees it. */
enum status lane_sample(struct lane *l, const struct frame *frame, struct error *err);

/* Counters and rates over duration_s; the scores are the caller's. */
void lane_finish(const struct lane *l, double duration_s, struct eval_mode_result *ret);

#endif
