/* group.h - which cameras learn together: who is in which group, and every decision about it.
 *
 * A group is a set of cameras that share one retraining (one learner, one shared student). A camera
 * that ever asked for retraining is in exactly one group, alone if need be, until it is removed.
 * After ECCO (He et al., 2025), of which only the abstract is certain: policy "ecco" is our reading
 * of its rules, "attune" is ours (docs/decisions/0015), "none" leaves every camera alone.
 *
 * The grouper evaluates no model. Every decision has two phases: it names the few (model, frames)
 * pairs that are worth evaluating, the caller does that wherever it likes, and with the scores it
 * decides. Metadata and signatures only narrow down; accuracy on frames decides.
 *
 *   camera drifts:   grouper_request  -> trials on the request's frames -> grouper_decide
 *   window ends:     grouper_review   -> trials on newest frames        -> grouper_conclude ->
 * actions (a camera whose action is LEAVE asks anew: grouper_request) whenever known:
 * grouper_measured    (the group's accuracy after a micro-window)
 *
 * A score that could not be had stays NaN: decisions then do without it.
 *
 * Owns:    cameras and groups, until grouper_close. A review and actions are the caller's to clear.
 * Threads: one at a time.
 * Time:    an argument, microseconds of any one clock; the same calls give the same groups.
 * Memory:  GROUP_CAMERAS_MAX cameras; grouper_bytes says how much.
 * Cost:    a request looks at every group's place, time and signature once and names at most
 *          1 + candidates_max + zoo_tries trials; a review names one trial for each camera, and at
 *          most merge_pairs_max x 4 + personal_max more.
 * Errors:  ST_INVALID, ST_LIMIT, ST_NOMEM, ST_NOT_FOUND; after an error nothing has changed.
 */
#ifndef ATTUNE_GROUP_GROUP_H
#define ATTUNE_GROUP_GROUP_H

#include "flow/records.h"
#include "group/conditions.h"
#include "group/zoo.h"
#include "task/task.h"

#define GROUP_CAMERAS_MAX 16384
#define GROUP_MEMBERS_MAX 256
#define GROUP_CANDIDATES_MAX 16
#define GROUP_ZOO_TRIES_MAX 8
#define GROUP_TRIALS_MAX (1 + GROUP_CANDIDATES_MAX + GROUP_ZOO_TRIES_MAX)
#define GROUP_MERGE_PAIRS_MAX 64
#define GROUP_PERSONAL_MAX 64
#define GROUP_REASON_CHARS 320

#define GROUP_POLICY_LIST(X)                                                                       \
    X(NONE, "none")                                                                                \
    X(ECCO, "ecco")                                                                                \
    X(ATTUNE, "attune")

enum group_policy {
#define GROUP_POLICY_ENUM(name, text) GROUP_POLICY_##name,
    GROUP_POLICY_LIST(GROUP_POLICY_ENUM)
#undef GROUP_POLICY_ENUM
        GROUP_POLICY_COUNT
};

const char *group_policy_name(enum group_policy p);
/* GROUP_POLICY_COUNT for a name that is none of them. */
enum group_policy group_policy_parse(const char *name);

/* Accuracies and their differences are 0..1. */
struct group_settings {
    enum group_policy policy; /* default attune */
    uint64_t near_time_us;    /* a group formed or joined longer ago is no candidate; 10 min */
    double near_place_m;      /* nor one whose centre is farther away; 2000 */
    double signature_unit;    /* distance of signatures within which conditions are alike; 1.5 */
    double signature_max;     /* attune: in those units; farther ones are no candidates; 3 */
    int members_max;          /* of a group, 1..GROUP_MEMBERS_MAX; 32 */
    int candidates_max;       /* groups tried for a request, 0..; 5 */
    int zoo_tries;            /* zoo models tried for a request, 0..; 2 */
    double join_margin;       /* better than what the camera has by this, to join (ecco); 0.01 */
    double drop;          /* an accuracy lower than in the last window by this is a fall; 0.05 */
    double gap;           /* lower than the group's by this is a disagreement; 0.05 */
    double target;        /* a group this good can rest; above 1: never; 2 */
    double gain;          /* a window that brings less than this brings nothing; 0.003 */
    int patience;         /* windows in a row before anything is undone, 1..100; 2 */
    int rest_windows;     /* windows without gain before a group rests; 0: never; 0 */
    double frame_sd;      /* of one frame's accuracy, where scores do not say; 0.08 */
    double camera_sd;     /* of accuracies between cameras that one model serves; 0.03 */
    double confidence;    /* attune: standard errors that make a difference real; 1.64 */
    int merge_pairs_max;  /* pairs of groups that a review compares, 0..; 16 */
    int personal_max;     /* members that have an own delta, or one on trial, at a time, 0..; 0 */
    double personal_gain; /* what an own delta must bring; 0.02 */
    double personal_mib_price; /* and more for each MiB that it takes on the network; 0 */
    double personal_s_price;   /* and for each second of compute; 0 */
};

