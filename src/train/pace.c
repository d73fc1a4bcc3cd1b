#include "train/pace.h"

#include <string.h>

#define SECOND_US UINT64_C(1000000)

void pace_preset(enum learner_preset preset, struct pace_options *ret)
{
    memset(ret, 0, sizeof *ret);
    asr_options_init(&ret->asr);
    atr_options_init(&ret->atr);
    bool ours = preset == LEARNER_ATTUNE || preset == LEARNER_FULL;
    ret->chunk_us = (ours ? 5 : 10) * SECOND_US;
    ret->period_us = (ours ? 5 : 10) * SECOND_US;
    ret->first_phase_us = ret->period_us;
    ret->adaptive_sampling = preset == LEARNER_AMS;
    ret->adaptive_training = preset == LEARNER_AMS;
    if (preset == LEARNER_AMS)
        ret->first_phase_us = 100 * SECOND_US;
    if (preset == LEARNER_ONE_TIME) {
        ret->once = true;
        ret->first_phase_us = 60 * SECOND_US;
    }
}
