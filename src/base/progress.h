/* progress.h - a progress bar on a terminal, silent elsewhere.
 *
 * For src/cmd and long work started from it: the command draws, stages call back.
 * Threads: one thread draws a bar.
 * Time:    now_us is an argument (monotonic); redraws at most ten times a second.
 */
#ifndef ATTUNE_BASE_PROGRESS_H
#define ATTUNE_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label; /* borrowed */
    uint64_t total, start_us, drawn_us;
    bool enabled;
};

/* Draws on standard error when it is a terminal and `quiet` is false. total 0: unknown. */
void progress_init(struct progress *p, const char *label, uint64_t total, bool quiet,
                   uint64_t now_us);

/* note: a short text after the bar (loss, accuracy), NULL for none. */
void progress_update(struct progress *p, uint64_t done, const char *note, uint64_t now_us);

/* Erases the bar's line. */
void progress_clear(struct progress *p);

#endif
