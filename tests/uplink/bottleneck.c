/* bottleneck.c - the next event is always the earliest burst or look of any sender. */
#include "bottleneck.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"

#define SEGMENT_BYTES 1448.0
#define WIRE_BYTES 1514.0
#define BURST 2
#define ROAD_MAX 4096

struct arrival {
    double at_s, rtt_s; /* rtt 0: lost */
};

struct sender {
    struct gaimd law;
    double next_burst_s, next_look_s;
    struct arrival road[ROAD_MAX];
    int head, count, unacked;
    double credit_bytes;
    struct gaimd_sample sample;
    double measured_bytes;
};

struct world {
    const struct bottleneck_options *o;
    struct sender senders[BOTTLENECK_SENDERS_MAX];
    struct rng rng;
    double free_s; /* the link is busy until then */
    double queue_sum_s;
    double packets, lost;
    double carried_bytes;
};

static void put_on_road(struct sender *s, double at_s, double rtt_s)
{
    assert(s->count < ROAD_MAX);
    s->road[(s->head + s->count++) % ROAD_MAX] = (struct arrival){at_s, rtt_s};
}

static void send_packet(struct world *w, int i, double now_s)
{
    const struct bottleneck_options *o = w->o;
    struct sender *s = &w->senders[i];
    double wait_s = fmax(w->free_s - now_s, 0), base_s = o->senders[i].base_s;
    bool dropped = wait_s * o->link_kbps * 125 + WIRE_BYTES > o->queue_bytes ||
                   (double)rng_float(&w->rng) < o->loss;
    bool measured = now_s >= o->measured_from_s;
    if (measured) {
        w->packets++;
        w->lost += dropped;
        w->queue_sum_s += wait_s;
    }
    if (dropped) {
        put_on_road(s, now_s + base_s + wait_s, 0);
        return;
    }
    w->free_s = fmax(w->free_s, now_s) + WIRE_BYTES / (o->link_kbps * 125);
    put_on_road(s, w->free_s + base_s, w->free_s + base_s - now_s);
    if (measured) {
        s->measured_bytes += SEGMENT_BYTES;
        w->carried_bytes += WIRE_BYTES;
    }
}

static bool is_on(const struct bottleneck_sender *s, double now_s)
{
    return now_s >= s->from_s && !(s->until_s > 0 && now_s >= s->until_s);
}

static void send_burst(struct world *w, int i, double now_s)
{
    struct sender *s = &w->senders[i];
    const struct bottleneck_sender *about = &w->o->senders[i];
    double rate_kbps = gaimd_rate_kbps(&s->law, (uint64_t)(now_s * 1e6));
    double period_s = BURST * WIRE_BYTES / (rate_kbps * 125);
    s->next_burst_s = now_s + period_s * (0.9 + 0.2 * (double)rng_float(&w->rng));
    if (!is_on(about, now_s))
        return;
    if (about->demand_kbps > 0) {
        s->credit_bytes += about->demand_kbps * 125 * period_s;
        if (s->credit_bytes < BURST * SEGMENT_BYTES) {
            s->sample.limited = true;
            return;
        }
        s->credit_bytes -= BURST * SEGMENT_BYTES;
    }
    for (int k = 0; k < BURST; k++)
        send_packet(w, i, now_s);
}

static void acknowledge(struct sender *s, const struct arrival *a)
{
    if (a->rtt_s == 0) {
        s->sample.lost_bytes += (uint64_t)SEGMENT_BYTES;
        return;
    }
    s->sample.acked_bytes += (uint64_t)SEGMENT_BYTES;
    if (++s->unacked < BURST)
        return;
    s->unacked = 0;
    s->sample.acks++;
    double us = a->rtt_s * 1e6;
    s->sample.srtt_us =
        s->sample.srtt_us > 0 ? s->sample.srtt_us + (us - s->sample.srtt_us) / 8 : us;
}

static void look(struct world *w, int i, double now_s)
{
    struct sender *s = &w->senders[i];
    s->next_look_s = now_s + w->o->sample_s;
    while (s->count > 0 && s->road[s->head].at_s <= now_s) {
        acknowledge(s, &s->road[s->head]);
        s->head = (s->head + 1) % ROAD_MAX;
        s->count--;
    }
    s->sample.now_us = (uint64_t)(now_s * 1e6);
    if (is_on(&w->o->senders[i], now_s))
        gaimd_update(&s->law, &s->sample);
    s->sample.limited = false;
}

static void start(struct world *w, const struct bottleneck_options *o)
{
    memset(w, 0, sizeof *w);
    w->o = o;
    rng_init(&w->rng, o->seed, 0);
    for (int i = 0; i < o->sender_count; i++) {
        struct gaimd_options law = o->law;
        law.weight = o->senders[i].weight;
        gaimd_init(&w->senders[i].law, &law);
        w->senders[i].next_burst_s = o->senders[i].from_s + 0.3 * (double)rng_float(&w->rng);
        w->senders[i].next_look_s = o->senders[i].from_s + o->sample_s * (double)rng_float(&w->rng);
    }
}

/* The earliest event. */
static double next_event(struct world *w, int *ret_sender, bool *ret_burst)
{
    double at_s = INFINITY;
    for (int i = 0; i < w->o->sender_count; i++) {
        const struct sender *s = &w->senders[i];
        double first_s = fmin(s->next_burst_s, s->next_look_s);
        if (first_s < at_s) {
            at_s = first_s;
            *ret_sender = i;
            *ret_burst = s->next_burst_s <= s->next_look_s;
        }
    }
    return at_s;
}

void bottleneck_run(const struct bottleneck_options *o, struct bottleneck_result *ret)
{
    static struct world w;
    int i = 0;
    bool burst = false;
    start(&w, o);
    for (double now_s; (now_s = next_event(&w, &i, &burst)) < o->seconds;)
        if (burst)
            send_burst(&w, i, now_s);
        else
            look(&w, i, now_s);
    double span_s = o->seconds - o->measured_from_s;
    *ret = (struct bottleneck_result){.used = w.carried_bytes / (o->link_kbps * 125 * span_s),
                                      .queue_s = w.queue_sum_s / fmax(w.packets, 1),
                                      .lost = w.lost / fmax(w.packets, 1)};
    for (i = 0; i < o->sender_count; i++)
        ret->kbps[i] = w.senders[i].measured_bytes / (125 * span_s);
}
