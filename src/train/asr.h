/* asr.h - adaptive sampling rate: a busy scene is sampled often, a still one rarely.
 *
 * Source: AMS, the authors' code. Over the teacher labels that came since the last phase,
 *     S = mean of mIoU(label_k, label_k+1)
 *     r = clip(r - step * tanh(gain * (S - target)), rate_min, rate_max)
 * (the paper states it with the loss between consecutive labels). Fewer than two labels keep r.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_TRAIN_ASR_H
#define ATTUNE_TRAIN_ASR_H

#include "task/task.h"

struct asr_options {
    double rate_min_fps, rate_max_fps; /* default 0.1, 1 */
    double target;                     /* S that keeps the rate, default 0.6 */
    double gain;                       /* default 20 */
    double step_fps;                   /* largest change a phase, default 0.2 */
};

void asr_options_init(struct asr_options *o);

/* mIoU of two label maps of one size, F1 of two tables of boxes. A pixel counts when its class is
 * chosen in both (class_chosen[class_count], NULL: all below class_count); classes that occur in
 * neither are left out of the mean. NaN when no pixel counts or the sizes differ. */
double asr_similarity(enum task_kind task, const struct label_map *a, const struct label_map *b,
                      int class_count, const uint8_t *class_chosen);

/* The next rate from the mean similarity S; NaN keeps the rate (clipped). */
double asr_rate(const struct asr_options *o, double rate_fps, double similarity);

/* Mean similarity of `count` consecutive labels; NaN for fewer than two. */
double asr_mean_similarity(enum task_kind task, const struct label_map *labels, int count,
                           int class_count, const uint8_t *class_chosen);

#endif
