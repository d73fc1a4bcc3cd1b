/* monitor.c - blocks, references, and when a difference is one. */
#include "drift/monitor.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void drift_monitor_options_init(struct drift_monitor_options *o)
{
    *o = (struct drift_monitor_options){.block_s = 2,
                                        .reference_blocks = 15,
                                        .recent_blocks = 5,
                                        .spread_factor = 4,
                                        .floor = {0.12, 0.05, 2.0},
                                        .checks = 3,
                                        .back = 0.8,
                                        .refractory_s = 120};
}

void drift_monitor_init(struct drift_monitor *m, const struct drift_monitor_options *options)
{
    memset(m, 0, sizeof *m);
    if (options)
        m->options = *options;
    else
        drift_monitor_options_init(&m->options);
    const struct drift_monitor_options *o = &m->options;
    assert(o->block_s >= 0.1 && o->block_s <= 3600 && o->checks >= 1);
    assert(o->reference_blocks >= 3 && o->reference_blocks <= DRIFT_REFERENCE_BLOCKS_MAX);
    assert(o->recent_blocks >= 1 && o->recent_blocks <= DRIFT_RECENT_BLOCKS_MAX);
    m->collecting = true;
    drift_mean_init(&m->block);
}

/* ---- distances ---- */

static double share_distance(const struct drift_summary *a, const struct drift_summary *b)
{
    double sum = 0;
    for (int i = 0; i < DRIFT_SHARES; i++) {
        double d = sqrt((double)a->share[i]) - sqrt((double)b->share[i]);
        sum += d * d;
    }
    return sqrt(sum / 2);
}

/* NaN confidences make none. */
static double confidence_fall(const struct drift_summary *now, const struct drift_summary *before)
{
    double fall = (double)before->confidence - (double)now->confidence;
    return isfinite(fall) ? fmax(fall, 0) : 0;
}

static double picture_distance(const struct drift_summary *a, const struct drift_summary *b)
{
    struct signature x = {{0}}, y = {{0}};
    signature_of(a, &x);
    signature_of(b, &y);
    for (int i = 0; i <= DRIFT_SHARES; i++)
        x.value[i] = y.value[i] = 0;
    return signature_distance(&x, &y);
}

static void distances(const struct drift_summary *now, const struct drift_summary *before,
                      double ret[DRIFT_DISTANCES])
{
    ret[DRIFT_BY_ANSWERS] = share_distance(now, before);
    ret[DRIFT_BY_CONFIDENCE] = confidence_fall(now, before);
    ret[DRIFT_BY_PICTURE] = picture_distance(now, before);
}

static void mean_of(const struct drift_summary *list, int count, struct drift_summary *ret)
{
    struct drift_mean mean;
    drift_mean_init(&mean);
    for (int i = 0; i < count; i++)
        drift_mean_add(&mean, &list[i]);
    drift_mean_get(&mean, ret);
}

/* ---- the reference ---- */

/* Confidence counts both ways here: a block above the mean says as much of the spread. */
static void set_thresholds(struct drift_monitor *m)
{
    const struct drift_reference *r = &m->collected;
    for (int k = 0; k < DRIFT_DISTANCES; k++) {
        double sum = 0, squares = 0, d[DRIFT_DISTANCES], back[DRIFT_DISTANCES];
        for (int i = 0; i < r->count; i++) {
            distances(&r->blocks[i], &m->reference, d);
            distances(&m->reference, &r->blocks[i], back);
            double v = fmax(d[k], back[k]);
            sum += v;
            squares += v * v;
        }
        double mean = sum / r->count;
        double deviation = sqrt(fmax(squares / r->count - mean * mean, 0));
        m->threshold[k] = fmax(m->options.floor[k], mean + m->options.spread_factor * deviation);
    }
}

static void collect(struct drift_monitor *m, const struct drift_summary *block)
{
    struct drift_reference *r = &m->collected;
    r->blocks[r->count++] = *block;
    if (r->count < m->options.reference_blocks)
        return;
    mean_of(r->blocks, r->count, &m->reference);
    set_thresholds(m);
    m->watching = true;
    m->collecting = false;
    r->count = 0;
}

/* ---- checks ---- */

static void push(struct drift_monitor *m, const struct drift_summary *block)
{
    m->ring[m->ring_next] = *block;
    m->ring_next = (m->ring_next + 1) % m->options.recent_blocks;
    if (m->ring_count < m->options.recent_blocks)
        m->ring_count++;
    mean_of(m->ring, m->ring_count, &m->recent);
}

static void rate(struct drift_monitor *m)
{
    double d[DRIFT_DISTANCES];
    distances(&m->recent, &m->reference, d);
    m->score = 0;
    for (int k = 0; k < DRIFT_DISTANCES; k++)
        if (d[k] / m->threshold[k] > m->score) {
            m->score = d[k] / m->threshold[k];
            m->by = (enum drift_distance)k;
        }
}

