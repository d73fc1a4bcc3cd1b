/* bottleneck.h - senders that follow gaimd.h through one queue, packet by packet, in virtual time.
 *
 * A sender puts bursts of two segments on the way at its rate; the queue drops what does not fit
 * and, with a chance of its own, any packet; every second segment is acknowledged. Smoothed
 * round-trip times are made as Linux does.
 *
 * Determinism: everything follows from the arguments.
 */
#ifndef ATTUNE_TESTS_BOTTLENECK_H
#define ATTUNE_TESTS_BOTTLENECK_H

#include "uplink/gaimd.h"

#define BOTTLENECK_SENDERS_MAX 64

struct bottleneck_sender {
    double weight;
    double base_s;          /* round trip without a queue */
    double from_s, until_s; /* sends in between; until 0: to the end */
    double demand_kbps;     /* 0: always has something to send */
};

struct bottleneck_options {
    struct gaimd_options law;
    double link_kbps, queue_bytes;
    double loss; /* chance that any packet is lost */
    double seconds, measured_from_s;
    double sample_s; /* default 0.1 */
    uint64_t seed;
    int sender_count;
    struct bottleneck_sender senders[BOTTLENECK_SENDERS_MAX];
};

struct bottleneck_result {
    double kbps[BOTTLENECK_SENDERS_MAX]; /* that arrived, from measured_from_s on */
    double used;                         /* part of the link */
    double queue_s;                      /* mean */
    double lost;                         /* part of the packets */
};

void bottleneck_run(const struct bottleneck_options *o, struct bottleneck_result *ret);

#endif
