/* student.h - the network that a camera runs, at its own input size and, on request, at smaller
 * ones.
 *
 * A smaller size costs less and is less accurate (profile/inference.h measures both). Not every
 * network takes another size: sides are brought to multiples of 8, 16 or 32, the first that the
 * network accepts, and sizes that it refuses are left out, with a sentence. Answers of smaller
 * sizes are brought to the full one's size (nearest class), so that nobody else has to know.
 *
 * Owns:    the models, the slot (edge/slot.h) and what scales frames and answers.
 * Threads: as the slot: student_infer is its reader.
 * Memory:  a session a size; nothing is allocated for a frame after the first at each size.
 */
#ifndef ATTUNE_EDGE_STUDENT_H
#define ATTUNE_EDGE_STUDENT_H

#include "edge/slot.h"
#include "profile/inference.h"
#include "task/task.h"

#define STUDENT_NOTE_CHARS_MAX 159

struct student;

/* scales[count]: falling from 1; at most SLOT_SIZES_MAX. A scale that the network does not take, or
 * that comes to the same size as another, is left out. */
enum status student_open(const char *path, int threads, const double *scales, int count,
                         struct student **ret, struct error *err);
void student_close(struct student **s);

const struct nn_model *student_model(const struct student *s);
struct slot *student_slot(struct student *s);

/* At full size. */
const struct task_spec *student_spec(const struct student *s);

/* The scales that are there: index 0 is 1. */
int student_scales(const struct student *s, const double **ret_scales);

/* Why scales were left out; "" when none was. */
const char *student_note(const struct student *s);

/* Infers a frame of the full size at size `size` (an index of student_scales), after taking what
 * the slot was offered; the classes go to labels[out_height][out_width] of the full size.
 * *ret_version is what it ran; the logits are that size's, lent until it runs again. */
enum status student_infer(struct student *s, int size, const struct frame *frame, uint8_t *labels,
                          uint64_t *ret_version, struct nn_view *ret_logits, struct error *err);

#endif
