/* notify.h - tells the service manager how a node is doing (sd_notify(3)'s protocol).
 *
 * A datagram to the socket that NOTIFY_SOCKET names; without it every call does nothing, so a node
 * need not know who started it. The protocol is a handful of assignments and will stay: that is not
 * worth a dependency on libsystemd.
 *
 * Owns:    a socket, until close.
 * Threads: notify_send is safe from any; opening and closing from one, before others start, since
 *          the environment is changed: processes that ours starts do not speak for it.
 * Errors:  none: who does not listen does not hear.
 */
#ifndef ATTUNE_BASE_NOTIFY_H
#define ATTUNE_BASE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#define NOTIFY_CHARS_MAX 1023

struct notify {
    int fd;               /* -1: nobody listens */
    uint64_t watchdog_us; /* WATCHDOG=1 is expected this often at least; 0: not at all */
};

void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Assignments, one a line: "READY=1\nSTATUS=two cameras". */
void notify_send(const struct notify *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* RELOADING=1 with the time that the manager wants beside it. READY=1 ends it. */
void notify_reloading(const struct notify *n);

/* How often to look after the node: a third of the watchdog's time, at most 10 s. */
uint64_t notify_period_us(const struct notify *n);

#endif
