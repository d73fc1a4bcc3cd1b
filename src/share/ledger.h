/* ledger.h - the account of compute: who used how much lately, and what was planned for it.
 *
 * An entry is a camera and a kind of work. Use is what the workers and threads report (processor
 * time); plan is the share that the schedule gives, which accrues with time: over a window in which
 * the plan was 0.3 for half and 0.7 for the other half, planned compute is 0.5 of the window. The
 * window slides in LEDGER_BUCKETS steps; its figures are of between window and window less one
 * step.
 *
 * Units:   compute in microseconds of one processor, shares in processors.
 * Memory:  taken at open, for cameras_max cameras. Who is over that is refused (ST_LIMIT).
 * Threads: safe.
 * Time:    now_us is an argument; one that is earlier than another thread's counts as that.
 */
#ifndef ATTUNE_SHARE_LEDGER_H
#define ATTUNE_SHARE_LEDGER_H

#include <stdint.h>

#include "base/error.h"

#define LEDGER_BUCKETS 64
#define LEDGER_CAMERAS_MAX 65536
#define LEDGER_NAME_CHARS_MAX 63

enum ledger_kind { LEDGER_INFER, LEDGER_LABEL, LEDGER_PROFILE, LEDGER_TRAIN, LEDGER_KINDS };

/* "infer", "label", "profile", "train". */
const char *ledger_kind_name(enum ledger_kind k);

struct ledger_entry {
    char camera[LEDGER_NAME_CHARS_MAX + 1]; /* "" for what is nobody's in particular */
    enum ledger_kind kind;
    double share;            /* planned now */
    double used_us;          /* within the window */
    double planned_us;       /* the same */
    double used_total_us;    /* since open */
    double planned_total_us; /* the same */
};

struct ledger;

/* window_us >= LEDGER_BUCKETS. */
enum status ledger_open(uint64_t window_us, int cameras_max, uint64_t now_us, struct ledger **ret,
                        struct error *err);
void ledger_close(struct ledger **l);

/* Work of a camera used `used_us`; it ended just now. */
enum status ledger_charge(struct ledger *l, const char *camera, enum ledger_kind kind,
                          uint64_t used_us, uint64_t now_us, struct error *err);

/* From now on the camera's work is to have `share`. */
enum status ledger_plan(struct ledger *l, const char *camera, enum ledger_kind kind, double share,
                        uint64_t now_us, struct error *err);

typedef void ledger_row(const struct ledger_entry *e, void *context);
/* Entries with a plan or use, in the order of their cameras' first mention. Called under the lock:
 * it must only copy. *ret_window_us (NULL allowed): the time that the window's figures are of,
 * shorter after open. */
void ledger_read(struct ledger *l, uint64_t now_us, uint64_t *ret_window_us, ledger_row *row,
                 void *context);

#endif