void group_settings_init(struct group_settings *s);
/* frame_sd and camera_sd as measured for the task (docs/benchmarks.md, "Grouping"): a frame has few
 * boxes, and F1 leaps with each. */
void group_settings_suit(struct group_settings *s, enum task_kind task);
enum status group_settings_check(const struct group_settings *s, struct error *err);

/* How well a model does on some frames. */
struct group_score {
    double accuracy;       /* 0..1 over the frames; NaN: not evaluated */
    int frames;            /* how many that were */
    const float *by_frame; /* [frames] each frame's own, borrowed for the call; NULL: unknown. With
                            * it two models on the same frames are compared frame by frame */
};

/* Not evaluated. */
struct group_score group_score_none(void);

/* ---- Why ---- */

#define GROUP_WHY_LIST(X)                                                                          \
    X(NEW, "new")           /* no group was near enough to try */                                  \
    X(ALONE, "alone")       /* some were tried, none would do */                                   \
    X(POLICY, "policy")     /* the policy groups nobody */                                         \
    X(JOINED, "joined")     /* a group's model is as good here as on its members */                \
    X(BETTER, "better")     /* a group's model is better than what the camera has (ecco) */        \
    X(ALIKE, "alike")       /* the group is fresh: same place, time and looks; to be proven */     \
    X(STAYED, "stayed")     /* its own group's model still is the one for it */                    \
    X(FELL, "fell")         /* its accuracy fell while the others' did not */                      \
    X(BEHIND, "behind")     /* the shared model serves it worse than the others */                 \
    X(HELD, "held-back")    /* behind, and a delta of its own does not help it enough */           \
    X(MERGED, "merged")     /* one model serves both groups */                                     \
    X(SPLIT, "split")       /* several members that disagree with the rest in the same way */      \
    X(MIXED, "mixed")       /* the group fell as a whole, and looks like two */                    \
    X(PERSONAL, "personal") /* its own delta brings more than it costs */                          \
    X(SHARED, "shared")     /* its own delta no longer does */                                     \
    X(RESTED, "rested")     /* training brings nothing any more */                                 \
    X(WOKEN, "woken")       /* accuracy fell while the group rested */

enum group_why_code {
#define GROUP_WHY_ENUM(name, text) GROUP_WHY_##name,
    GROUP_WHY_LIST(GROUP_WHY_ENUM)
#undef GROUP_WHY_ENUM
        GROUP_WHY_COUNT
};

/* The numbers behind a decision; NaN and 0 where one plays no part. */
struct group_why {
    enum group_why_code code;
    uint64_t at_us;
    uint64_t group, other; /* the group that is now, and the one left, merged in or compared with */
    int tried;             /* models that were evaluated for it */
    int windows;           /* for how many windows in a row it was so */
    double accuracy;       /* of the chosen model, or of the camera */
    double reference;      /* what that was compared with */
    double margin;         /* and the difference that was allowed or asked for */
    double signature;      /* distance, in units */
    double place_m;
};

const char *group_why_name(enum group_why_code c);

/* One sentence into text[GROUP_REASON_CHARS]. */
void group_why_text(const struct group_why *w, char *text);

/* ---- The grouper, its cameras and groups ---- */

struct grouper;

