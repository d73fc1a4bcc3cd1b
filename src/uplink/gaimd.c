/* gaimd.c - the two laws and what bounds them. */
#include "uplink/gaimd.h"

#include <math.h>

#include "base/names.h"

#define SEGMENT_BITS (1448 * 8.0)

/* With a round trip, and time between its samples, of so much in sum the gains are as given. */
#define GAIN_SPAN_S 0.2
#define SPAN_PART 0.1
#define CHANGE_MIN 0.5 /* of the rate, by one sample */
#define DEBT_PART 0.2  /* of the rate: what losses take from it in one sample, the rest later */
#define CHANGE_MAX 1.5

/* A way without a queue carries more than this rate: on by so much a second until one is seen. */
#define PROBE_QUEUE_S 0.005
#define PROBE_PER_S 0.5
#define PROBE_AFTER_LOSS_US 5000000

/* Measured over so long at least, and so many segments or longer: one that was lost is no slow
 * link. */
#define GOODPUT_US 500000
#define GOODPUT_US_MAX 3000000
#define GOODPUT_SEGMENTS 30
#define GOODPUT_FORGET_US 30000000
#define GOODPUT_PART 0.6 /* of the rate; with less there is no use in growing */

#define DRAIN_PART 0.5
#define DRAIN_BURSTS 2 /* segments that each sender gets through while the queue is empty */
#define DRAIN_US_MAX 700000
/* A queue of less than this part of its mean is one that others let run empty... */
#define DRAIN_SEEN_PART 0.6
#define QUEUE_MEAN_S 2.0

static const char *const law_names[] = {[GAIMD_AIMD] = "aimd", [GAIMD_PRICE] = "price"};

const char *gaimd_law_name(enum gaimd_law law)
{
    return names_text(law_names, NAMES_COUNT(law_names), law, NULL);
}

enum gaimd_law gaimd_law_parse(const char *name)
{
    return (enum gaimd_law)names_find(law_names, NAMES_COUNT(law_names), name, 0);
}

void gaimd_options_init(struct gaimd_options *o)
{
    *o = (struct gaimd_options){.law = GAIMD_PRICE,
                                .weight = 1,
                                .rate_min_kbps = 16,
                                .rate_max_kbps = 100000,
                                .rate_start_kbps = 100,
                                .alpha = 0.03,
                                .beta = 0.875,
                                .exponent = 1,
                                .queue_s = 0.05,
                                .unit_bits = 4 * SEGMENT_BITS,
                                .gain = 4.6,
                                .damping = 2.5,
                                .bend_s = 0.1,
                                .loss_s = 2,
                                .drain_every_us = 10000000};
}

static double within(double v, double low, double high)
{
    return fmin(fmax(v, low), high);
}

static void bound_rate(struct gaimd *g)
{
    const struct gaimd_options *o = &g->options;
    g->rate_kbps = within(g->rate_kbps, o->rate_min_kbps, o->rate_max_kbps);
}

void gaimd_init(struct gaimd *g, const struct gaimd_options *o)
{
    *g = (struct gaimd){.rate_kbps = o->rate_start_kbps};
    round_trip_init(&g->way);
    gaimd_set_options(g, o);
}

void gaimd_set_options(struct gaimd *g, const struct gaimd_options *o)
{
    g->options = *o;
    g->options.weight = within(o->weight, GAIMD_WEIGHT_MIN, GAIMD_WEIGHT_MAX);
    g->options.rate_max_kbps = fmax(o->rate_max_kbps, o->rate_min_kbps);
    bound_rate(g);
}

void gaimd_reconnect(struct gaimd *g)
{
    g->started = false;
    round_trip_reconnect(&g->way);
}

void gaimd_resume(struct gaimd *g)
{
    g->started = false;
}

/* ---- goodput ---- */

static void measure_goodput(struct gaimd *g, const struct gaimd_sample *s)
{
    if (s->now_us - g->goodput_seen_us > GOODPUT_FORGET_US)
        g->goodput_kbps = 0; /* chunks are too short to measure: what was then is not what is */
    if (!g->started || s->limited) {
        g->goodput_at_us = s->now_us;
        g->goodput_acked_bytes = s->acked_bytes;
        return;
    }
    uint64_t span_us = s->now_us - g->goodput_at_us;
    double acked_bits = (double)(s->acked_bytes - g->goodput_acked_bytes) * 8;
    if (span_us < GOODPUT_US ||
        (span_us < GOODPUT_US_MAX && acked_bits < GOODPUT_SEGMENTS * SEGMENT_BITS))
        return;
    double kbps = acked_bits * 1e3 / (double)span_us;
    g->goodput_seen_us = s->now_us;
    g->goodput_kbps = g->goodput_kbps > 0 ? (g->goodput_kbps + kbps) / 2 : kbps;
    g->goodput_at_us = s->now_us;
    g->goodput_acked_bytes = s->acked_bytes;
}

static bool may_grow(const struct gaimd *g, const struct gaimd_sample *s)
{
    return !s->limited && !(g->goodput_kbps > 0 && g->goodput_kbps < GOODPUT_PART * g->rate_kbps);
}

/* The new rate, where growth is allowed; it never changes by much at once. */
static void move_rate(struct gaimd *g, const struct gaimd_sample *s, double wanted_kbps)
{
    double rate = within(wanted_kbps, CHANGE_MIN * g->rate_kbps, CHANGE_MAX * g->rate_kbps);
    if (rate <= g->rate_kbps || may_grow(g, s))
        g->rate_kbps = rate;
    bound_rate(g);
}

/* ---- AIMD ---- */

