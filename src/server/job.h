/* job.h - one training of one group, step by step, in a worker that is there. Internal.
 *
 * A job brings the group's learner up to date (open it, add the members' chunks that it does not
 * have), trains it in slices of about JOB_SLICE_US and records what came of it. Between two slices
 * it looks whether it is to stop or to try a checkpoint. Everything that a restart needs is on
 * disk: a version's row is written after its files, and the worker's state of version N is in
 * vN.learner, so a crash in between repeats the training from version N - 1.
 *
 * Threads: runs in its executor's thread (server/executor.h); wishes may be set by any.
 * Errors:  ST_AGAIN: the server is stopping. ST_NETWORK: the worker is lost. Others: it refused, or
 *          the store failed; the group's learner is closed then.
 */
#ifndef ATTUNE_SERVER_JOB_H
#define ATTUNE_SERVER_JOB_H

#include <pthread.h>

#include "server/node.h"
#include "server/outlook.h"
#include "server/trial.h"
#include "server/worker_process.h"

#define JOB_SLICE_US 250000
#define JOB_ASK_US ((uint64_t)120 * 1000000) /* for everything but training */

struct trainee_member {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    uint64_t added_seq;   /* the learner has chunks up to here */
    uint64_t trained_seq; /* newest chunk of the last training that counts */
    uint64_t barren_seq;  /* chunks up to here were not enough to train on */
    bool paused;          /* nothing of it is trained on */
    bool to_pause;        /* what paused is to be once no job is under way; control's */
};

/* What the server knows of a group's learner; only its memory, made anew after a restart. */
struct trainee {
    char id[CAMERA_ID_CHARS_MAX + 1];
    uint64_t number;  /* what the grouper calls it (group/group.h), 0: nothing yet */
    uint64_t process; /* the one that has the learner (job_run.process); 0: none */
    bool stale;       /* what the learner has is not of these members, or not of this version */
    int frames;       /* in the learner */
    int count;        /* 0: the group is no more */
    struct trainee_member members[STORE_MEMBERS_MAX];
};

/* "" where several cameras are meant. */
const char *trainee_camera(const struct trainee *t);

/* An event about the group: of its camera, or where it has several with "group" and "cameras". */
void trainee_event(struct server *s, const struct trainee *t, const char *kind, json_t *members,
                   const char *reason, ...) __attribute__((format(printf, 5, 6)));

struct job {
    enum ledger_kind kind; /* LEDGER_TRAIN or LEDGER_PROFILE */
    bool close;            /* nothing but this: the group is no more, its learner goes */
    struct trial *trial;   /* nothing but this: models are tried, no learner is touched; borrowed */
    int steps;             /* 0: as the configuration comes to, or the recipe's */
    /* What follows lives until the job is collected. */
    const struct train_configuration *configuration; /* NULL: the recipe */
    const struct outlook *menu;                      /* of a profile; the recipe is left out */
    const bool *wanted;                              /* its items that are profiled */
    struct outlook_profile *profile;                 /* what came of it */
};

/* What others wish of a job under way. */
struct job_wishes {
    atomic_bool cancel;     /* give up */
    atomic_bool checkpoint; /* let the cameras have what is there, when it is better */
    atomic_bool pause;      /* no further slice for now; the time until the end goes on */
    atomic_int steps;       /* to end after so many; 0: as the job says */
};

/* How far a job is. */
struct job_progress {
    int steps;           /* done */
    uint64_t compute_us; /* so far, getting ready included */
    int judged;          /* checkpoints that were tried, and of the last one: */
    int judged_steps;
    bool accepted;
    double before, after; /* scores on held-out frames */
    bool decided;         /* what comes of a training is fixed */
};

/* Where its thread writes that and others read it. */
struct job_board {
    pthread_mutex_t lock;
    struct job_progress now;
};

enum job_end {
    JOB_NOTHING = 1, /* too few frames, or none that are new */
    JOB_TRAINED,     /* to its end; accepted or not */
    JOB_PROFILED,    /* job.profile has what it said */
    JOB_CLOSED,
    JOB_TRIED,
    JOB_CANCELLED,
    JOB_DIVERGED /* the loss is not a number; the version stays what it was */
};

struct job_result {
    enum job_end end;
    bool accepted;        /* what was judged last, at the end or at a checkpoint */
    double before, after; /* its scores on held-out frames, NaN: not scored */
    int steps;            /* done */
    int checkpoints;      /* versions before the last */
    uint64_t compute_us;  /* processor time of the worker */
    char reason[STORE_REASON_CHARS_MAX + 1];
};

struct job_run {
    struct server *server;
    struct worker_process *worker;
    uint64_t process; /* a number that no other process of the server has or had */
    int member;       /* of the limiter */
    struct trainee *trainee;
    struct job_wishes *wishes;
    struct job_board *board;
    uint64_t until_us;   /* monotonic; a training that is not done by then has failed */
    uint64_t charged_us; /* the member's processor time that is in the ledger */
    uint64_t began_us;   /* the same when the job began; job_execute's */
};

/* Asks the worker and charges what it used to the group (NULL: nobody's). Takes the request. */
enum status job_ask(struct job_run *r, const struct job *job, json_t *request, uint64_t until_us,
                    json_t **ret, struct error *err);

/* *ret is filled in any case. */
enum status job_execute(struct job_run *r, const struct job *job, struct job_result *ret,
                        struct error *err);

/* Has a member that is not paused labelled chunks that were neither trained on nor too few? */
enum status job_is_due(struct server *s, const struct trainee *t, bool *ret, struct error *err);

#endif
