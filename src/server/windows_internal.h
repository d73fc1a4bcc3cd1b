/* windows_internal.h - what the parts of plans share: windows.c makes them and has them followed,
 * windows_offer.c says what there is to train, windows_infer.c what inference here is worth,
 * windows_jobs.c what came of trainings, windows_show.c tells people. */
#ifndef ATTUNE_SERVER_WINDOWS_INTERNAL_H
#define ATTUNE_SERVER_WINDOWS_INTERNAL_H

#include "profile/inference.h"
#include "schedule/planner.h"
#include "server/control_internal.h"
#include "server/outlook.h"

#define WINDOWS_LOOK_US (CONTROL_SECOND_US / 5) /* between looks for new frames */

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

/* Ours does; Ekya's policies work in windows. */
bool windows_look_ahead(const struct windows *w);
uint64_t windows_period_us(const struct windows *w);
struct executor *windows_executor(const struct windows *w, int seat);

/* A plan is due; what matters more is kept. */
void windows_want_plan(struct windows *w, enum schedule_event event);

const struct trainee *windows_group(const struct windows *w, int seat);
const char *windows_id(const struct windows *w, int seat);
/* What row i is of, "" for an empty seat. */
const char *windows_row_id(const struct windows *w, int row);
const char *windows_item_name(const struct windows *w, int item);

/* ---- windows_offer.c ---- */

/* Compute-seconds of a step under the item. */
double windows_step_s(const struct windows *w, int seat, int item);
/* The planner gets the seat's options, or what goes on from the job that is under way. */
void windows_offer(struct windows *w, int seat);
/* Has it something to train that it has not been offered for? */
bool windows_due(struct windows *w, int seat, uint64_t now_us);
bool windows_wants_profile(const struct windows *w, int seat);
/* A profile is there. */
void windows_prune(struct windows *w, int seat);
void windows_look_for_frames(struct windows *w, uint64_t now_us);
/* Grows with every labelled chunk of a member. */
uint64_t windows_chunks_seen(const struct windows *w, int seat);
/* The job at hand ends with what it has reached. */
void windows_hurry(struct windows *w, int seat);
/* Its options are gone until there is something new, rest_us at the soonest. */
void windows_forget(struct windows *w, int seat, uint64_t rest_us);

/* ---- windows_infer.c ---- */

/* Is the camera's row one after the groups'? */
bool windows_is_onlooker(const struct windows *w, const struct inferring *f);
void windows_list_inferring(struct windows *w, uint64_t now_us);
void windows_watch_inference(struct windows *w, uint64_t now_us);
void windows_set_inference(struct windows *w);
void windows_grant_inference(struct windows *w, const struct schedule_plan *p);

/* ---- windows_jobs.c ---- */

void windows_watch_jobs(struct windows *w);
/* A training has come to its end. */
void windows_end_training(struct windows *w, int seat, const struct job_result *r);

/* ---- windows_show.c ---- */

/* The plan that is in force; a decider's. */
json_t *windows_json(void *self);

/* Keeps the plan for windows_json. */
void windows_show(struct windows *w, const struct schedule_snapshot *s,
                  const struct schedule_plan *p, uint64_t took_us);

/* An event about a group for which the plan is another than it was. */
void windows_say(struct windows *w, const struct schedule_snapshot *s,
                 const struct schedule_plan *p, int seat);

#endif
