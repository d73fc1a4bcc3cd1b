/* cores.h - which processors belong to which role: lists of them, a plan, and keeping to it.
 *
 * A role is work with a team of threads of its own: inference, labelling, training. The threads of
 * a team wait for each other at the end of every loop, spinning; two teams on the same processors
 * therefore stall (docs/benchmarks.md has the figures), so a plan never lets them share: roles get
 * disjoint processors, and where there are too few, one thread each, which waits for nobody and is
 * the system's to schedule.
 *
 * A plan knows this process only. Two processes on one machine keep out of each other's way when
 * they are told to, by lists.
 *
 * Threads: pure functions, but cores_pin, which is about the calling thread and those that it
 * starts afterwards. Errors:  ST_INVALID (a list that makes no sense), ST_LIMIT (fewer processors
 * than asked for), ST_IO.
 */
#ifndef ATTUNE_BASE_CORES_H
#define ATTUNE_BASE_CORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CORES_MAX 1024        /* processors are numbered below this */
#define CORES_TEXT_BYTES 4096 /* of the longest list */
#define CORES_AUTO "auto"     /* in place of a list */

/* A set of processors. */
struct cores {
    uint64_t word[CORES_MAX / 64];
};

static inline bool cores_has(const struct cores *c, int cpu)
{
    return c->word[cpu / 64] >> cpu % 64 & 1;
}

void cores_add(struct cores *c, int cpu);
int cores_count(const struct cores *c);

/* "0-3,8": numbers and ranges, rising, without spaces. */
enum status cores_parse(const char *text, struct cores *ret, struct error *err);

/* The same backwards; "none" of an empty set. */
void cores_write(const struct cores *c, char text[CORES_TEXT_BYTES]);

/* Processors of a machine that may be used, and the core that each is a part of (hyperthreads of a
 * core have the same). */
struct cores_machine {
    struct cores usable;
    int core_of[CORES_MAX];
};

/* What this thread may use (affinity, cgroup's cpuset). */
enum status cores_machine_read(struct cores_machine *ret, struct error *err);

/* Moves `count` processors from *from to *ret: of different cores first, hyperthreads of the same
 * core only when there are no others; lower numbers first. ST_LIMIT leaves both as they were. */
enum status cores_take(const struct cores_machine *m, struct cores *from, int count,
                       struct cores *ret, struct error *err);

enum status cores_pin(const struct cores *c, struct error *err);

/* For a process with one team: how many processors it may use (1 when nobody says), and pinning to
 * `count` of them as cores_take chooses. */
int cores_usable_count(void);
enum status cores_pin_some(int count, struct error *err);

struct cores_role {
    const char *name;
    const char *wish; /* a list, or CORES_AUTO */
    int threads;      /* wanted; the plan may leave 1 */
    struct cores own; /* of the plan */
};

#define CORES_ROLES_MAX 8

struct cores_plan {
    bool pinned;       /* false: nobody is to be pinned, `own` and `rest` are all processors */
    bool fewer;        /* roles that wanted more have one thread, for want of processors */
    struct cores rest; /* for everything else; all when the roles own all */
};

/* Gives each role its processors. Lists are taken as they are: they must be usable, disjoint, and
 * long enough for the threads (ST_INVALID says which is not). The other roles get disjoint ones of
 * what is left when all their threads fit; when they do not, one thread each, on all that is left.
 * Without a list and without a role that has more than one thread nobody is pinned. */
enum status cores_plan(const struct cores_machine *m, struct cores_role *roles, int count,
                       struct cores_plan *ret, struct error *err);

/* "label 0 (1 thread), train 1-2 (2 threads), rest 3": for a log. */
void cores_plan_write(const struct cores_plan *p, const struct cores_role *roles, int count,
                      char *text, size_t size_bytes);

#endif
