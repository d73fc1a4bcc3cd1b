/* probe.h - what a source is and whether it delivers: opened, read for a few seconds, closed.
 *
 * Threads: one a probe; the cancel flag of the options from any.
 * Time:    base/clock.h; at most timeout_s for the opening and for each picture, and twice
 * `seconds`. Errors:  those of opening and of the first picture, without credentials.
 */
#ifndef ATTUNE_EDGE_PROBE_H
#define ATTUNE_EDGE_PROBE_H

#include "edge/feed.h"

struct probe {
    char codec[24]; /* "" for pictures in a folder and for the town */
    int width, height;
    double fps;      /* as the source says; 0: it does not */
    double seen_fps; /* as it came, of live sources; 0: too few */
    double pace;     /* of live sources: seconds of its stamps a second of ours; 0: not known */
    uint64_t frames, damaged;
    double open_s; /* what opening and the first picture took */
    bool live;
};

/* Up to `seconds` of a live source, PROBE_FRAMES frames of another. */
#define PROBE_FRAMES 25
enum status probe_source(const struct feed_options *o, double seconds, struct probe *ret,
                         struct error *err);

#endif
