/* summary.c - histograms, confidence, and means of both. */
#include "drift/summary.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void drift_summary_shares(struct drift_summary *s, const float *weight, int class_count)
{
    double sum = 0, share[DRIFT_SHARES] = {0};
    for (int c = 0; c < class_count; c++) {
        share[c % DRIFT_SHARES] += (double)weight[c];
        sum += (double)weight[c];
    }
    for (int i = 0; i < DRIFT_SHARES; i++)
        s->share[i] = sum > 0 ? (float)(share[i] / sum) : 0;
}

void drift_summary_labels(struct drift_summary *s, const uint8_t *classes, size_t n,
                          int class_count)
{
    uint32_t count[256] = {0};
    float weight[256];
    assert(class_count >= 0 && class_count <= 255);
    for (size_t i = 0; i < n; i++)
        count[classes[i]]++;
    for (int c = 0; c < class_count; c++)
        weight[c] = (float)count[c];
    drift_summary_shares(s, weight, class_count);
}

/* 1 / sum of exp(logit - largest). */
static double largest_probability(const struct nn_view *l, ptrdiff_t at)
{
    float most = l->data[at];
    for (int64_t c = 1; c < l->dim[1]; c++)
        most = fmaxf(most, l->data[at + c * l->stride[1]]);
    double sum = 0;
    for (int64_t c = 0; c < l->dim[1]; c++)
        sum += (double)expf(l->data[at + c * l->stride[1]] - most);
    return 1 / sum;
}

float drift_confidence(const struct nn_view *logits, int cells_max)
{
    int64_t h = logits->rank == 4 ? logits->dim[2] : 1, w = logits->rank == 4 ? logits->dim[3] : 1;
    int64_t n = h * w, wanted = n < cells_max ? n : cells_max;
    double sum = 0;
    assert(cells_max > 0);
    for (int64_t i = 0; i < wanted; i++) {
        int64_t cell = (2 * i + 1) * n / (2 * wanted);
        ptrdiff_t at = 0;
        if (logits->rank == 4)
            at = cell / w * logits->stride[2] + cell % w * logits->stride[3];
        sum += largest_probability(logits, at);
    }
    return (float)(sum / (double)wanted);
}

void drift_mean_init(struct drift_mean *m)
{
    memset(m, 0, sizeof *m);
}

static bool is_answered(const struct drift_summary *s)
{
    for (int i = 0; i < DRIFT_SHARES; i++)
        if (s->share[i] > 0)
            return true;
    return false;
}

void drift_mean_add(struct drift_mean *m, const struct drift_summary *s)
{
    bool confident = isfinite(s->confidence);
    m->count++;
    m->answered += is_answered(s);
    m->confident += confident;
    for (int i = 0; i < DRIFT_SHARES; i++)
        m->sum[i] += (double)s->share[i];
    m->sum[DRIFT_SHARES] += confident ? (double)s->confidence : 0;
    for (int i = 0; i < DRIFT_FEATURES; i++)
        m->sum[DRIFT_SHARES + 1 + i] += (double)s->feature[i];
}

bool drift_mean_get(const struct drift_mean *m, struct drift_summary *ret)
{
    if (m->count == 0)
        return false;
    for (int i = 0; i < DRIFT_SHARES; i++)
        ret->share[i] = m->answered ? (float)(m->sum[i] / m->answered) : 0;
    ret->confidence = m->confident ? (float)(m->sum[DRIFT_SHARES] / m->confident) : NAN;
    for (int i = 0; i < DRIFT_FEATURES; i++)
        ret->feature[i] = (float)(m->sum[DRIFT_SHARES + 1 + i] / m->count);
    return true;
}
