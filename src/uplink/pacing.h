/* pacing.h - a connection's sockets sent at the rate that gaimd.h says.
 *
 * The kernel spaces the segments out (SO_MAX_PACING_RATE, which needs no right and no queueing
 * discipline), so a rate holds between two looks too. TCP_INFO is read a few times a second while
 * something is sent. Little is kept unsent in the kernel (TCP_NOTSENT_LOWAT): then the sender knows
 * how far it is, and whether it has nothing to send.
 *
 * Usage: pacing_set says whether and how; pacing_socket for each socket of the connection,
 * pacing_forget when it is closed; within a transfer pacing_begin, then pacing_look often.
 *
 * Owns:    no socket.
 * Threads: one at a time.
 * Time:    now_us, monotonic, is an argument.
 * Errors:  none: a kernel that cannot pace or tell leaves the connection as it is (`able`).
 */
#ifndef ATTUNE_UPLINK_PACING_H
#define ATTUNE_UPLINK_PACING_H

#include "uplink/gaimd.h"

/* libcurl may try two addresses at once. */
#define PACING_SOCKETS_MAX 4
#define PACING_LOOK_US 100000

struct pacing {
    bool on;
    struct gaimd law;                /* in use while on */
    int sockets[PACING_SOCKETS_MAX]; /* -1: free */
    int seen;                        /* the socket of the last sample, -1: none */
    uint64_t looked_us;
    double set_kbps; /* of all sockets; 0: none yet */
    bool able;       /* false: the kernel refused */
};

/* Off: as fast as TCP will. */
void pacing_init(struct pacing *p);

/* Another law or weight from now on, also for sockets that are open; NULL: off. What was learned of
 * the way, and the rate, stay while it is on. */
void pacing_set(struct pacing *p, const struct gaimd_options *o);

/* A new TCP socket, not connected yet. Beyond PACING_SOCKETS_MAX it goes at its own speed. */
void pacing_socket(struct pacing *p, int socket);
void pacing_forget(struct pacing *p, int socket);

void pacing_begin(struct pacing *p);

/* Takes a sample and sets the rate, unless the last look is less than PACING_LOOK_US ago. */
void pacing_look(struct pacing *p, uint64_t now_us);

#endif
