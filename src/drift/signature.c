/* signature.c - scales, and Euclid. */
#include "drift/signature.h"

#include <math.h>

#define SHARE_SCALE 1.0
#define CONFIDENCE_SCALE 0.1

static const double feature_scale[DRIFT_FEATURES] = {
    [DRIFT_LUMA] = 0.15,       [DRIFT_CONTRAST] = 0.05,   [DRIFT_RED_GREEN] = 0.06,
    [DRIFT_BLUE_GREEN] = 0.05, [DRIFT_SATURATION] = 0.06, [DRIFT_EDGES] = 0.02,
    [DRIFT_SHARPNESS] = 0.1,   [DRIFT_UPPER_LUMA] = 0.2,  [DRIFT_LOWER_LUMA] = 0.2,
    [DRIFT_DARK] = 0.25,       [DRIFT_BRIGHT] = 0.15};

void signature_of(const struct drift_summary *mean, struct signature *ret)
{
    for (int i = 0; i < DRIFT_SHARES; i++)
        ret->value[i] = (float)(sqrt((double)mean->share[i]) / SHARE_SCALE);
    ret->value[DRIFT_SHARES] =
        isfinite(mean->confidence) ? (float)((double)mean->confidence / CONFIDENCE_SCALE) : 0;
    for (int i = 0; i < DRIFT_FEATURES; i++)
        ret->value[DRIFT_SHARES + 1 + i] = (float)((double)mean->feature[i] / feature_scale[i]);
}

bool signature_is_valid(const struct signature *s)
{
    for (int i = 0; i < SIGNATURE_VALUES; i++)
        if (!isfinite(s->value[i]))
            return false;
    return true;
}

double signature_distance(const struct signature *a, const struct signature *b)
{
    double sum = 0;
    for (int i = 0; i < SIGNATURE_VALUES; i++) {
        double d = (double)a->value[i] - (double)b->value[i];
        sum += d * d;
    }
    return sqrt(sum);
}
