/* agent_update.c - waits for updates, decodes them, offers them to the frames and keeps them on
 * disk.
 *
 * The camera names the version that it has; the server answers with the step from it or with a
 * snapshot. A snapshot is asked for (have=0) when an update does not fit, and the running model
 * stays until it is there. Only a server that lost its state makes the camera go back to version 0.
 * Differences of its own (delta/personal.h) are the camera's until the server names others, none,
 * or sends a version with others in mind; a camera that starts has none and is sent them again.
 */
#include <stdlib.h>

#include "base/log.h"
#include "edge/agent_internal.h"

#define BACKOFF_FIRST_US 500000
#define BACKOFF_MAX_US 30000000
#define POLL_S 20
#define WAIT_FOR_GREETING_US 100000
#define WAIT_FOR_FRAME_US 5000

struct updater {
    struct agent *agent;
    struct client_update update;
    struct backoff backoff;
    struct rng rng;
    bool want_snapshot;
    uint64_t own; /* number of the personal delta in use, 0: none */
};

static void retry_later(struct updater *u, const char *event, const struct error *err)
{
    uint64_t wait_us = backoff_next_us(&u->backoff, &u->rng);
    if (!atomic_load(&u->agent->ending))
        log_write(LOG_WARN, event, "retry_s=%.1f reason=\"%s\"", (double)wait_us / 1e6,
                  err->message);
    agent_pause(u->agent, wait_us);
}

static void save(struct agent *a)
{
    struct error err;
    if (slot_save(a->slot, a->params_path, &err) != ST_OK)
        log_write(LOG_WARN, "model not saved", "version=%lu reason=\"%s\"",
                  (unsigned long)slot_version(a->slot), err.message);
}

/* Waits for the frame that takes the offer. ST_AGAIN: the camera ends before one came. */
static enum status wait_for_frame(struct agent *a, struct error *err)
{
    enum status st;
    do
        st = slot_settle(a->slot, err);
    while (st == ST_AGAIN && agent_pause(a, WAIT_FOR_FRAME_US));
    return st;
}

/* The server knew less than this camera: its state was lost, both begin at the model file. */
static void go_back(struct updater *u)
{
    struct agent *a = u->agent;
    log_write(LOG_WARN, "model reset", "version=%lu reason=\"the server does not know it\"",
              (unsigned long)slot_version(a->slot));
    struct error err;
    enum status st = slot_offer_reset(a->slot, &err);
    if (st == ST_OK)
        st = wait_for_frame(a, &err);
    if (st == ST_OK) {
        u->own = 0;
        save(a);
    } else
        retry_later(u, "model not reset", &err);
}

/* The camera's own differences as the server wants them: new ones, or none. */
static enum status take_own(struct updater *u, const void *delta, size_t n, uint64_t number,
                            struct error *err)
{
    struct agent *a = u->agent;
    bool offered = false;
    enum status st = slot_offer_personal(a->slot, delta, n, &offered, err);
    if (st == ST_OK && offered)
        st = wait_for_frame(a, err);
    if (st != ST_OK)
        return st;
    u->own = slot_is_personal(a->slot) ? number : 0;
    if (offered)
        log_write(LOG_INFO, n ? "own delta applied" : "own delta dropped",
                  "version=%lu number=%lu bytes=%zu", (unsigned long)slot_version(a->slot),
                  (unsigned long)number, n);
    return ST_OK;
}

static void apply_own(struct updater *u)
{
    struct error err;
    const struct buf *delta = &u->update.delta;
    if (take_own(u, delta->data, delta->size_bytes, u->update.own, &err) == ST_OK)
        backoff_reset(&u->backoff);
    else
        retry_later(u, "own delta refused", &err);
}

static void apply(struct updater *u)
{
    struct agent *a = u->agent;
    struct error err;
    bool offered = false;
    const struct buf *delta = &u->update.delta;
    enum status st = ST_OK;
    if (u->own != u->update.own) /* what comes may be of another group */
        st = take_own(u, NULL, 0, 0, &err);
    if (st == ST_OK)
        st = slot_offer(a->slot, delta->data, delta->size_bytes, &offered, &err);
    if (st == ST_OK && offered)
        st = wait_for_frame(a, &err);
    if (st != ST_OK) {
        u->want_snapshot = true;
        retry_later(u, "update refused", &err);
        return;
    }
    u->want_snapshot = false;
    if (!offered) { /* the server repeats itself: no hurry */
        agent_pause(a, BACKOFF_FIRST_US);
        return;
    }
    backoff_reset(&u->backoff);
    a->versions_applied++;
    save(a);
    log_write(LOG_INFO, "version applied", "version=%lu base=%lu bytes=%zu params_crc32=%08x",
              (unsigned long)slot_version(a->slot), (unsigned long)u->update.base,
              delta->size_bytes, slot_params_crc32(a->slot));
}

/* The server wishes something else than it did. */
static void renew_settings(struct updater *u)
{
    struct client_settings settings;
    struct error err;
    if (client_get_settings(u->agent->update_client, &settings, &err) == ST_OK)
        agent_take_settings(u->agent, &settings);
    else
        retry_later(u, "settings wait", &err);
}

/* The answer is about the camera's own differences, not a step or a snapshot. */
static bool is_own(const struct updater *u, const struct client_have *have)
{
    return u->update.version == have->version && u->update.base == have->version;
}

static void poll_update(struct updater *u)
{
    struct agent *a = u->agent;
    struct error err;
    const struct client_have have = {.version = u->want_snapshot ? 0 : slot_version(a->slot),
                                     .own = u->own,
                                     .revision = agent_settings(a).revision};
    u->update.retry_after_s = 0;
    u->update.revision = 0;
    enum status st = client_get_update(a->update_client, &have, POLL_S, &u->update, &err);
    if (u->update.revision > 0 && u->update.revision != have.revision)
        renew_settings(u);
    if (st == ST_OK && is_own(u, &have)) {
        apply_own(u);
    } else if (st == ST_OK) {
        apply(u);
    } else if (st == ST_AGAIN && u->update.retry_after_s == 0) {
        backoff_reset(&u->backoff);
        u->want_snapshot = false;
    } else if (st == ST_AGAIN) {
        agent_pause(a, (uint64_t)(u->update.retry_after_s * 1e6));
    } else {
        atomic_store(&a->greeted, false);
        retry_later(u, "updates wait", &err);
    }
}

void *agent_update_thread(void *context)
{
    struct agent *a = context;
    agent_thread_background("attune-update");
    struct updater u = {.agent = a};
    buf_init(&u.update.delta);
    backoff_init(&u.backoff, BACKOFF_FIRST_US, BACKOFF_MAX_US);
    rng_init(&u.rng, a->options.seed, 1);
    while (!atomic_load(&a->ending)) {
        if (!atomic_load(&a->greeted))
            agent_pause(a, WAIT_FOR_GREETING_US);
        else if (atomic_exchange(&a->server_lost, false))
            go_back(&u);
        else
            poll_update(&u);
    }
    buf_clear(&u.update.delta);
    return NULL;
}
