/* follower.h - keeps a slot (edge/slot.h) at the version that a server has for a camera.
 *
 * Long poll, decode, offer, wait for the frame that takes it. The follower names the version that
 * it has; the server answers with the step from it or with a snapshot. A snapshot is asked for
 * (have=0) when an update does not fit, and the running model stays until it is there. Only a
 * server that lost its state makes the slot go back to version 0. Differences of its own
 * (delta/personal.h) are the camera's until the server names others, none, or sends a version with
 * others in mind; a camera that starts has none and is sent them again.
 *
 * The node around it (edge/agent.h, the library) says hello, lends the connection and a way to
 * sleep, and hears what happens.
 *
 * Owns:    the update's bytes, until clear; slot, client and path are borrowed.
 * Threads: the slot's updater: one thread at a time.
 * Time:    sleeps by host.pause alone.
 */
#ifndef ATTUNE_EDGE_FOLLOWER_H
#define ATTUNE_EDGE_FOLLOWER_H

#include "base/log.h"
#include "edge/slot.h"
#include "uplink/client.h"

struct follower_host {
    /* Sleeps at most this long; false: the node ends. */
    bool (*pause)(void *context, uint64_t pause_us);
    /* What happened, in log.h's words; details: key=value pairs. */
    void (*say)(void *context, enum log_level level, const char *event, const char *details);
    /* The server has settings of a revision other than the one known. NULL: no matter. */
    enum status (*renew)(void *context, struct error *err);
    void *context;
};

struct follower {
    struct slot *slot;
    struct client *client;
    const char *params_path; /* where every version is kept (slot_save); NULL: nowhere */
    struct follower_host host;
    uint64_t applied;   /* versions, since init */
    bool want_snapshot; /* what follows is the follower's own */
    uint64_t own;       /* number of the personal delta in use, 0: none */
    struct client_update update;
    struct backoff backoff;
    struct rng rng;
};

/* seed: of the back-off's jitter. */
void follower_init(struct follower *f, struct slot *slot, struct client *client,
                   const struct follower_host *host, uint64_t seed);
void follower_clear(struct follower *f);

/* One long poll of at most wait_s, and what follows from its answer; sleeps after an update that
 * was refused. revision: of the settings that are known, 0: no matter. ST_OK: something came (what
 * became of it was said); ST_AGAIN: nothing did. Otherwise there was no answer of use, and the
 * caller sees to it before follower_retry_later: ST_NOT_FOUND: the camera says hello; ST_CONFLICT:
 * the server lost its state, follower_go_back. */
enum status follower_poll(struct follower *f, uint64_t revision, int wait_s, struct error *err);

/* Says so and sleeps, longer each time until something succeeds. */
void follower_retry_later(struct follower *f, const char *event, const struct error *err);

/* The server knew less than this camera: its state was lost, both begin at the model file. */
void follower_go_back(struct follower *f);

#endif
