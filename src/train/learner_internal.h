/* learner_internal.h - what the learner's source files share. See learner.h. */
#ifndef ATTUNE_TRAIN_LEARNER_INTERNAL_H
#define ATTUNE_TRAIN_LEARNER_INTERNAL_H

#include "train/learner.h"

/* A minibatch's targets and the scratch to augment with. */
struct batch {
    uint8_t *labels; /* [batch][out_height][out_width] */
    uint8_t *probs;  /* [batch][soft_height][soft_width][classes]; NULL: no soft labels */
    bool any_soft;
    uint8_t *pixels; /* one augmented frame */
    float class_weight[CLASSES_MAX];
};

/* From learner_begin to learner_finish or learner_abandon. */
struct phase {
    bool open, mask_ready;
    int steps;
    int trainable_frames, holdout_frames; /* so many first and last of order... */
    int *order;                           /* ...[frames_max], indices into the buffer */
    uint64_t newest_us;
    struct rng rng_before;
    uint64_t draw;             /* which frames a part of the data is, differs from phase to phase */
    double first_sum, *recent; /* losses: of the first tenth, ring of the last tenth */
};

struct learner {
    const struct nn_model *model;
    struct task_spec spec;
    struct learner_options options;
    struct delta_model delta;
    struct delta_history history;
    struct nn_session *train, *infer;
    struct nn_optimizer *optimizer;
    struct buf optimizer_before; /* the optimiser's state at learner_begin */
    struct buffer *buffer;
    struct rng rng;
    uint64_t version, accepted; /* accepted: phases that made a version */
    uint64_t seen_us;           /* frames up to here were there at an earlier phase */
    int finest_step;            /* of any wire value so far; what snapshots are encoded with */
    size_t count, trainable;    /* parameters */
    float *params;              /* [count] of the version; the train session holds the candidate */
    struct nn_rank rank;
    uint8_t *mask, *open_mask;  /* open_mask: scratch of select_largest */
    uint8_t *predicted, *truth; /* one frame's labels each */
    struct batch batch;
    struct phase phase;
    /* The configuration at hand (configure.c). */
    int recipe_batch, session_layers; /* of the options; of the train session, 0: all */
    double data;                      /* part of the frames that is drawn from */
    bool restricted;
    uint8_t *allowed; /* restricted: coordinates that may move, bits as in mask */
};

/* ST_INVALID names the option. */
enum status learner_check_options(const struct learner_options *o, struct error *err);

/* Draws a minibatch from the phase's trainable frames into the train session's input and l->batch.
 */
void batch_draw(struct learner *l);

/* Class weights over the phase's trainable frames; all 1 without class_balance. */
void batch_weigh_classes(struct learner *l);

/* Makes the learner train as c says (NULL: as its options say). Not within a phase; on failure it
 * trains as before. */
enum status learner_configure(struct learner *l, const struct train_configuration *c,
                              struct error *err);
enum status learner_open_train_session(struct learner *l, const struct train_configuration *c,
                                       int batch, struct nn_session **ret, struct error *err);

/* The tenth of K over which first and last loss are averaged. */
int phase_tenth(const struct learner_options *o);

/* The engine's sessions keep to their own thread count; losses and optimiser use the calling
 * thread's team, which is set to the same number in between. enter returns what leave restores. */
int learner_threads_enter(const struct learner *l);
void learner_threads_leave(int threads);

/* Puts l->params into the train session. */
void learner_reset_candidate(struct learner *l);

#endif
