/* deadlines.h - connections that take too long are ended, whatever they send meanwhile: idle time
 * alone would let a client hold a connection with a byte now and then. Internal.
 *
 * Owns:    a thread and the list; the sockets are microhttpd's, which are shut down, not closed.
 * Threads: safe; a connection is removed before its socket is closed.
 * Time:    base/clock.h.
 */
#ifndef ATTUNE_SERVER_DEADLINES_H
#define ATTUNE_SERVER_DEADLINES_H

#include <stdint.h>

#include "base/error.h"

struct deadlines;
struct deadline;

enum status deadlines_open(struct deadlines **ret, struct error *err);
void deadlines_close(struct deadlines **d);

/* after_s from now the socket is shut down unless that is set anew; 0: never. NULL: no memory. */
struct deadline *deadline_add(struct deadlines *d, int fd, double after_s);
void deadline_set(struct deadline *one, double after_s);
void deadline_remove(struct deadline **one);

#endif
