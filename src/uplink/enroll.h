/* enroll.h - the camera's part of enrolment: a code for a token.
 *
 * Asks the server for its certificate first and goes on only where the code was made by the holder
 * of that key; then gives the code to exactly that key.
 *
 * Threads: safe. Waits at most some 30 s.
 * Errors:  ST_DENIED: another certificate answers, or the code is used up; ST_NETWORK, ST_FORMAT.
 */
#ifndef ATTUNE_UPLINK_ENROLL_H
#define ATTUNE_UPLINK_ENROLL_H

#include "uplink/code.h"
#include "uplink/identity.h"

/* url: "https://HOST:PORT". camera: the id that the code must be for, NULL: any. */
enum status enroll(const char *url, const struct code *code, const char *camera,
                   struct identity *ret, struct error *err);

#endif
