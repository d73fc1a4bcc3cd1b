/* pulse.h - which of the server's loops go round: for a watchdog that is to mean something.
 *
 * Each of them wakes at least once a second by itself, so one that has not beaten for long hangs,
 * or waits for something that does not come. A loop is looked at from its first beat until its
 * last.
 *
 * Threads: pulse_beat and pulse_end from the loop's own, pulse_still from any.
 */
#ifndef ATTUNE_SERVER_PULSE_H
#define ATTUNE_SERVER_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

enum pulse_loop { PULSE_CONTROL, PULSE_LABELLING, PULSE_STREAMS, PULSE_LOOPS };

struct pulse {
    atomic_uint_fast64_t beat_us[PULSE_LOOPS]; /* the last one's time; 0: it does not run */
};

static inline void pulse_beat(struct pulse *p, enum pulse_loop loop, uint64_t now_us)
{
    atomic_store(&p->beat_us[loop], now_us);
}

static inline void pulse_end(struct pulse *p, enum pulse_loop loop)
{
    atomic_store(&p->beat_us[loop], 0);
}

/* The name of a loop that has not beaten for limit_us; NULL: all that run do. */
static inline const char *pulse_still(const struct pulse *p, uint64_t now_us, uint64_t limit_us)
{
    static const char *const names[PULSE_LOOPS] = {"control", "labelling", "streams"};
    for (int i = 0; i < PULSE_LOOPS; i++) {
        uint64_t beat_us = atomic_load(&p->beat_us[i]);
        if (beat_us && now_us > beat_us && now_us - beat_us > limit_us)
            return names[i];
    }
    return 0;
}

#endif
