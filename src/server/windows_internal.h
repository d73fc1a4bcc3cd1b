/* windows_internal.h - what windows.c and windows_show.c share. */
#ifndef ATTUNE_SERVER_WINDOWS_INTERNAL_H
#define ATTUNE_SERVER_WINDOWS_INTERNAL_H

#include "profile/inference.h"
#include "schedule/planner.h"
#include "server/control_internal.h"
#include "server/outlook.h"

/* A group's training: what it may be, and how far it is. */
struct course {
    bool offered;        /* its options are with the planner */
    uint64_t rest_us;    /* not offered before */
    uint64_t started_us; /* the last job; 0: none yet */
    uint64_t ended_us;   /* the last training */

    /* the offer */
    uint64_t episode;             /* its number */
    double start;                 /* accuracy when it was made */
    double op_s;                  /* an operation's compute, as the planner believes */
    int steps[OUTLOOK_ITEMS_MAX]; /* of each item of the menu */
    int done;                     /* steps of jobs that ended */
    double compute_s;             /* that they took */

    /* where estimates ask for profiles */
    bool profiling;                 /* its job is one */
    bool profiled;                  /* there is one for the frames that are there */
    struct outlook_profile profile; /* the executor's while profiling */
    bool kept[OUTLOOK_ITEMS_MAX];   /* worth profiling */
    int profiles;                   /* so far */

    /* the job at hand */
    int item;          /* that it trains */
    int told;          /* steps that the planner knows */
    int judged, asked; /* checkpoints that the planner knows; steps at which one was wished */
    bool revised;      /* a step's cost was corrected */
    bool ending;       /* it was told to end with what it has */
    uint64_t seen;     /* labelled chunks when it began */

    int said_why, said_configuration; /* in the last event */
};

/* A camera's inference here; without a point it infers elsewhere. */
struct inferring {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    int seat;
    struct schedule_curve curve;
    struct schedule_point points[INFERENCE_POINTS_MAX];
};

/* Rows of the planner: a group each, and after them one for each camera that the server infers for
 * and that is not alone in its group: training is planned for the group, inference for the camera.
 */
struct windows {
    struct control *control;
    struct schedule_settings settings;
    struct planner *planner;
    struct schedule_point throughput[2];
    int count;                   /* groups of the planner, as the seats */
    struct course *courses;      /* [seats_max] */
    struct inferring *inferring; /* [cameras_max] */
    int inferring_count;
    int onlookers;     /* rows after the groups' */
    uint64_t revision; /* of the seats when the planner was opened */
    struct outlook *outlook;
    uint64_t end_us; /* of the window */
    uint64_t planned_us, looked_us;
    enum schedule_event due; /* a plan is, for this; 0: none */
    uint64_t episodes;
    pthread_mutex_t lock; /* of shown */
    json_t *shown;        /* the plan in force, for others */
};

const struct trainee *windows_group(const struct windows *w, int seat);
/* What row i is of, "" for an empty seat. */
const char *windows_row_id(const struct windows *w, int row);
const char *windows_item_name(const struct windows *w, int item);

/* Keeps the plan for windows_json. */
void windows_show(struct windows *w, const struct schedule_snapshot *s,
                  const struct schedule_plan *p, uint64_t took_us);

/* An event about a group for which the plan is another than it was. */
void windows_say(struct windows *w, const struct schedule_snapshot *s,
                 const struct schedule_plan *p, int seat);

#endif
