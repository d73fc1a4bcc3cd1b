/* control_internal.h - what control.c has in common with the two ways of deciding: turns.c (round
 * robin, as AMS) and windows.c (plans, as Ekya). */
#ifndef ATTUNE_SERVER_CONTROL_INTERNAL_H
#define ATTUNE_SERVER_CONTROL_INTERNAL_H

#include <pthread.h>

#include "schedule/schedule.h"
#include "server/control.h"
#include "server/executor.h"

#define CONTROL_SECOND_US ((uint64_t)1000000)
#define CONTROL_PENALTY_MAX_US (600 * CONTROL_SECOND_US)

/* A camera as control sees it. Its index stays. */
struct seat {
    struct trainee trainee;
    int executor; /* whose worker has or gets the learner; -1: none */
    bool busy;    /* its job is with that executor */
    int failures; /* in a row */
};

struct turns;
struct windows;

struct control {
    struct server *server;
    struct executor *executors[EXECUTORS_MAX];
    int executor_count;
    pthread_mutex_t lock; /* of count and of the seats' executors, for others than the thread */
    struct seat *seats;   /* [cameras_max] */
    int count;
    struct turns *turns; /* one of the two */
    struct windows *windows;
    pthread_t thread;
    bool running;
};

/* Starts the seat's job where its learner is, or where the fewest are. False: no worker is free for
 * it now. */
bool control_start(struct control *c, int seat, const struct job *job, uint64_t now_us);

/* Processors for the job of a busy seat, from now on; 0 of any: it has none any more. */
void control_share(struct control *c, int seat, enum ledger_kind kind, double share);

/* How long a seat that failed for the `failures`th time has to wait, when it is `period_us` at
 * first. */
uint64_t control_penalty_us(uint64_t period_us, int failures);

enum status turns_open(struct control *c, struct turns **ret, struct error *err);
void turns_close(struct turns **t);
void turns_join(struct turns *t, int seat);
/* The seat's job is over (seat.busy is false by now). `dropped`: it will not be tried again. */
void turns_ended(struct turns *t, int seat, const struct executor_report *report);
/* Does what is due; returns when it wants to be asked again. */
uint64_t turns_run(struct turns *t, uint64_t now_us);

enum status windows_open(struct control *c, enum schedule_policy policy, struct windows **ret,
                         struct error *err);
void windows_close(struct windows **w);
void windows_join(struct windows *w, int seat);
void windows_ended(struct windows *w, int seat, const struct executor_report *report);
uint64_t windows_run(struct windows *w, uint64_t now_us);
/* The plan that is in force; safe from any thread. */
json_t *windows_json(struct windows *w);

#endif
