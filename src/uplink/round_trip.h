/* round_trip.h - what a connection's smoothed round-trip time says of the queue on its way.
 *
 * Linux tells the smoothed time, srtt += (sample - srtt) / 8 an acknowledgement. Between two looks
 * with k acknowledgements the samples' mean follows: (new - d old) / (1 - d) with d = (7/8)^k. So a
 * slow sender, whose smoothed time lags by seconds, sees the queue as soon as a fast one, which
 * weighted shares need. The least of these means over the last minutes is the way without a queue.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 * Time:    now_us, monotonic, is an argument.
 */
#ifndef ATTUNE_UPLINK_ROUND_TRIP_H
#define ATTUNE_UPLINK_ROUND_TRIP_H

#include <stdbool.h>
#include <stdint.h>

/* A way that got longer is believed after one to two of these. */
#define ROUND_TRIP_MEMORY_US ((uint64_t)120 * 1000000)

struct round_trip {
    bool looked;              /* srtt_us and acks are of the last look */
    double srtt_us;           /* as the kernel says */
    uint64_t acks;            /* acknowledgements of the connection so far */
    double recent_us;         /* mean since the look before, 0: none yet */
    double base_us[2];        /* least mean of the present and of the last memory; 0: none */
    uint64_t memory_began_us; /* of the present one */
    uint64_t low_us;          /* when the way was last seen (almost) without a queue */
};

void round_trip_init(struct round_trip *r);

/* A new connection: its counters begin anew, the way stays. */
void round_trip_reconnect(struct round_trip *r);

/* srtt_us: smoothed, in microseconds; acks: segments that came on this connection so far. True when
 * recent_us is new. */
bool round_trip_look(struct round_trip *r, uint64_t now_us, double srtt_us, uint64_t acks);

/* Seconds, 0 before the first look. */
double round_trip_base_s(const struct round_trip *r);
double round_trip_queue_s(const struct round_trip *r);

#endif
