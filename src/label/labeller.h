/* labeller.h - the teacher's labels for sampled frames, and how well a student agreed with them.
 *
 * Source: AMS (ICCV 2021): every sampled frame gets the teacher's hard label; the student is
 * scored against it, prequentially: with the weights that the camera had when it took the frame.
 *
 * Owns:    sessions for the teacher and, twice, the student; the models are borrowed.
 * Threads: one at a time.
 * Time:    none read.
 * Memory:  three sessions of batch 1 and one frame at each size.
 */
#ifndef ATTUNE_LABEL_LABELLER_H
#define ATTUNE_LABEL_LABELLER_H

#include "nn/session.h"
#include "task/task.h"

struct labeller;

/* threads: of each run. ST_UNSUPPORTED when task or classes of the two differ. */
enum status labeller_open(const struct nn_model *student, const struct nn_model *teacher,
                          int threads, struct labeller **ret, struct error *err);
void labeller_close(struct labeller **l);

const struct task_spec *labeller_student_spec(const struct labeller *l);
const struct task_spec *labeller_teacher_spec(const struct labeller *l);

/* Classes that teacher and student may answer with: chosen[class_count], nonzero for yes; NULL: all
 * (the default). As AMS: the video's own classes. Copied. */
void labeller_choose(struct labeller *l, const uint8_t *chosen);

/* Teacher's classes of a frame of any size, resized to dst's size (dst allocated). */
enum status labeller_teach(struct labeller *l, const struct frame *f, struct label_map *dst,
                           struct error *err);

/* The teacher's probabilities over the chosen classes for the frame of the last labeller_teach, in
 * 1/255 steps, at the centres of width x height cells: probs[height][width][class_count]. */
void labeller_soft(struct labeller *l, int width, int height, uint8_t *probs);

/* The student's classes under `params` (nn_model_param_count floats, NULL: the file's own),
 * likewise. The same pointer twice in a row does not reload the weights: stamp tells values apart
 * (a version number, say). */
enum status labeller_predict(struct labeller *l, const struct frame *f, const float *params,
                             uint64_t stamp, struct label_map *dst, struct error *err);

#endif
