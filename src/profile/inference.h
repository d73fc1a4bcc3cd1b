/* inference.h - inference configurations of one camera: what each costs, how accurate each is on
 * the camera's own frames, and which one to run within a share.
 *
 * A configuration is a frame rate and a resolution: every stride-th frame is inferred and its
 * answer held for the frames between, at `scale` of the student's input sides. Its accuracy is a
 * factor of what every frame at full size would reach: that student's accuracy times the factor is
 * what users see. It is measured on frames of the camera for which there are labels. Until these
 * come, the full configuration's own answer stands in for them; since an answer that differs may
 * still be right, that gives too low a factor (in the town 0.8 where labels say 0.9), and counts as
 * one comparison afterwards.
 *
 * What is measured are not the configurations but what they are made of: for each scale, how good
 * an answer is that was made `age` frames ago, at the ages stride - 1. A configuration's factor is
 * the mean over the ages 0..stride - 1, linear between the measured ones. So a comparison at one
 * age serves all strides beyond it. The factor never rises with age (pool adjacent violators).
 *
 * Source: Ekya (Bhardwaj et al., NSDI 2022), section 3, where an inference configuration (lambda)
 * is frame sampling and resolution with a cost and an accuracy factor, taken from a profile made
 * beforehand, offline. Here both are measured while the camera runs, and follow what it sees.
 *
 * Owns:    plain values; a struct inference_watch its copies of answers.
 * Threads: one at a time.
 * Time:    none read; costs are arguments, in seconds of processor time.
 * Memory:  a watch takes all at open.
 */
#ifndef ATTUNE_PROFILE_INFERENCE_H
#define ATTUNE_PROFILE_INFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define INFERENCE_STRIDES_MAX 8
#define INFERENCE_SCALES_MAX 4
#define INFERENCE_POINTS_MAX (INFERENCE_STRIDES_MAX * INFERENCE_SCALES_MAX)
#define INFERENCE_STRIDE_MAX 64

struct inference_configuration {
    int stride;   /* 1..INFERENCE_STRIDE_MAX: every stride-th frame is inferred */
    double scale; /* of the input's sides, (0, 1] */
};

/* What a camera may choose from: every stride with every scale. */
struct inference_grid {
    int stride_count, scale_count;
    int strides[INFERENCE_STRIDES_MAX];  /* rising from 1 */
    double scales[INFERENCE_SCALES_MAX]; /* falling from 1 */
};

/* Rates 1, 1/2, 1/4, 1/8, 1/16 and sides 1, 0.75, 0.5. */
void inference_grid_init(struct inference_grid *g);

/* One line of the table that a scheduler reads. */
struct inference_point {
    struct inference_configuration configuration;
    double demand;    /* processors that it needs to keep up with the camera */
    double factor;    /* 0..1: accuracy as a part of the full configuration's */
    uint64_t samples; /* comparisons with labels behind the least known of its ages */
};

struct inference_table {
    int count;
    struct inference_point points[INFERENCE_POINTS_MAX]; /* by scale falling, then stride rising */
};

/* ---- measuring ---- */

/* A running mean: of all so far, then of about the last INFERENCE_MEMORY. */
#define INFERENCE_MEMORY 16
struct inference_mean {
    double mean, weight;
    uint64_t count;
};

struct inference_profile {
    struct inference_grid grid;
    double fps; /* of the camera */
    struct inference_mean background, frame_s, pass_s, infer_s[INFERENCE_SCALES_MAX];
    /* [scale][stride]: at the age stride - 1, accuracy of the held answer and of the full one. */
    struct inference_mean got[INFERENCE_SCALES_MAX][INFERENCE_STRIDES_MAX];
    struct inference_mean full[INFERENCE_SCALES_MAX][INFERENCE_STRIDES_MAX];
    /* The same without labels: how far the two agree. */
    struct inference_mean agreed[INFERENCE_SCALES_MAX][INFERENCE_STRIDES_MAX];
};

void inference_profile_init(struct inference_profile *p, const struct inference_grid *grid,
                            double fps);

/* One comparison with labels, on one frame: accuracies 0..1 of the answer that scale `scale` gave
 * age_frames before, and of the full configuration's on the frame itself. age_frames is a stride of
 * the grid less one. */
void inference_profile_add_accuracy(struct inference_profile *p, int scale, int age_frames,
                                    double got, double full);

/* One without: the accuracy of the held answer as if the full configuration's were right. */
void inference_profile_add_agreement(struct inference_profile *p, int scale, int age_frames,
                                     double agreed);

/* Costs: of an inference at a scale; of getting a frame's pixels; of passing a frame over (until
 * the first one it is taken to cost as much as getting it, since most video must be decoded
 * throughout); and of everything else, in processors. All of one processor's time. */
void inference_profile_add_infer(struct inference_profile *p, int scale, double infer_s);
void inference_profile_add_frame(struct inference_profile *p, double frame_s);
void inference_profile_add_pass(struct inference_profile *p, double pass_s);
void inference_profile_add_background(struct inference_profile *p, double processors);

void inference_profile_table(const struct inference_profile *p, struct inference_table *ret);

/* ---- comparing answers ---- */

/* Accuracy 0..1 of an answer; NaN when the labels have nothing to compare. */
typedef double inference_score(void *context, const uint8_t *labels, const uint8_t *answer);

/* Keeps answers (answer_bytes each, whatever the task makes of them) for as long as the largest
 * stride and compares those that are of the grid's ages. */
struct inference_watch;

enum status inference_watch_open(const struct inference_grid *grid, size_t answer_bytes,
                                 inference_score *score, void *context,
                                 struct inference_watch **ret, struct error *err);
void inference_watch_close(struct inference_watch **w);

/* The answers of one frame, [scale], NULL where that scale did not run; indices rise, and may leave
 * frames out. labels NULL: there are none (agreement is what is measured). Compares when
 * answers[0] is there. `reset` forgets what is kept first (another model runs). */
void inference_watch_frame(struct inference_watch *w, uint64_t index, const uint8_t *const *answers,
                           const uint8_t *labels, bool reset, struct inference_profile *p);

/* What is kept of a scale's answer to a frame, until the largest stride later; NULL: nothing. */
const uint8_t *inference_watch_answer(const struct inference_watch *w, uint64_t index, int scale);

/* ---- choosing ---- */

/* What somebody decided beforehand; 0: free. The grid's nearest is taken. */
struct inference_wish {
    double rate;  /* 1 / stride */
    double scale; /* of the sides */
};

/* The most accurate point that the wish allows and `share` processors can carry (INFINITY: any),
 * the cheaper of equals; when they can carry none, the cheapest. Keeps `current` (an index, -1 for
 * none) while that fits and is next to as good, so that noise does not make it change. Returns an
 * index into the table; the table must have a point. */
int inference_pick(const struct inference_table *t, const struct inference_wish *wish, double share,
                   int current);

/* The points that no other one beats in both demand and factor, both rising. Returns how many;
 * front[INFERENCE_POINTS_MAX]. */
int inference_front(const struct inference_table *t, struct inference_point *front);

#endif
