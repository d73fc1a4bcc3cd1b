/* operate.h - what the commands share that change something in a running server. */
#ifndef ATTUNE_CMD_OPERATE_H
#define ATTUNE_CMD_OPERATE_H

#include <jansson.h>
#include <stdbool.h>

#define OPERATE_PATH_BYTES 192

/* {"by": who}; NULL: who is logged in. A new reference. */
json_t *operate_body(const char *by);

/* "/v1/KIND/NAME/VERB"; false: there can be no camera or group of that name. */
bool operate_path(char path[OPERATE_PATH_BYTES], const char *kind, const char *name,
                  const char *verb);

#endif
