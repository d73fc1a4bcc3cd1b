/* gaimd.h - the rate at which a camera sends, so that cameras share an uplink by weight.
 *
 * Each camera knows its weight and what its own connection shows: no word of the bottleneck, of the
 * others, or from root. Two laws for the rate x of a camera with weight w:
 *
 *  GAIMD_AIMD   Yang & Lam, "General AIMD Congestion Control" (ICNP 2000), on a paced rate: every
 *               round trip x += alpha w^exponent segment / RTT; on a sign of congestion, at most
 *               once a round trip, x *= beta. Signs are retransmissions and a queue of more than
 *               queue_s. ECCO names GAIMD; that alpha carries the weight is our reading. Which
 *               exponent makes shares follow weights depends on who is hit by a loss (1 when
 *               all are, 2 when it is chance).
 *  GAIMD_PRICE  ours, after Kelly, Maulloo & Tan (1998) and FAST TCP: increase by weight, decrease
 *               in proportion to x and a price that all who share the queue see alike:
 *                   dx/dt = gain (w unit - x price) - damping x dq/dt
 *                   price = q (1 + q / bend_s) + loss_s * (part of the bits that is lost)
 *               with q the queueing delay (round_trip.h). It rests at x = w unit / price: shares
 *               follow weights whatever the loss pattern is, and without a sawtooth. Gains fall
 *               with the round trip, so that it stays stable; where it rests does not.
 *               So that a newcomer can tell the queue from the way, the rate falls for a moment
 *               when the queue was not seen empty for drain_every_us. Who sees it empty begins to
 *               count anew, so senders come to do this together.
 *
 * The rate stays within [rate_min, rate_max]; a camera that has nothing to send does not grow, nor
 * does one whose goodput stays far behind its rate. It gives way to senders that fill the queue
 * without regard to delay, down to rate_min_kbps.
 *
 * Owns:    plain values.
 * Threads: pure functions.
 * Time:    of the samples, monotonic.
 */
#ifndef ATTUNE_UPLINK_GAIMD_H
#define ATTUNE_UPLINK_GAIMD_H

#include <stdbool.h>
#include <stdint.h>

#include "uplink/round_trip.h"

#define GAIMD_WEIGHT_MIN 0.01
#define GAIMD_WEIGHT_MAX 100.0

enum gaimd_law { GAIMD_AIMD = 1, GAIMD_PRICE };

/* "aimd", "price"; NULL and 0 for none. */
const char *gaimd_law_name(enum gaimd_law law);
enum gaimd_law gaimd_law_parse(const char *name);

struct gaimd_options {
    enum gaimd_law law;
    double weight; /* 1: a camera like the others; brought into GAIMD_WEIGHT_MIN..MAX */
    double rate_min_kbps, rate_max_kbps;  /* default 16, 100000 */
    double rate_start_kbps;               /* default 100 */
    double alpha, beta, exponent;         /* AIMD: default 0.03, 7/8, 1 */
    double queue_s;                       /* AIMD: default 0.05 */
    double unit_bits;                     /* PRICE: default four segments */
    double gain, damping, bend_s, loss_s; /* PRICE: default 4.6 /s2, 2.5 /s, 0.1 s, 2 s */
    uint64_t drain_every_us;              /* PRICE: default 10 s; 0: never */
};

void gaimd_options_init(struct gaimd_options *o);

/* What a connection shows. Counters are since it began. */
struct gaimd_sample {
    uint64_t now_us;
    uint64_t acked_bytes; /* that the other side has */
    uint64_t lost_bytes;  /* sent again */
    uint64_t acks;        /* segments that came */
    double srtt_us;       /* smoothed round-trip time, 0: none yet */
    bool limited;         /* the sender had nothing to send at some time since the last sample */
};

struct gaimd {
    struct gaimd_options options;
    struct round_trip way;
    double rate_kbps; /* of the law; what to send at is gaimd_rate_kbps */
    bool started;     /* `last` holds the sample before */
    struct gaimd_sample last;
    double queue_s, queue_mean_s; /* at the last new round trip, and over the last seconds */
    double span_s;                /* PRICE: of a round trip and the time between two, smoothed */
    uint64_t cut_us;              /* AIMD: last decrease */
    uint64_t loss_us;             /* PRICE: last seen, 0: never */
    double debt_kbps;             /* PRICE: what losses still take from the rate */
    uint64_t drain_until_us;      /* PRICE: while now is before */
    bool drained;                 /* no rate was chosen since */
    double goodput_kbps;          /* smoothed over about a second of sending */
    uint64_t goodput_seen_us;     /* when it was last measured */
    uint64_t goodput_at_us;       /* of its last change */
    uint64_t goodput_acked_bytes; /* then */
};

void gaimd_init(struct gaimd *g, const struct gaimd_options *o);

/* Other options from now on; rate and way stay. */
void gaimd_set_options(struct gaimd *g, const struct gaimd_options *o);

/* Another connection: counters begin anew, rate and way stay. */
void gaimd_reconnect(struct gaimd *g);

/* Sending goes on after a pause: the time of the pause is not the connection's. */
void gaimd_resume(struct gaimd *g);

/* A few times a second while something is sent. Returns the rate to send at. */
double gaimd_update(struct gaimd *g, const struct gaimd_sample *s);
double gaimd_rate_kbps(const struct gaimd *g, uint64_t now_us);

#endif
