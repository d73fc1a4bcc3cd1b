/* AMS's adaptive training rate: two thresholds with hysteresis on the mean sampling rate. */
#include "train/atr.h"

#include <string.h>

void atr_options_init(struct atr_options *o)
{
    *o = (struct atr_options){.base_us = 10 * 1000000,
                              .growth_us = 2 * 1000000,
                              .cap = 6,
                              .slow_fps = 0.25,
                              .wake_fps = 0.35};
}

void atr_init(struct atr *a, const struct atr_options *options)
{
    memset(a, 0, sizeof *a);
    a->options = *options;
    a->period_us = options->base_us;
}

static double mean_rate(const struct atr *a)
{
    uint32_t count = a->rates < ATR_RATES ? a->rates : ATR_RATES;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += a->rate_fps[i];
    return sum / count;
}

uint64_t atr_update(struct atr *a, double rate_fps)
{
    const struct atr_options *o = &a->options;
    a->rate_fps[a->rates % ATR_RATES] = rate_fps;
    a->rates = a->rates + 1 < 2 * ATR_RATES ? a->rates + 1 : ATR_RATES; /* keeps its ring place */
    double mean = mean_rate(a);
    if (mean < o->slow_fps)
        a->hibernating = true;
    if (mean > o->wake_fps && a->hibernating) {
        a->hibernating = false;
        a->period_us = o->base_us;
    }
    if (a->hibernating) {
        uint64_t cap_us = o->base_us * (uint64_t)o->cap;
        a->period_us = a->period_us + o->growth_us < cap_us ? a->period_us + o->growth_us : cap_us;
    }
    return a->period_us;
}
