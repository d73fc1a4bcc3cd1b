/* explain.h - the subjects of `attune explain`: each prints what the server answers, for people. */
#ifndef ATTUNE_CMD_EXPLAIN_H
#define ATTUNE_CMD_EXPLAIN_H

#include <jansson.h>

#include "cmd/fetch.h"

/* A subject prints the answer; `about` is the camera or group that was asked for, NULL for all.
 * Returns an exit status. */
int explain_schedule(const json_t *answer, const char *about);
int explain_group(const json_t *answer, const char *about);
int explain_drift(const json_t *answer, const char *about);
int explain_camera(const json_t *answer, const char *about);

/* What explain_camera wants: several answers in one object. ST_NOT_FOUND: no such camera. */
enum status explain_camera_fetch(const struct fetch_server *server, const char *camera,
                                 json_t **ret, struct error *err);

/* A member of an object; NaN, `otherwise` where it is not there. */
double explain_number(const json_t *o, const char *key);
const char *explain_text(const json_t *o, const char *key, const char *otherwise);

#endif