enum status grouper_open(const struct group_settings *s, struct grouper **ret, struct error *err);
void grouper_close(struct grouper **g);
const struct group_settings *grouper_settings(const struct grouper *g);
/* Takes effect with the next call. */
enum status grouper_set(struct grouper *g, const struct group_settings *s, struct error *err);

/* The camera's number, 0..GROUP_CAMERAS_MAX - 1, a new one where the id is new. A number is stable
 * while the camera is there, over save and load too, and may be given to another after. */
enum status grouper_camera(struct grouper *g, const char *id, int *ret, struct error *err);
/* -1: unknown. */
int grouper_find(const struct grouper *g, const char *id);
/* Leaves its group. *ret_emptied: a group that has ended by it, whose model may go to the zoo; 0.
 */
void grouper_remove(struct grouper *g, int camera, uint64_t *ret_emptied);

/* One more than the largest number in use; numbers below may be unused (id NULL). */
int grouper_camera_limit(const struct grouper *g);
const char *grouper_camera_id(const struct grouper *g, int camera);
/* The camera's group, 0: none as yet. */
uint64_t grouper_group_of(const struct grouper *g, int camera);
/* Whether it is to have an own delta on top of the shared model. Out of a group, or into one, it
 * goes without. */
bool grouper_personal(const struct grouper *g, int camera);
/* Whether it has none, and one is on trial. */
bool grouper_personal_tried(const struct grouper *g, int camera);

struct group_view {
    uint64_t id; /* from 1, never used twice */
    int member_count;
    const int *members; /* by growing number; valid until the grouper changes */
    double accuracy;    /* mean over the members as last told; NaN: not yet */
    double gain;        /* of the last window; NaN */
    uint64_t formed_us; /* */
    int windows;        /* that have ended since */
    bool resting;       /* not to be trained until it is woken */
    const struct group_conditions *conditions; /* centre, last joining, mean signature */
};

int grouper_group_count(const struct grouper *g);
/* By growing id; i in 0..grouper_group_count - 1. */
struct group_view grouper_group_at(const struct grouper *g, int i);
/* False where there is none (any more). */
bool grouper_group(const struct grouper *g, uint64_t id, struct group_view *ret);

/* Memory that it holds now. */
size_t grouper_bytes(const struct grouper *g);

/* ---- A request ---- */

enum group_model { GROUP_MODEL_OWN = 1, GROUP_MODEL_GROUP, GROUP_MODEL_ZOO };

/* A model to evaluate on the request's frames. */
struct group_trial {
    enum group_model kind;
    uint64_t id;              /* group or zoo entry; 0: the camera's current model */
    double place_m;           /* distance; NaN unknown */
    double signature;         /* in units; NaN unknown */
    struct group_score score; /* the caller's to fill */
};

struct group_request {
    int camera;
    uint64_t now_us;
    struct group_conditions conditions;
    int trial_count; /* the first is the camera's own */
    struct group_trial trials[GROUP_TRIALS_MAX];
};

/* The camera's world has changed: what to evaluate. zoo may be NULL. Nothing changes yet but what
 * is known of the camera's conditions. A camera may ask at any time, also when its group does well.
 */
enum status grouper_request(struct grouper *g, int camera, const struct group_conditions *c,
                            uint64_t now_us, const struct zoo *zoo, struct group_request *ret,
                            struct error *err);

struct group_decision {
    uint64_t group; /* that the camera is in now */
    bool formed;    /* the camera is alone in that group, which begins with the model `start` */
    uint64_t left;  /* the group it was in before, where that is another; 0 */
    bool emptied;   /* and that one has ended: its model may go to the zoo */
    enum group_model
        start; /* formed: what the group begins with. Else GROUP_MODEL_GROUP: the camera
                * gets the model of the group that it joined, or OWN: it stays */
    uint64_t start_id;
    struct group_why why;
};

/* With the scores filled in. Groups that have ended since the request are passed over. */
enum status grouper_decide(struct grouper *g, const struct group_request *r,
                           struct group_decision *ret, struct error *err);

/* The group's model was evaluated anew on its members' frames (after a micro-window, say). */
void grouper_measured(struct grouper *g, uint64_t group, double accuracy, int frames);

