/* history.h - the account of compute over time, for people: how much each kind of work has used,
 * and what whoever divides the compute said then. Internal.
 *
 * Memory:  HISTORY_SAMPLES_MAX samples, taken at open; the oldest goes first. Lost at a restart.
 * Threads: one of its own, which samples every HISTORY_INTERVAL_US; history_json from any.
 */
#ifndef ATTUNE_SERVER_HISTORY_H
#define ATTUNE_SERVER_HISTORY_H

#include "server/node.h"

#define HISTORY_INTERVAL_US ((uint64_t)5 * 1000000)
#define HISTORY_SAMPLES_MAX 2160 /* three hours */
#define HISTORY_WHY_CHARS 255

struct history;

/* After the ledger and control (NULL: nobody trains). */
enum status history_open(struct server *s, struct history **ret, struct error *err);

/* Call bell_stop first. */
void history_close(struct history **h);

/* Columns (docs/api.md, GET /v1/compute/series) of the newest `limit` samples after since_us. */
json_t *history_json(struct history *h, uint64_t since_us, int limit);

#endif
