/* overview.h - one look at a server: what `attune status` and `attune top` show. */
#ifndef ATTUNE_CMD_OVERVIEW_H
#define ATTUNE_CMD_OVERVIEW_H

#include "cmd/fetch.h"

/* *ret: {"health", "cameras", "groups", "requests", ...}: GET /v1/health, /v1/cameras and
 * /v1/groups in one object; live: with "compute" (GET /v1/compute) and the newest "events", too.
 * ST_NETWORK says that a server may not be running. */
enum status overview_fetch(const struct fetch_server *server, bool live, json_t **ret,
                           struct error *err);

#endif