/* What a camera's pictures are like now, where that is known without a request. */
void grouper_signature(struct grouper *g, int camera, const struct signature *s);

/* ---- A window's end ---- */

enum group_review_kind {
    GROUP_REVIEW_MEMBER = 1, /* the camera's group's model on the camera's newest frames */
    GROUP_REVIEW_CROSS,      /* another group's model on them */
    GROUP_REVIEW_PERSONAL    /* its group's model with the camera's own delta on top, the one in use
                              * or on trial, on frames that neither was trained on: those labelled
                              * since it was trained. The camera's MEMBER trial, the shared model's,
                              * is then on the same frames */
};

struct group_review_trial {
    enum group_review_kind kind;
    uint64_t group;           /* whose model */
    int camera;               /* on whose newest frames */
    bool train;               /* an own delta is to be trained, for the reviews to come: the camera
                               * has none (which has no score), or its has faded (the new one takes
                               * its place if it does better) */
    struct group_score score; /* the caller's to fill, and for an own delta what it costs: */
    double size_mib, compute_s;
};

struct group_review {
    uint64_t now_us;
    int trial_count;
    struct group_review_trial *trials; /* [trial_count], all MEMBER first */
};

enum status grouper_review(struct grouper *g, uint64_t now_us, struct group_review *ret,
                           struct error *err);
void group_review_clear(struct group_review *r);

#define GROUP_ACTION_LIST(X)                                                                       \
    X(LEAVE, "leave") /* camera left `other`, forms `group` with the shared model, without its     \
                         own delta, and asks anew */                                               \
    X(SPLIT, "split") /* camera left `other` for `group`, which forms from other's model */        \
    X(MERGE, "merge") /* camera of `other`, which has ended, is in `group` and gets its model */   \
    X(PERSONAL_ON, "personal-on")   /* camera is to have an own delta */                           \
    X(PERSONAL_OFF, "personal-off") /* no longer */                                                \
    X(REST, "rest")                 /* `group` is not to be trained; its model goes to the zoo */  \
    X(WAKE, "wake")                 /* it is again */

enum group_action_kind {
#define GROUP_ACTION_ENUM(name, text) GROUP_ACTION_##name,
    GROUP_ACTION_LIST(GROUP_ACTION_ENUM)
#undef GROUP_ACTION_ENUM
        GROUP_ACTION_COUNT
};

const char *group_action_name(enum group_action_kind k);

/* One for each camera concerned; they hold already when conclude returns. Those of one split or
 * merge stand together. */
struct group_action {
    enum group_action_kind kind;
    int camera;            /* -1: the whole group */
    uint64_t group, other; /* other: 0 where there is none */
    bool emptied;          /* `other` ended with this action: its model may go to the zoo */
    struct group_why why;
};

struct group_actions {
    int count;
    struct group_action *items;
};

/* A window is over: takes the scores in and does what follows. Trials of cameras that have changed
 * groups since the review do not count. On ST_NOMEM (in midst of it) *ret is filled too: with what
 * was done. */
enum status grouper_conclude(struct grouper *g, const struct group_review *r,
                             struct group_actions *ret, struct error *err);
void group_actions_clear(struct group_actions *a);

/* ---- Explaining and keeping ---- */

struct group_explanation {
    uint64_t group; /* 0: the camera never asked for retraining */
    int members;
    double accuracy, group_accuracy; /* in the last window; NaN */
    int behind_windows;              /* for how many in a row it was worse off than the others */
    int moves;                       /* out of groups that did not suit it, lately */
    bool personal, resting;
    struct group_why why; /* of the last decision about it */
    char text[2 * GROUP_REASON_CHARS];
};

/* ST_NOT_FOUND for a camera that is not there. */
enum status grouper_explain(const struct grouper *g, int camera, struct group_explanation *ret,
                            struct error *err);

/* The whole state as bytes (docs/formats.md, "groups"), and back. Settings are not part of it. What
 * is not whole, not ours, or breaks a promise made above is ST_FORMAT. */
enum status grouper_save(const struct grouper *g, struct buf *out, struct error *err);
enum status grouper_load(const struct group_settings *s, const void *data, size_t n,
                         struct grouper **ret, struct error *err);

#endif