static enum drift_change decide(struct drift_monitor *m, uint64_t now_us)
{
    const struct drift_monitor_options *o = &m->options;
    if (m->score < 1)
        m->above = 0;
    else if (m->above++ == 0)
        m->above_since_us = now_us;
    m->below = m->score < o->back ? m->below + 1 : 0;
    if (m->drifted && m->below >= o->checks) {
        m->drifted = false;
        return DRIFT_OVER;
    }
    bool rested = !m->alarmed || (double)(now_us - m->alarmed_us) >= o->refractory_s * 1e6;
    if (m->drifted || m->held || m->above < o->checks || !rested)
        return DRIFT_SAME;
    m->drifted = m->alarmed = true;
    m->since_us = m->above_since_us;
    m->alarmed_us = now_us;
    return DRIFT_BEGAN;
}

static enum drift_change end_block(struct drift_monitor *m, uint64_t now_us)
{
    struct drift_summary block;
    if (!drift_mean_get(&m->block, &block))
        return DRIFT_SAME;
    drift_mean_init(&m->block);
    push(m, &block);
    if (m->collecting)
        collect(m, &block);
    if (!m->watching)
        return DRIFT_SAME;
    rate(m);
    return decide(m, now_us);
}

enum drift_change drift_monitor_add(struct drift_monitor *m, const struct drift_summary *s,
                                    uint64_t t_us)
{
    enum drift_change change = DRIFT_SAME;
    uint64_t block_us = (uint64_t)(m->options.block_s * 1e6);
    if (t_us >= m->block_until_us) {
        change = end_block(m, t_us);
        m->block_until_us = t_us + block_us;
    }
    drift_mean_add(&m->block, s);
    return change;
}

void drift_monitor_swapped(struct drift_monitor *m)
{
    m->collecting = true; /* one that is under way goes on */
}

void drift_monitor_moved(struct drift_monitor *m)
{
    m->watching = m->drifted = false;
    m->collecting = true;
    m->collected.count = m->ring_count = m->ring_next = m->above = m->below = 0;
    m->score = 0;
    drift_mean_init(&m->block);
}

void drift_monitor_hold(struct drift_monitor *m, bool hold)
{
    m->held = hold;
}

bool drift_monitor_signature(const struct drift_monitor *m, struct signature *ret)
{
    if (m->ring_count == 0)
        return false;
    signature_of(&m->recent, ret);
    return true;
}

/* ---- for people ---- */

/* The share that changed most. */
static int changed_share(const struct drift_monitor *m)
{
    int most = 0;
    float largest = 0;
    for (int i = 0; i < DRIFT_SHARES; i++) {
        float d = fabsf(m->recent.share[i] - m->reference.share[i]);
        if (d > largest) {
            largest = d;
            most = i;
        }
    }
    return most;
}

/* The feature that changed most, in a signature's scales. */
static int changed_feature(const struct drift_monitor *m)
{
    struct signature now = {{0}}, before = {{0}};
    int most = 0;
    float largest = 0;
    signature_of(&m->recent, &now);
    signature_of(&m->reference, &before);
    for (int i = 0; i < DRIFT_FEATURES; i++) {
        int at = DRIFT_SHARES + 1 + i;
        float d = fabsf(now.value[at] - before.value[at]);
        if (d > largest) {
            largest = d;
            most = i;
        }
    }
    return most;
}

void drift_monitor_text(const struct drift_monitor *m,
                        const char (*class_name)[CLASS_NAME_CHARS_MAX + 1], int class_count,
                        char *ret, size_t n)
{
    static const char *const features[DRIFT_FEATURES] = {
        "brightness",       "contrast",          "red cast",           "blue cast",
        "colourfulness",    "amount of edges",   "sharpness",          "brightness above",
        "brightness below", "part that is dark", "part that is bright"};
    int share = changed_share(m), feature = changed_feature(m);
    float was = m->reference.confidence, is = m->recent.confidence;
    size_t used = 0;
    ret[0] = '\0';
    if (isfinite(was) && isfinite(is))
        used = (size_t)snprintf(ret, n, "confidence %s from %.2f to %.2f, ",
                                is < was ? "fell" : "rose", (double)was, (double)is);
    if (used < n && class_name && class_count <= DRIFT_SHARES && share < class_count)
        used += (size_t)snprintf(ret + used, n - used, "%s", class_name[share]);
    else if (used < n)
        used += (size_t)snprintf(ret + used, n - used, "class %d", share);
    if (used < n)
        snprintf(ret + used, n - used, " %.0f %% -> %.0f %%, %s %.2f -> %.2f",
                 100 * (double)m->reference.share[share], 100 * (double)m->recent.share[share],
                 features[feature], (double)m->reference.feature[feature],
                 (double)m->recent.feature[feature]);
}
