/* watch.h - a camera's whole watch over its world: the monitor of its answers (monitor.h) and the
 * faults of the camera itself (faults.h), made to agree. What is a fault is not called drift: while
 * the camera is blind its answers do not count, while a fault is there or in doubt no alarm of the
 * monitor begins, and a camera that was moved learns its reference anew.
 *
 * Usage: init; see every picture and the answer to it, in the order of time; swapped when another
 *        model runs.
 * Owns:    a plain value of about 50 KiB; class names are borrowed.
 * Threads: one at a time.
 * Memory:  nothing is allocated.
 * Cost:    see faults.h; the monitor's is below a microsecond.
 */
#ifndef ATTUNE_DRIFT_WATCH_H
#define ATTUNE_DRIFT_WATCH_H

#include "drift/faults.h"
#include "drift/monitor.h"

struct drift_watch {
    struct drift_monitor monitor;
    struct drift_faults faults;
    const char (*class_name)[CLASS_NAME_CHARS_MAX + 1]; /* [class_count], NULL: none */
    int class_count;
};

/* Something began or is over. SCENE and VIEW are worth a request when they begin. */
struct drift_notice {
    enum drift_kind kind;
    bool over;
    uint64_t since_us;
    double score;
    char text[DRIFT_TEXT_CHARS_MAX + 1]; /* what was seen, and of a fault what to do */
};

/* options NULL: defaults. */
void drift_watch_init(struct drift_watch *w, const struct drift_monitor_options *options,
                      const char (*class_name)[CLASS_NAME_CHARS_MAX + 1], int class_count);

/* summary: its features are taken from the picture. True: *ret is filled. */
bool drift_watch_see(struct drift_watch *w, const struct drift_picture *p,
                     struct drift_summary *summary, uint64_t t_us, struct drift_notice *ret);

void drift_watch_swapped(struct drift_watch *w);

/* "scene", "view", ...; "none" and DRIFT_NONE for anything else. */
const char *drift_kind_name(enum drift_kind kind);
enum drift_kind drift_kind_parse(const char *name);

#endif
