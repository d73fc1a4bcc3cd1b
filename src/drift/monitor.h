/* monitor.h - notices at the camera, from what it has anyway, that its world is not the one that
 * its model was last trained for.
 *
 * Summaries of answered frames (summary.h) are averaged over blocks of block_s. The reference is
 * the mean of the first reference_blocks blocks after a model was taken over; recent is the mean of
 * the newest recent_blocks. Three distances between the two: answers     Hellinger's distance of
 * the class shares, 0..1: bounded, a metric, and defined for classes that are absent, unlike
 * Kullback and Leibler's confidence  by how much the mean confidence fell, 0 where it rose picture
 * Euclid's distance of the picture's features in a signature's scales Each is divided by its
 * threshold: what the reference's own blocks are away from its mean, mean + spread_factor *
 * standard deviation, and at least a floor. So a street with lively traffic needs a larger change
 * than a quiet yard. The largest quotient is the score. It must be 1 or more for `checks` blocks in
 * a row, and an alarm is over when it is below `back` for as long; the same camera is not alarmed
 * again within refractory_s. (Confidence, class shares and features against a reference with
 * hysteresis are our reading of ECCO; the rest is ours.)
 *
 * A model that is taken over while the monitor watches starts a new reference, and the old one
 * stays in force until the new one is complete: updates every few seconds do not blind the monitor.
 *
 * Usage: init; add a summary of every answered frame in the order of time; swapped when a model was
 *        taken over; moved when the view is another; hold while a fault of the camera is in doubt.
 *        Nothing else is needed: virtual time and fleets use it like a camera.
 * Owns:    a plain value of about 7 KiB.
 * Threads: one at a time.
 * Memory:  nothing is allocated.
 * Time:    t_us never decreases. Blocks without a frame do not count.
 */
#ifndef ATTUNE_DRIFT_MONITOR_H
#define ATTUNE_DRIFT_MONITOR_H

#include "drift/signature.h"

#define DRIFT_RECENT_BLOCKS_MAX 16
#define DRIFT_REFERENCE_BLOCKS_MAX 32

enum drift_distance { DRIFT_BY_ANSWERS, DRIFT_BY_CONFIDENCE, DRIFT_BY_PICTURE, DRIFT_DISTANCES };

struct drift_monitor_options {
    double block_s;                /* default 2; 0.1 to 3600 */
    int reference_blocks;          /* default 15, 3..DRIFT_REFERENCE_BLOCKS_MAX */
    int recent_blocks;             /* default 5, 1..DRIFT_RECENT_BLOCKS_MAX */
    double spread_factor;          /* default 4 */
    double floor[DRIFT_DISTANCES]; /* default 0.12, 0.05, 2.0 */
    int checks;                    /* default 3 */
    double back;                   /* default 0.8 */
    double refractory_s;           /* default 120 */
};

void drift_monitor_options_init(struct drift_monitor_options *o);

/* A mean of blocks, and how far its own blocks are from it. */
struct drift_reference {
    struct drift_summary blocks[DRIFT_REFERENCE_BLOCKS_MAX];
    int count;
};

struct drift_monitor {
    struct drift_monitor_options options;
    /* What it says. */
    bool watching;          /* there is a reference */
    bool drifted;           /* between an alarm and its end */
    uint64_t since_us;      /* of drifted: when the score first reached 1 */
    double score;           /* of the newest block; 0 before there is a reference */
    enum drift_distance by; /* the largest quotient */
    struct drift_summary reference, recent;

    struct drift_reference collected;
    bool collecting;
    double threshold[DRIFT_DISTANCES];
    struct drift_mean block;
    uint64_t block_until_us;
    struct drift_summary ring[DRIFT_RECENT_BLOCKS_MAX];
    int ring_count, ring_next;
    int above, below; /* checks in a row */
    uint64_t above_since_us, alarmed_us;
    bool held, alarmed;
};

/* What happened when a summary was added. */
enum drift_change { DRIFT_SAME, DRIFT_BEGAN, DRIFT_OVER };

/* options NULL: defaults. */
void drift_monitor_init(struct drift_monitor *m, const struct drift_monitor_options *options);

enum drift_change drift_monitor_add(struct drift_monitor *m, const struct drift_summary *s,
                                    uint64_t t_us);

/* The camera runs another model from now on. */
void drift_monitor_swapped(struct drift_monitor *m);

/* The camera looks elsewhere: what was learned of it does not hold. Ends an alarm. */
void drift_monitor_moved(struct drift_monitor *m);

/* While held no alarm begins; one that would have begun does when it is let go and still holds. */
void drift_monitor_hold(struct drift_monitor *m, bool hold);

/* The newest blocks as a signature; false before the first. */
bool drift_monitor_signature(const struct drift_monitor *m, struct signature *ret);

/* What is seen, for people: "confidence fell from 0.81 to 0.62, road 40 % -> 22 %", at most n - 1
 * characters. class_name[class_count]: NULL for numbers. */
void drift_monitor_text(const struct drift_monitor *m,
                        const char (*class_name)[CLASS_NAME_CHARS_MAX + 1], int class_count,
                        char *ret, size_t n);

#endif
