/* executor.h - a worker process and the thread that has it do one job after the other. Internal.
 *
 * A executor starts its process with its first job, under a share (share/limiter.h) and a bound on
 * its memory. Whatever happens to the process (crash, kill, out of memory, silence, nonsense) costs
 * the job at hand: the executor says so and starts another process with the next job, 1 s, 2 s, ...
 * 60 s later. The other executors are not concerned.
 *
 * Usage: when executor_ready, executor_start; when executor_collect says so the job is over and the
 * executor ready again. The bell rings at that moment.
 *
 * Owns:    the process, the thread, a member of the limiter. The trainee is borrowed from
 * executor_start to executor_collect, and the executor's alone in between. Threads: start, collect
 * and close from one thread; the others from any.
 */
#ifndef ATTUNE_SERVER_EXECUTOR_H
#define ATTUNE_SERVER_EXECUTOR_H

#include "server/job.h"

#define EXECUTORS_MAX 64

enum executor_state { EXECUTOR_OFF, EXECUTOR_RUNNING, EXECUTOR_RESTARTING };

/* "off", "running", "restarting". */
const char *executor_state_name(enum executor_state s);

struct executor;

/* index: of `count` executors that share the processors for training. */
enum status executor_open(struct server *s, int index, int count, struct executor **ret,
                          struct error *err);
/* Call bell_stop first. Ends the process, whatever it is doing. */
void executor_close(struct executor **l);

bool executor_ready(struct executor *l, uint64_t now_us);
/* When an executor that waits for its next process is ready; 0 for one that does not. */
uint64_t executor_restart_us(struct executor *l);

/* The executor must be ready. */
void executor_start(struct executor *l, struct trainee *t, const struct job *job);

struct executor_report {
    struct trainee *trainee;
    struct job job;
    enum status status; /* of job_execute, or of starting the process */
    struct error why;
    struct job_result result;
};

/* False: the job is not over, or there is none. */
bool executor_collect(struct executor *l, struct executor_report *ret);

/* Wishes of the job at hand; nothing without one. */
void executor_cancel(struct executor *l);
void executor_checkpoint(struct executor *l);
void executor_pause(struct executor *l, bool pause);
void executor_set_steps(struct executor *l, int steps);

/* How far the job at hand is; zero before its first slice. */
void executor_progress(struct executor *l, struct job_progress *ret);

/* Processors, from now on, in the job or between. */
enum status executor_set_share(struct executor *l, double share, struct error *err);

struct executor_view {
    enum executor_state state;
    int pid;                             /* 0: no process */
    char group[CAMERA_ID_CHARS_MAX + 1]; /* of the job at hand, "" for none */
    double share;
    uint64_t used_us, restarts;
};

void executor_look(struct executor *l, struct executor_view *ret);

#endif
