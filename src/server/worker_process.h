/* worker_process.h - the training child as the server sees it: start, ask, end. Internal.
 *
 * The protocol (docs/worker.md): a JSON object a line in each direction over the child's standard
 * input and output, one request at a time. Whatever goes wrong (crash, silence, nonsense) is
 * ST_NETWORK: the caller stops the process and starts another; a request that the worker refuses
 * is ST_INVALID with its sentence, and the process goes on.
 *
 * Owns:    the process and its socket.
 * Threads: one at a time.
 * Time:    deadlines on the monotonic clock.
 */
#ifndef ATTUNE_SERVER_WORKER_PROCESS_H
#define ATTUNE_SERVER_WORKER_PROCESS_H

#include <jansson.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "server/bell.h"

#define WORKER_LINE_BYTES_MAX ((size_t)1 << 16)

struct worker_process {
    pid_t pid; /* 0: not running */
    int fd;
    uint64_t requests;
    struct buf line; /* received so far */
};

void worker_process_init(struct worker_process *w);

/* What a process is started with beyond its arguments. */
struct worker_process_start {
    const char *setting; /* NAME=VALUE for its environment, NULL for none */
    int fd;              /* a descriptor of ours that it has as WORKER_PROCESS_FD; -1: none */
    uint64_t memory_mb;  /* most address space that it may take, 0: no bound */
};

#define WORKER_PROCESS_FD 3

/* argv: program first, NULL-terminated. start: NULL for nothing beyond. */
enum status worker_process_start(struct worker_process *w, char *const *argv,
                                 const struct worker_process_start *start, struct error *err);

/* Kills and reaps; fine when it is not running. */
void worker_process_stop(struct worker_process *w);

/* Takes the reference to `request` (an object; gets an "id"). *ret_reply is a new reference to the
 * answer, {"ok": true, ...}. ST_AGAIN when the bell was stopped meanwhile. */
enum status worker_process_ask(struct worker_process *w, json_t *request, uint64_t until_us,
                               struct bell *bell, json_t **ret_reply, struct error *err);

#endif
