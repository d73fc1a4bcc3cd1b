/* grouping_internal.h - what grouping.c, grouping_zoo.c and grouping_show.c share. */
#ifndef ATTUNE_SERVER_GROUPING_INTERNAL_H
#define ATTUNE_SERVER_GROUPING_INTERNAL_H

#include "group/group.h"
#include "server/grouping.h"

#define GROUPING_PATH_CHARS 191

enum asking { ASKING_NOTHING, ASKING_LOOKS, ASKING_REQUEST, ASKING_REVIEW, ASKING_OWN };

/* What is worked on. */
struct question {
    enum asking kind;
    int camera;   /* of a request, of the review's trial at hand */
    uint64_t row; /* of the store's requests; 0: nobody's */
    int tries;
    bool under_way; /* its trial is with a worker */
    struct group_request request;
    struct group_review review;
    float (*by_frame)[TRIAL_FRAMES_MAX]; /* of the review's trials */
    int next;                            /* the review's trials below are done */
    int of[TRIAL_MODELS_MAX];            /* the trial of the question that each model is for */
    int own_use, own_trial;              /* models with the camera's own deltas on top, -1: none */
};

/* A camera's own small delta; its files are own.h's. */
struct watched_own {
    char group[CAMERA_ID_CHARS_MAX + 1]; /* whose model they are on top of */
    bool wanted;                         /* one is to be trained */
    bool use, trial;                     /* there is one in use; one that is being judged */
    bool looked_for;                     /* the one in use, after a restart */
    uint64_t use_seq, trial_seq;         /* newest chunk that each was trained on */
    double size_mib, compute_s;          /* of the last one */
};

/* A camera by the grouper's number. */
struct watched_camera {
    bool seen, asks; /* asks: without a row in the store: it is new, or has left a group */
    uint64_t not_before_us;
    struct group_conditions conditions;
    char start[GROUPING_PATH_CHARS + 1]; /* snapshot that its next group begins with, within the
                                          * state folder; "": with what it has */
    struct watched_own own;
};

struct grouping {
    struct control *control;
    struct grouper *grouper;
    struct zoo *zoo;                /* NULL: none is kept */
    struct watched_camera *cameras; /* [cameras_max] */
    struct question now;
    struct trial trial;
    uint64_t review_us, looked_us, trials, reviews;
    pthread_mutex_t lock; /* of shown */
    json_t *shown;
};

struct server *grouping_server(const struct grouping *g);
/* The seat of the grouper's group, -1: none yet. */
int grouping_seat(const struct grouping *g, uint64_t number);

/* Is it there, and not paused by a person? Of others nothing is asked, and they move nowhere. */
bool grouping_may(const struct grouping *g, int camera);

bool grouping_is_ours(const struct grouping *g, int camera);

/* The newest labelled chunks become those of the trial: all after one, or the most recent ones;
 * false when there is none. */
bool grouping_take_chunks(struct grouping *g, const char *camera, uint64_t after);
bool grouping_take_recent_chunks(struct grouping *g, const char *camera);
/* The group's present model becomes one of the trial's, for this trial of the question. */
void grouping_add_group_model(struct grouping *g, const char *group, int of);

/* ---- grouping_own.c: members' own small deltas ---- */

/* A delta that is to be trained becomes the question; false when there is none. */
bool grouping_own_next(struct grouping *g);
void grouping_own_trained(struct grouping *g, const struct executor_report *report);
/* A review's trial of the camera is on frames that its own deltas were not trained on; false when
 * there are none, of either. */
bool grouping_own_frames(struct grouping *g, int camera);
/* Adds the question's camera's own deltas, for this trial of the review. */
void grouping_own_models(struct grouping *g, int of);
/* Whether that model's score is the review's: one that was made anew has to be better than the one
 * in use, and takes its place. */
bool grouping_own_counts(struct grouping *g, int model);
/* With the review's actions: what is used from now on, and what is to be trained. */
void grouping_own_reviewed(struct grouping *g, const struct group_actions *actions);
/* What nobody is to have any more goes, what was in use before a restart is found again. */
void grouping_own_tend(struct grouping *g, int camera);

/* ---- grouping_zoo.c: past models and the state on disk ---- */

enum status grouping_read(struct grouping *g, const struct group_settings *s, struct error *err);
/* Grouper and zoo. What fails is logged. */
void grouping_write(struct grouping *g);
/* The group's newest model that was made by t_us goes to the zoo, as good under these conditions.
 */
void grouping_keep_model(struct grouping *g, const char *group, uint64_t by_us,
                         const struct group_conditions *c, double accuracy);
/* Path of an entry's snapshot within the state folder: ret[GROUPING_PATH_CHARS + 1]. */
bool grouping_zoo_path(const struct grouping *g, uint64_t entry, char *ret);

/* ---- grouping_show.c ---- */

void grouping_show(struct grouping *g);

#endif
