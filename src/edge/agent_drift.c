/* agent_drift.c - the camera's watch over its world (drift/watch.h): what the capture thread shows
 * it, what the server is told, and the frames that go up at once when something has changed.
 *
 * A frame is looked at every LOOK_US at most, of a camera with regions the first of them. An alarm
 * is part of the report (uplink/message.h) for as long as it holds, so that a report that is lost
 * loses nothing.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "drift/answer.h"
#include "edge/agent_internal.h"

#define LOOK_US 400000
#define BURST_FRAMES 12
#define BURST_GAP_US 300000
#define BURST_REST_US 60000000

void agent_drift_open(struct agent *a)
{
    struct agent_drift *d = &a->drift;
    drift_watch_init(&d->watch, NULL, a->spec.class_name, a->spec.class_count);
    d->version = slot_version(a->slot);
}

static void tell(struct agent *a)
{
    pthread_mutex_lock(&a->mutex);
    a->told.drift = a->drift.told;
    pthread_mutex_unlock(&a->mutex);
}

/* The server needs frames of the new world now, not at its slow rate. */
static void begin_burst(struct agent_drift *d, uint64_t now_us)
{
    if (d->burst_left > 0 || now_us < d->burst_rest_us)
        return;
    d->burst_left = BURST_FRAMES;
    d->burst_next_us = now_us;
    d->burst_rest_us = now_us + BURST_REST_US;
}

static void take(struct agent *a, const struct drift_notice *n, uint64_t now_us,
                 uint64_t wall_offset_us)
{
    struct agent_drift *d = &a->drift;
    log_write(LOG_INFO, "drift", "kind=%s over=%d score=%.2f seen=\"%s\"", drift_kind_name(n->kind),
              (int)n->over, n->score, n->text);
    if (n->over && d->told.kind != n->kind)
        return; /* something else has been told since */
    d->told = (struct drift_request){.kind = n->over ? DRIFT_NONE : n->kind,
                                     .t_us = now_us + wall_offset_us,
                                     .since_us = n->since_us + wall_offset_us,
                                     .score = n->score};
    snprintf(d->told.text, sizeof d->told.text, "%s", n->text);
    d->told.has_signature = drift_monitor_signature(&d->watch.monitor, &d->told.signature);
    if (!n->over && (n->kind == DRIFT_SCENE || n->kind == DRIFT_VIEW))
        begin_burst(d, now_us);
    tell(a);
}

/* Another model is the answer to a moved camera's request. */
static void follow_version(struct agent *a, uint64_t version)
{
    struct agent_drift *d = &a->drift;
    if (version == d->version)
        return;
    d->version = version;
    drift_watch_swapped(&d->watch);
    if (d->told.kind != DRIFT_VIEW)
        return;
    d->told.kind = DRIFT_NONE;
    tell(a);
}

void agent_drift_see(struct agent *a, const struct frame *frame, const struct nn_view *output,
                     uint64_t version, uint64_t now_us, uint64_t wall_offset_us)
{
    struct agent_drift *d = &a->drift;
    struct drift_summary summary;
    struct drift_notice notice;
    if (d->looked_us > 0 && now_us < d->looked_us + LOOK_US)
        return;
    d->looked_us = now_us;
    follow_version(a, version);
    drift_picture_measure(frame, &d->picture);
    drift_summary_answer(&summary, &a->spec, output, a->infer.labels);
    if (drift_watch_see(&d->watch, &d->picture, &summary, now_us, &notice))
        take(a, &notice, now_us, wall_offset_us);
}

bool agent_drift_wants(struct agent *a, uint64_t now_us)
{
    struct agent_drift *d = &a->drift;
    if (d->burst_left == 0 || now_us < d->burst_next_us)
        return false;
    d->burst_next_us = now_us + BURST_GAP_US;
    if (--d->burst_left == 0)
        atomic_store(&a->urgent, true);
    return true;
}
