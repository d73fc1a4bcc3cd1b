/* hooks.h - webhooks: the events of GET /v1/events to receivers on the web, each signed, in order,
 * and at least once.
 *
 * There is no queue beside the table of events: what a receiver has is one number in the store, so
 * it goes on after a restart where it was, and a receiver that is away costs nothing. One that is
 * HOOKS_BEHIND_MAX events behind skips the oldest; one that refuses an event does not get it again;
 * one that fails is tried again after 1 s, 2 s, ... a minute, HOOKS_TRIES_MAX times an event.
 *
 * Owns:    a thread a receiver, WEBHOOKS_MAX (notify/webhook.h) at most.
 * Threads: open and close from one; counts from any.
 */
#ifndef ATTUNE_SERVER_HOOKS_H
#define ATTUNE_SERVER_HOOKS_H

#include "server/node.h"

#define HOOKS_BEHIND_MAX 1000
#define HOOKS_TRIES_MAX 20
#define HOOKS_WAIT_FIRST_US ((uint64_t)1000000)
#define HOOKS_WAIT_MAX_US ((uint64_t)60 * 1000000)

struct hooks;

/* *ret is NULL when the settings name no receiver. ST_INVALID: an URL, a kind of event or the
 * secret's file cannot be used. */
enum status hooks_open(struct server *s, struct hooks **ret, struct error *err);
/* Call bell_stop before. */
void hooks_close(struct hooks **h);

struct hooks_counts {
    unsigned long long delivered, dropped, behind; /* behind: events that the slowest waits for */
};

void hooks_counts(struct hooks *h, struct hooks_counts *ret);

#endif
