/* grouping_internal.h - what grouping.c, grouping_zoo.c and grouping_show.c share. */
#ifndef ATTUNE_SERVER_GROUPING_INTERNAL_H
#define ATTUNE_SERVER_GROUPING_INTERNAL_H

#include "group/group.h"
#include "server/grouping.h"

#define GROUPING_PATH_CHARS 191

enum asking { ASKING_NOTHING, ASKING_LOOKS, ASKING_REQUEST, ASKING_REVIEW };

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
};

/* A camera by the grouper's number. */
struct watched_camera {
    bool seen, asks; /* asks: without a row in the store: it is new, or has left a group */
    uint64_t not_before_us;
    struct group_conditions conditions;
    char start[GROUPING_PATH_CHARS + 1]; /* snapshot that its next group begins with, within the
                                          * state folder; "": with what it has */
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