static void follow_aimd(struct gaimd *g, const struct gaimd_sample *s, double dt_s)
{
    const struct gaimd_options *o = &g->options;
    double rtt_s = fmax(g->way.recent_us / 1e6, 1e-4);
    bool sign = s->lost_bytes > g->last.lost_bytes || g->queue_s > o->queue_s;
    if (sign) {
        /* The queue answers to a cut after a round trip, so that is how long it holds. */
        if ((double)(s->now_us - g->cut_us) / 1e6 < rtt_s + g->queue_s)
            return;
        g->cut_us = s->now_us;
        move_rate(g, s, o->beta * g->rate_kbps);
        return;
    }
    if (g->cut_us == 0) { /* slow start */
        move_rate(g, s, g->rate_kbps * (1 + PROBE_PER_S * dt_s));
        return;
    }
    double step_kbps = o->alpha * pow(o->weight, o->exponent) * SEGMENT_BITS / 1e3 / rtt_s;
    move_rate(g, s, g->rate_kbps + step_kbps * dt_s / rtt_s);
}

/* ---- price ---- */

/* ...so this sender joins them, if its own turn is not long over. */
static bool drain_is_due(const struct gaimd *g, uint64_t now_us)
{
    uint64_t every_us = g->options.drain_every_us;
    uint64_t since_us = now_us - g->way.low_us;
    if (every_us == 0 || since_us < every_us / 2)
        return false;
    return since_us >= every_us || g->queue_s < DRAIN_SEEN_PART * g->queue_mean_s;
}

static void begin_drain(struct gaimd *g, uint64_t now_us)
{
    double burst_s = DRAIN_BURSTS * SEGMENT_BITS / 1e3 / (DRAIN_PART * g->rate_kbps);
    double drain_s = g->queue_mean_s / (1 - DRAIN_PART) + burst_s;
    g->drain_until_us = now_us + (uint64_t)fmin(drain_s * 1e6, DRAIN_US_MAX);
    g->way.low_us = now_us; /* seen or not: the next try is a whole span later */
    g->drained = true;
}

/* What was lost lowers the rate in proportion: not by halves, or shares would not follow weights.
 */
static void owe_losses(struct gaimd *g, const struct gaimd_sample *s, double calm)
{
    double lost_kbit = (double)(s->lost_bytes - g->last.lost_bytes) * 8e-3;
    if (lost_kbit <= 0)
        return;
    double owed = g->options.gain * calm * calm * g->options.loss_s * lost_kbit;
    g->loss_us = s->now_us;
    g->debt_kbps = fmin(g->debt_kbps + owed, g->rate_kbps);
}

static void follow_price(struct gaimd *g, const struct gaimd_sample *s, double dt_s, double calm,
                         double queue_change_s)
{
    const struct gaimd_options *o = &g->options;
    double x = g->rate_kbps, q = g->queue_s;
    double gain = o->gain * calm * calm;
    bool calm_long = g->loss_us == 0 || s->now_us - g->loss_us > PROBE_AFTER_LOSS_US;
    double push = o->weight * o->unit_bits / 1e3 * dt_s;
    double pull = x * q * (1 + q / o->bend_s) * dt_s;
    double paid = fmin(g->debt_kbps, DEBT_PART * x);
    g->debt_kbps -= paid;
    double change = gain * (push - pull) - paid - o->damping * calm * x * queue_change_s;
    if (q < PROBE_QUEUE_S && calm_long)
        change += PROBE_PER_S * x * dt_s;
    move_rate(g, s, x + change);
}

/* ---- both ---- */

double gaimd_update(struct gaimd *g, const struct gaimd_sample *s)
{
    measure_goodput(g, s);
    bool seen = round_trip_look(&g->way, s->now_us, s->srtt_us, s->acks);
    if (!g->started) {
        g->started = true;
        g->last = *s;
        g->queue_s = round_trip_queue_s(&g->way);
        return gaimd_rate_kbps(g, s->now_us);
    }
    if (!seen && s->lost_bytes == g->last.lost_bytes)
        return gaimd_rate_kbps(g, s->now_us);
    double before_s = g->queue_s;
    double dt_s = (double)(s->now_us - g->last.now_us) / 1e6;
    g->queue_s = round_trip_queue_s(&g->way);
    g->queue_mean_s += (g->queue_s - g->queue_mean_s) * fmin(dt_s / QUEUE_MEAN_S, 1);
    /* Smoothed: losses and what was gained meanwhile must weigh the same. */
    double span_s = g->way.recent_us / 1e6 + dt_s;
    g->span_s = g->span_s > 0 ? g->span_s + SPAN_PART * (span_s - g->span_s) : span_s;
    double calm = fmin(GAIN_SPAN_S / g->span_s, 1);
    owe_losses(g, s, calm);
    if (g->options.law == GAIMD_AIMD)
        follow_aimd(g, s, dt_s);
    else if (s->now_us >= g->drain_until_us && drain_is_due(g, s->now_us))
        begin_drain(g, s->now_us);
    else if (s->now_us >= g->drain_until_us) {
        /* That the queue fell meanwhile is no reason to grow. */
        follow_price(g, s, dt_s, calm, g->drained ? 0 : g->queue_s - before_s);
        g->drained = false;
    }
    g->last = *s;
    return gaimd_rate_kbps(g, s->now_us);
}

double gaimd_rate_kbps(const struct gaimd *g, uint64_t now_us)
{
    double part = now_us < g->drain_until_us ? DRAIN_PART : 1;
    return fmax(part * g->rate_kbps, g->options.rate_min_kbps);
}
