/* node.h - what the parts of the server share. Internal to src/server.
 *
 * Threads: `set` and models never change after open, what a reload changes is in `config`; the
 * store and the bell are safe; counters are atomic; `labelling` and `control` have their own
 * headers. A part may use those that were opened before it; requests use all of them, and so come
 * only when the server is whole, and end before the first part is closed.
 */
#ifndef ATTUNE_SERVER_NODE_H
#define ATTUNE_SERVER_NODE_H

#include <jansson.h>
#include <stdatomic.h>

#include "base/cores.h"
#include "nn/model.h"
#include "server/bell.h"
#include "server/config.h"
#include "server/dividing.h"
#include "server/pulse.h"
#include "server/server.h"
#include "share/ledger.h"
#include "share/limiter.h"
#include "store/store.h"
#include "task/task.h"

/* What has processors of its own; HTTP and everything else gets the rest. */
enum server_role { SERVER_LABEL, SERVER_TRAIN, SERVER_ROLES };

#define LEDGER_WINDOW_US ((uint64_t)60 * 1000000)

struct board;
struct labelling;
struct control;
struct streams;
struct history;
struct http;
struct access;
struct gate;
struct deadlines;
struct metrics;
struct bridge;
struct hooks;

struct counters {
    atomic_ullong frames_labelled, label_us, chunks_failed;
    atomic_ullong state_bytes, oldest_us; /* of the folder, as of a minute ago */
    atomic_bool size_noted;               /* it is over its bound, and that was said */
    atomic_ullong phases, phases_failed, phase_us, worker_restarts, retired_chunks;
    atomic_int waiters;        /* long polls and event streams */
    atomic_bool backlog_noted; /* the event was written; cleared when the backlog shrinks */
};

struct server {
    struct server_options options;
    struct settings set;   /* as of the start: options.settings, for short */
    struct config *config; /* what is in force now */
    pthread_mutex_t reloading;
    uint64_t stamp, stamp_before; /* of the files, for server_watch */
    struct dividing dividing;
    struct nn_model *student, *teacher;
    struct task_spec student_spec;
    struct store *store;
    struct bell bell;
    struct counters counters;
    struct pulse pulse;
    struct metrics *metrics;
    struct bridge *bridge; /* NULL: no MQTT */
    struct hooks *hooks;   /* NULL: no webhooks */
    uint64_t started_us;   /* monotonic */
    struct cores_role roles[SERVER_ROLES];
    struct cores_plan cores; /* settings have the threads that it left */
    struct limiter *limiter; /* of every process that is given a share */
    struct ledger *ledger;   /* of all compute, over LEDGER_WINDOW_US, on the monotonic clock */
    struct history *history; /* of the ledger */
    struct board *board;
    struct labelling *labelling;
    struct control *control;
    struct streams *streams; /* NULL: no camera can need one */
    struct access *access;
    struct gate *gate;
    struct deadlines *deadlines;
    struct http *http, *https, *local; /* local: for our own children, NULL without */
    struct http *socket;               /* STATE/control.sock */
    char certificate_hex[65];
    atomic_bool whole; /* server_open is through: what is above stays as it is until the end */
};

/* Whoever asks while the server opens waits until all of its parts are there. False: it stops. */
bool server_await_whole(struct server *s);

/* The store's bounds by these settings. */
void server_store_options(const struct settings *set, struct store_options *ret);

/* Records a decision with its reason: row, log line, bell. members (NULL allowed, stolen): an
 * object with more about it. A failure to record is logged, nothing else. */
void server_event(struct server *s, const char *camera, const char *kind, json_t *members,
                  const char *reason, ...) __attribute__((format(printf, 5, 6)));

/* Enters into the ledger what work for a camera ("": nobody's) has just used. */
void server_charge(struct server *s, const char *camera, enum ledger_kind kind, uint64_t used_us);

/* Parameters of a camera's version, whichever group it is of, into params[nn_model_param_count].
 * ST_NOT_FOUND: not kept any more. Version 0 is the student's own. */
enum status server_version_params(const struct server *s, const char *camera, uint64_t version,
                                  float *params, struct error *err);

/* A JSON number, null for NaN. */
json_t *server_json_real(double v);

/* Adds "accuracy" and "accuracy_unadapted", the task's score of the running and of the unadapted
 * student; where that is mIoU, as "miou" and "miou_unadapted" too. */
void server_json_accuracy(const struct server *s, json_t *o, double accuracy, double unadapted);

/* What GET /v1/health and /v1/cameras (the list alone) answer; NULL: see err. */
json_t *server_json_health(struct server *s, struct error *err);
json_t *server_json_cameras(struct server *s, struct error *err);

#endif
