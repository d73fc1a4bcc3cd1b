/* camera_notify.h - a camera's word to the service manager, for as long as its frames go on.
 *
 * Owns:    a thread between start and stop, where somebody listens (base/notify.h); else nothing.
 * Threads: start and stop from one; the agent must live until stop.
 */
#ifndef ATTUNE_CMD_CAMERA_NOTIFY_H
#define ATTUNE_CMD_CAMERA_NOTIFY_H

#include <pthread.h>
#include <stdbool.h>

#include "base/notify.h"
#include "edge/agent.h"

struct camera_notify {
    struct notify notify;
    const struct agent *agent;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool running, ending; /* ending: under mutex */
};

/* READY=1, then WATCHDOG=1 while agent_beats grows. */
void camera_notify_start(struct camera_notify *n, const struct agent *agent);

/* STOPPING=1; the agent may be closed after it. */
void camera_notify_stop(struct camera_notify *n);

#endif
