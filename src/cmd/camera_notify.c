/* camera_notify.c - looks at the agent a few times in the watchdog's time. */
#include "cmd/camera_notify.h"

#include "base/clock.h"

/* False when it is to end. */
static bool wait_period(struct camera_notify *n)
{
    uint64_t until_us = clock_mono_us() + notify_period_us(&n->notify);
    pthread_mutex_lock(&n->mutex);
    while (!n->ending)
        if (clock_cond_wait(&n->changed, &n->mutex, until_us) != 0)
            break;
    bool goes_on = !n->ending;
    pthread_mutex_unlock(&n->mutex);
    return goes_on;
}

static void *watch(void *context)
{
    struct camera_notify *n = context;
    uint64_t seen = 0;
    while (wait_period(n)) {
        uint64_t beats = agent_beats(n->agent);
        if (beats != seen)
            notify_send(&n->notify, "WATCHDOG=1");
        seen = beats;
    }
    return NULL;
}

void camera_notify_start(struct camera_notify *n, const struct agent *agent)
{
    *n = (struct camera_notify){.agent = agent};
    notify_open(&n->notify);
    if (n->notify.fd < 0)
        return;
    clock_cond_init(&n->changed);
    pthread_mutex_init(&n->mutex, NULL);
    notify_send(&n->notify, "READY=1\nSTATUS=running");
    n->running = pthread_create(&n->thread, NULL, watch, n) == 0;
}

void camera_notify_stop(struct camera_notify *n)
{
    if (n->notify.fd < 0)
        return;
    notify_send(&n->notify, "STOPPING=1");
    pthread_mutex_lock(&n->mutex);
    n->ending = true;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->mutex);
    if (n->running)
        pthread_join(n->thread, NULL);
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->mutex);
    notify_close(&n->notify);
}
