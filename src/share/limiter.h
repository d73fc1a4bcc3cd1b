/* limiter.h - processes with a share of the machine, which may change while they run.
 *
 * One interface over the means that there are:
 *   cgroup   the kernel's quota (share/cgroup.h); no help from the process is needed
 *   pacing   the process waits after each step of its work (share/throttle.h)
 *   mps      a percentage of an NVIDIA GPU (share/mps.h), fixed when the process starts; its
 *            processors are not limited
 * AUTO is cgroup where that is permitted, else pacing. A change takes effect within a second with
 * cgroup and pacing (with pacing: after the step at hand); with mps at the next start, and
 * limiter_restart_due says so.
 *
 *   limiter_add(l, "worker-0", 0.3, &id)      before the process starts
 *   fd = limiter_descriptor(l, id)            to be inherited, limiter_environment names it
 *   limiter_join(l, id, pid)                  right after it started
 *   limiter_set(l, id, 0.7)                   at any time
 *   limiter_remove(l, id)                     after it ended
 *
 * Units:   a share is in processors (with mps: in GPUs), LIMITER_SHARE_MIN..capacity; one outside
 * is brought to the nearest inside. A share is a most, not a promise: what sums to more than the
 * capacity is divided by the system in that proportion (cgroup) or evenly (pacing). Owns: groups,
 * pages, no process. What a crashed owner left is removed at open. Threads: safe. Errors:
 * ST_DENIED, ST_UNSUPPORTED: means that cannot be used here (not with AUTO); ST_LIMIT:
 *          LIMITER_MEMBERS_MAX are there; ST_NOT_FOUND: no such member; ST_IO.
 */
#ifndef ATTUNE_SHARE_LIMITER_H
#define ATTUNE_SHARE_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define LIMITER_MEMBERS_MAX 2048
#define LIMITER_SHARE_MIN 0.02 /* of a processor: the kernel's least quota, 1 ms, in 50 ms */
#define LIMITER_NAME_CHARS_MAX 63
#define LIMITER_ENVIRONMENT_BYTES 64

enum share_means { SHARE_AUTO, SHARE_CGROUP, SHARE_PACING, SHARE_MPS };

/* "auto", "cgroup", "pacing", "mps"; -1 for none of them. */
const char *share_means_name(enum share_means m);
int share_means_parse(const char *name);

/* Processors that this process may use: those of its affinity and cpuset, or its cgroup's quota
 * where that is less. */
double limiter_processors(void);

struct limiter;

/* capacity: all that there is to share, 0: limiter_processors (mps: 1). */
enum status limiter_open(enum share_means means, double capacity, struct limiter **ret,
                         struct error *err);
void limiter_close(struct limiter **l);

/* In force: never SHARE_AUTO. */
enum share_means limiter_means(const struct limiter *l);
/* One sentence: what enforces shares, and why not something better. */
const char *limiter_reason(const struct limiter *l);
double limiter_capacity(const struct limiter *l);

/* name: [a-z0-9_-]{1,63}, unique among the members that there are, not "server". */
enum status limiter_add(struct limiter *l, const char *name, double share, int *ret_id,
                        struct error *err);
void limiter_remove(struct limiter *l, int id);

/* For the child: leave the descriptor open in it under the number `child_fd` and put the text,
 * NAME=VALUE, into its environment (with mps that is the percentage, and the descriptor is -1). */
int limiter_descriptor(struct limiter *l, int id);
void limiter_environment(struct limiter *l, int id, int child_fd,
                         char ret_text[LIMITER_ENVIRONMENT_BYTES]);

/* The member's process from now on; what earlier ones used stays in its account. */
enum status limiter_join(struct limiter *l, int id, pid_t pid, struct error *err);

enum status limiter_set(struct limiter *l, int id, double share, struct error *err);
double limiter_share(struct limiter *l, int id);

/* Who else wants the processors goes first, as if the member were at nice +10 (cgroup: a tenth of
 * the weight; the others leave it to the process's own nice value). Not so at the start. */
enum status limiter_set_background(struct limiter *l, int id, bool background, struct error *err);

/* The process runs under another percentage than the member's share (mps only). */
bool limiter_restart_due(struct limiter *l, int id);

/* Processor time of the member's processes since it was added; read it before a process is reaped,
 * what it used after the last reading is lost then. */
uint64_t limiter_used_us(struct limiter *l, int id);

#endif
