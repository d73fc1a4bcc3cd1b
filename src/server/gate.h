/* gate.h - what every request passes before its body is read and its handler runs: rates, where it
 * comes from, who asks, and whether that one may. Internal.
 *
 * Owns:    the tables of rates. Threads: safe. Time: reads base/clock.h.
 */
#ifndef ATTUNE_SERVER_GATE_H
#define ATTUNE_SERVER_GATE_H

#include "server/http.h"

#define GATE_EVENTS_PER_S 0.1 /* that one camera may cause by what it says */
#define GATE_EVENTS_BURST 60

struct gate;

enum status gate_open(const struct server *s, struct gate **ret, struct error *err);
void gate_close(struct gate **g);

/* One more request of this address, whatever it asks for. */
bool gate_admit(const struct request *r, struct reply *out);

/* May the camera cause another event? What cameras tell of themselves must not push out of the
 * table what others are to read there. */
bool gate_tells(const struct server *s, const char *camera);

/* r->caller is filled. False: refused, the reply says why. */
bool gate_pass(struct request *r, const struct route *route, struct reply *out);

#endif
