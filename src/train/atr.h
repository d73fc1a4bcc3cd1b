/* atr.h - adaptive training rate: a scene that has long been still is trained on less often.
 *
 * Source: AMS, the authors' code; needs ASR's rates. With q the mean of the last five rates:
 *     q < slow: hibernate;  q > wake and hibernating: wake up, period = base
 *     hibernating: period = min(period + growth, base * cap)
 * From the base, 25 slow phases reach the cap. Fewer than five rates: the mean of those there are.
 *
 * Threads: one struct a camera; no shared state.
 */
#ifndef ATTUNE_TRAIN_ATR_H
#define ATTUNE_TRAIN_ATR_H

#include <stdbool.h>
#include <stdint.h>

#define ATR_RATES 5

struct atr_options {
    uint64_t base_us;          /* T0, default 10 s */
    uint64_t growth_us;        /* default 2 s */
    int cap;                   /* largest period in units of T0, default 6 */
    double slow_fps, wake_fps; /* default 0.25, 0.35 */
};

struct atr {
    struct atr_options options;
    double rate_fps[ATR_RATES]; /* ring of the last rates */
    uint32_t rates;             /* rates seen */
    bool hibernating;
    uint64_t period_us;
};

void atr_options_init(struct atr_options *o);
void atr_init(struct atr *a, const struct atr_options *options);

/* Once a phase, before training: takes the camera's sampling rate, returns the training period. */
uint64_t atr_update(struct atr *a, double rate_fps);

#endif
