/* planted.h - a fleet whose true groups are known, for tests and benchmarks of the grouper.
 *
 * Cameras stand in districts. Every few windows something happens to a district or a part of it. A
 * condition is a point of a space; a model is a point as well and does the better the nearer it is;
 * training moves it towards its members' conditions. Scores are noisy, frame by frame, and two
 * models on the same frames share most of the noise. Signatures tell the view as well as the
 * conditions. Cameras ask when they notice, after a while, and sometimes for nothing.
 */
#ifndef ATTUNE_TESTS_GROUP_PLANTED_H
#define ATTUNE_TESTS_GROUP_PLANTED_H

#include "base/rng.h"
#include "group/group.h"
#include "group/pairs.h"

#define PLANTED_DIMS 4
#define PLANTED_FRAMES 12

enum planted_call {
    PLANTED_REQUEST,
    PLANTED_DECIDE,
    PLANTED_REVIEW,
    PLANTED_CONCLUDE,
    PLANTED_CALLS
};

struct planted_options {
    int cameras, districts;
    int windows, event_windows; /* something happens every event_windows; 0: never */
    double difficulty_sd;       /* of accuracies between cameras, whatever their model */
    double label_noise;         /* part of the labels that are wrong */
    double false_requests;      /* a camera a window */
    double silent;              /* part of the changes that a camera does not notice */
    bool blind;                 /* signatures are not known */
    double apart_m;             /* from district to district */
    /* Where set: called with the time that each call into the grouper took. */
    uint64_t (*clock_us)(void);
    void (*timed)(void *context, enum planted_call call, uint64_t took_us);
    void *context;
    uint64_t seed;
};

void planted_options_init(struct planted_options *o);

struct planted_camera {
    int district, condition; /* the truth */
    double x[PLANTED_DIMS];  /* the condition as this camera has it */
    double view[SIGNATURE_VALUES];
    double difficulty;
    double model[PLANTED_DIMS]; /* what it runs before it is in any group */
    uint64_t asks_us;           /* 0: not going to */
    int hurt;                   /* windows in a row where its group does it harm */
};

struct planted {
    struct planted_options options;
    struct planted_camera *cameras; /* [options.cameras] */
    double (*models)[PLANTED_DIMS]; /* of groups, by id % models_size */
    double (*conditions)[PLANTED_DIMS];
    int condition_count, models_size;
    double embed[PLANTED_DIMS][SIGNATURE_VALUES];
    struct rng rng;
    uint64_t now_us;
    int window, since_event; /* windows */
    bool unstable;           /* since the last event */

    /* Results */
    uint64_t moves, calm_moves; /* changes of group; those long after any event */
    uint64_t calm_camera_windows, requests;
    int trials_max;             /* of one request */
    struct group_pairs settled; /* in windows from the 4th after an event on */
    struct group_pairs all;     /* in all windows */
    int events, events_stable;  /* those after which the groups became the true ones */
    int stable_windows;         /* that took, sum over events_stable */
    int hurt_windows_max;       /* longest that a camera stayed where it was hurt */
    double accuracy;            /* sum over windows of the cameras' mean */
};

bool planted_open(const struct planted_options *o, struct planted *ret);
void planted_close(struct planted *p);

/* Expected accuracy of a model at a camera. */
double planted_accuracy(const struct planted *p, const double *model, int camera);
void planted_conditions(struct planted *p, int camera, struct group_conditions *ret);
/* On the frames of that number. by_frame[PLANTED_FRAMES] is where the frames' own scores go. */
struct group_score planted_score(struct planted *p, const double *model, int camera,
                                 uint64_t frames_of, float *by_frame);
uint64_t planted_truth(const struct planted *p, int camera);

/* All cameras under the numbers 0.. */
enum status planted_enlist(const struct planted *p, struct grouper *g, struct error *err);
/* One window: events, requests, training, review. */
enum status planted_window(struct planted *p, struct grouper *g, struct error *err);
/* Both, for all windows. */
enum status planted_run(struct planted *p, struct grouper *g, struct error *err);

#endif
