/* agent_update.c - the thread that follows the server's versions (edge/follower.h). */
#include <stdlib.h>

#include "edge/agent_internal.h"
#include "edge/follower.h"

#define POLL_S 20
#define WAIT_FOR_GREETING_US 100000

static bool pause_agent(void *context, uint64_t pause_us)
{
    return agent_pause(context, pause_us);
}

static void say(void *context, enum log_level level, const char *event, const char *details)
{
    (void)context;
    log_write(level, event, "%s", details);
}

/* The server wishes something else than it did. */
static enum status renew_settings(void *context, struct error *err)
{
    struct agent *a = context;
    struct client_settings settings;
    enum status st = client_get_settings(a->update_client, &settings, err);
    if (st == ST_OK)
        agent_take_settings(a, &settings);
    return st;
}

void *agent_update_thread(void *context)
{
    struct agent *a = context;
    agent_thread_background("attune-update");
    const struct follower_host host = {
        .pause = pause_agent, .say = say, .renew = renew_settings, .context = a};
    struct follower f;
    struct error err;
    follower_init(&f, a->slot, a->update_client, &host, a->options.seed);
    f.params_path = a->params_path;
    while (!atomic_load(&a->ending)) {
        if (!atomic_load(&a->greeted)) {
            agent_pause(a, WAIT_FOR_GREETING_US);
        } else if (atomic_exchange(&a->server_lost, false)) {
            follower_go_back(&f);
        } else {
            enum status st = follower_poll(&f, agent_settings(a).revision, POLL_S, &err);
            if (st != ST_OK && st != ST_AGAIN) {
                atomic_store(&a->greeted, false);
                follower_retry_later(&f, "updates wait", &err);
            }
        }
        a->versions_applied = f.applied;
    }
    follower_clear(&f);
    return NULL;
}
