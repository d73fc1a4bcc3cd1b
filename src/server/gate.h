/* gate.h - what every request passes before its body is read and its handler runs. Internal. */
#ifndef ATTUNE_SERVER_GATE_H
#define ATTUNE_SERVER_GATE_H

#include "server/http.h"

/* False: refused, the reply says why. */
bool gate_pass(const struct request *r, const char *method, struct reply *out);

#endif
