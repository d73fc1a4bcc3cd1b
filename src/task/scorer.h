/* scorer.h - the score of the running and of the unadapted student against exact labels, over
 * windows.
 *
 * The score is the task's (task/task.h: mIoU, or the fraction correct) over the answers of a
 * sliding window, prequential: a frame is scored with the answer that the camera gave for it at
 * that time.
 *
 * Owns:    its ring of confusion counts.
 * Threads: one at a time.  Time: an argument.
 * Memory:  taken at open.
 */
#ifndef ATTUNE_TASK_SCORER_H
#define ATTUNE_TASK_SCORER_H

#include "task/task.h"

#define SCORER_WINDOW_S_MAX 600

struct scorer;

/* Frames of the last window_s seconds (1..SCORER_WINDOW_S_MAX), at most one a second; frames of the
 * same time (crops of one picture) count together as one. */
enum status scorer_open(enum task_kind task, int class_count, int window_s, struct scorer **ret,
                        struct error *err);
void scorer_close(struct scorer **s);

/* One frame: n cells of truth and of both answers. */
void scorer_add(struct scorer *s, uint64_t t_us, const uint8_t *truth, const uint8_t *adapted,
                const uint8_t *unadapted, size_t n);

struct score {
    double adapted, unadapted; /* 0..1, NaN for nothing scored */
    int frames;
};

/* Over the frames newer than last_us before the newest one (0: all of the window). */
void scorer_window(const struct scorer *s, uint64_t last_us, struct score *ret);

/* Over every frame since open. */
void scorer_total(const struct scorer *s, struct score *ret);

#endif
