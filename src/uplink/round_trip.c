/* round_trip.c - takes the smoothing off, and keeps the least in two halves of a memory. */
#include "uplink/round_trip.h"

#include <math.h>

#define SMOOTHING 0.875
#define ACKS_ALL 64 /* after so many the old value is gone */

/* A queue that is at most this part of the way, or this short, is none. */
#define LOW_PART 0.1
#define LOW_US 4000.0

void round_trip_init(struct round_trip *r)
{
    *r = (struct round_trip){0};
}

void round_trip_reconnect(struct round_trip *r)
{
    r->looked = false;
}

static double least(double a, double b)
{
    return a == 0 ? b : b == 0 ? a : fmin(a, b);
}

static void remember(struct round_trip *r, uint64_t now_us, double mean_us)
{
    if (now_us - r->memory_began_us > ROUND_TRIP_MEMORY_US) {
        bool long_ago = now_us - r->memory_began_us > 2 * ROUND_TRIP_MEMORY_US;
        r->base_us[1] = long_ago ? 0 : r->base_us[0];
        r->base_us[0] = 0;
        r->memory_began_us = now_us;
    }
    r->base_us[0] = least(r->base_us[0], mean_us);
    double base_us = least(r->base_us[0], r->base_us[1]);
    if (mean_us <= base_us + fmax(LOW_US, LOW_PART * base_us))
        r->low_us = now_us;
}

bool round_trip_look(struct round_trip *r, uint64_t now_us, double srtt_us, uint64_t acks)
{
    bool first = !r->looked;
    uint64_t count = first ? ACKS_ALL : acks - r->acks;
    double old_us = r->srtt_us;
    if (!(srtt_us > 0) || (!first && acks <= r->acks))
        return false; /* nothing was acknowledged that says a time */
    double kept = count >= ACKS_ALL ? 0 : pow(SMOOTHING, (double)count);
    double mean_us = (srtt_us - kept * old_us) / (1 - kept);
    r->looked = true;
    r->srtt_us = srtt_us;
    r->acks = acks;
    /* Acknowledgements that carry no time make count too large, never the mean absurd. */
    r->recent_us = fmax(mean_us, least(srtt_us, old_us) / 8);
    if (r->memory_began_us == 0)
        r->memory_began_us = now_us;
    remember(r, now_us, r->recent_us);
    return true;
}

double round_trip_base_s(const struct round_trip *r)
{
    return least(r->base_us[0], r->base_us[1]) / 1e6;
}

double round_trip_queue_s(const struct round_trip *r)
{
    return fmax(r->recent_us / 1e6 - round_trip_base_s(r), 0);
}
