/* cgroup.h - a folder of Linux control groups in which processes have a quota of processor time.
 *
 * Both generations: v1's cpu controller (cpu.cfs_quota_us, cpu.shares) and v2's (cpu.max,
 * cpu.weight). Below the group that this process is in, or where the mount begins:
 *
 *   attune-PID-START/          this server's, without a quota
 *   attune-PID-START/NAME/     one member's
 *   attune-PID-START/server/   v2: this process itself, since a group with members below it may
 *                              hold no processes
 *
 * START is when the process started, so that the folder of a server that crashed is told from one
 * that has its process number now; cgroup_open removes such folders when nobody is left in them.
 * The quota is what a member gets at most; the weight keeps the shares in proportion where more
 * wants to run than there are processors.
 *
 * Owns:    the folder and what is in it. Threads: one at a time.
 * Errors:  ST_UNSUPPORTED: no cpu controller here; ST_DENIED: it may not be used (why, and what
 * would permit it); ST_IO.
 */
#ifndef ATTUNE_SHARE_CGROUP_H
#define ATTUNE_SHARE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define CGROUP_NAME_CHARS_MAX 63
#define CGROUP_PERIOD_US 50000 /* a quota is for this long; a change takes hold within it */
#define CGROUP_STALE_MAX 64    /* folders of crashed servers that one open removes */

struct cgroup {
    int version;         /* 1 or 2; 0: not open */
    char base[PATH_MAX]; /* the group above ours */
    char path[PATH_MAX]; /* ours */
    bool moved;          /* v2: this process is in ours */
};

/* Where this process's cpu controller is: version and the folder of the group that it is in. */
enum status cgroup_find(int *ret_version, char ret_base[PATH_MAX], struct error *err);

/* Makes ours in `base`, an existing folder of that version. */
enum status cgroup_open(int version, const char *base, struct cgroup *ret, struct error *err);

/* Removes ours; processes that are still in it keep it, and the next open removes it. */
void cgroup_close(struct cgroup *g);

/* name: [a-z0-9_-]{1,63}, not "server". share: processors. weight: of all that wants to run at the
 * same time, in units of one ordinary process (nice 0). */
enum status cgroup_add(const struct cgroup *g, const char *name, double share, double weight,
                       struct error *err);
enum status cgroup_set(const struct cgroup *g, const char *name, double share, double weight,
                       struct error *err);
/* Ours as a whole, against what is outside: the members' sum, so that each counts as if it stood
 * there itself. */
enum status cgroup_weigh(const struct cgroup *g, double weight, struct error *err);
enum status cgroup_join(const struct cgroup *g, const char *name, pid_t pid, struct error *err);

/* Its processes must have ended (ST_CONFLICT). */
enum status cgroup_remove(const struct cgroup *g, const char *name, struct error *err);

/* Processors that the quota of the group in `base` leaves; INFINITY for no quota. */
double cgroup_quota_of(int version, const char *base);

/* The name that this process's folder has. */
void cgroup_own_name(char ret_name[CGROUP_NAME_CHARS_MAX + 1]);

#endif
