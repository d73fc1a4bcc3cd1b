/* control_internal.h - what control.c has in common with the ways of deciding whose job is next:
 * turns.c (round robin, as AMS), windows.c (plans, as Ekya) and micro.c (micro-windows, as ECCO).
 */
#ifndef ATTUNE_SERVER_CONTROL_INTERNAL_H
#define ATTUNE_SERVER_CONTROL_INTERNAL_H

#include <pthread.h>

#include "schedule/schedule.h"
#include "server/control.h"
#include "server/executor.h"

#define CONTROL_SECOND_US ((uint64_t)1000000)
#define CONTROL_PENALTY_MAX_US (600 * CONTROL_SECOND_US)

/* A group as control sees it. It keeps its seat; a group that is no more leaves it when its learner
 * is closed. */
struct seat {
    struct trainee trainee; /* id "": nobody's seat */
    int executor;           /* whose worker has or gets the learner; -1: none */
    bool busy;              /* its job is with that executor */
    bool held;              /* gets no job: its cameras are about to change */
    bool resting;           /* gets no training: it would bring nothing */
    int failures;           /* in a row */
    uint64_t urged;         /* the newest request by a person that it was urged for */
    double part;            /* of the compute for training, 0..1: what its cameras were told */
};

struct moves;
struct interventions;
struct grouping;

/* One way of deciding. All but json is the control thread's. */
struct decider_ops {
    void (*close)(void *self);
    /* A group takes the seat; nobody has it any more. */
    void (*join)(void *self, int seat);
    void (*leave)(void *self, int seat);
    /* The seat's job is to end with what it has reached. */
    void (*hurry)(void *self, int seat);
    /* The seat, which has no job, is to have one as soon as may be. */
    void (*urge)(void *self, int seat);
    /* The seat's job is over; seat.busy is false by now. */
    void (*ended)(void *self, int seat, const struct executor_report *report);
    /* Does what is due; returns when it wants to be asked again. */
    uint64_t (*run)(void *self, uint64_t now_us);
    /* What is in force (docs/api.md), NULL: nothing is planned. Any thread. */
    json_t *(*json)(void *self);
};

struct decider {
    const struct decider_ops *ops;
    void *self;
};

struct control {
    struct server *server;
    struct executor *executors[EXECUTORS_MAX];
    int executor_count;
    pthread_mutex_t lock; /* of count, of the seats' executors and their groups' cameras, for others
                           * than the thread */
    struct seat *seats;   /* [seats_max] */
    int count, seats_max;
    uint64_t revision; /* counts every change of a group */
    struct moves *moves;
    struct interventions *interventions;
    struct grouping *grouping;     /* NULL: every camera is alone */
    struct seat trials;            /* nobody's: the trial that is under way */
    struct store_camera *arrivals; /* [cameras_max] the thread's, while it looks for new ones */
    struct decider decider;
    pthread_t thread;
    bool running;
};

/* A group that can be trained? */
bool control_sits(const struct control *c, int seat);

/* One with a member whose learning is not paused? */
bool control_learns(const struct control *c, int seat);
/* Is, or is to be, the camera's learning paused? */
bool control_paused(const struct control *c, const char *camera);

/* The seat of the group, of the group that has the camera; -1: none. */
int control_seat_of(const struct control *c, const char *group);
int control_seat_with(const struct control *c, const char *camera);

/* Place among the group's members, -1: it is none. */
int control_member_of(const struct trainee *t, const char *camera);

/* How accurate the camera's model is, and the mean of the group's members that have been scored;
 * NaN: not known. */
double control_camera_accuracy(const struct control *c, const char *camera);
double control_accuracy(const struct control *c, int seat);

/* The camera, whose group in the store is the seat's, is with it from now on, and with no other.
 * The learner is made anew with the next job. ST_LIMIT: no seat is left (for a group without one).
 */
enum status control_sit(struct control *c, const char *camera, const char *group,
                        struct error *err);

/* Cameras that are new in the store take a seat. */
void control_refresh(struct control *c);

/* Starts the seat's job where its learner is, or where the fewest are. False: no worker is free for
 * it now. */
bool control_start(struct control *c, int seat, const struct job *job, uint64_t now_us);

/* Processors for the job of a busy seat, from now on; 0 of any: it has none any more. */
void control_share(struct control *c, int seat, enum ledger_kind kind, double share);

/* Processors that there are for training and for inference here. */
double control_capacity(const struct control *c);

/* The job of a busy seat ends with what it has reached, even where it is paused. False: it has not
 * trained yet. */
bool control_end_early(struct control *c, int seat);

/* The frames that there are were not enough to train on: the group waits for more. */
void control_note_barren(struct control *c, int seat);

/* What each group has of the compute for training in the long run: parts[seat] 0..1, NaN (or parts
 * NULL): as its members are of all cameras. Its cameras hear of it, with their weight in the uplink
 * (uplink/sending.h), as far as the policy has rates and bandwidth follow; seats have it as part.
 */
void control_tell_groups(struct control *c, const double *parts);

/* Starts a trial, one at a time, where a worker is free. False: not now. */
bool control_try(struct control *c, struct trial *t, uint64_t now_us);

/* How long a seat that failed for the `failures`th time has to wait, when it is `period_us` at
 * first. */
uint64_t control_penalty_us(uint64_t period_us, int failures);

/* ---- moves.c: cameras that change groups ---- */

enum status moves_open(struct control *c, struct moves **ret, struct error *err);
void moves_close(struct moves **m);
/* Carries out what was asked for as far as the groups are not at work. */
void moves_run(struct moves *m);
/* The camera is to be in the group with the number, which is made for it where there is none yet:
 * with the model in the file `start` (within the state folder), or "" the one that the camera has.
 */
enum status moves_ask(struct moves *m, const char *camera, uint64_t number, const char *start,
                      const char *reason, struct error *err);
/* Is a move of the camera waiting? */
bool moves_wait(struct moves *m, const char *camera);

/* ---- interventions.c: what people want ---- */

enum status interventions_open(struct control *c, struct interventions **ret, struct error *err);
void interventions_close(struct interventions **v);
/* Carries out what was asked for as far as the groups are not at work; after moves_run. */
void interventions_run(struct interventions *v);

/* ---- turns.c, windows.c, micro.c ---- */

enum status turns_open(struct control *c, struct decider *ret, struct error *err);
enum status windows_open(struct control *c, enum schedule_policy policy, struct decider *ret,
                         struct error *err);
/* Under the policy of server->dividing.sharing. */
enum status micro_open(struct control *c, struct decider *ret, struct error *err);

#endif
