/* fetch.h - one JSON answer of a server's HTTP interface. */
#ifndef ATTUNE_CMD_FETCH_H
#define ATTUNE_CMD_FETCH_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

#define FETCH_BYTES_MAX ((size_t)8 << 20)

/* GET base + path. ca: PEM file that the server's certificate must be of, NULL: the system's;
 * insecure: none is checked. *ret is a new reference. ST_NETWORK says what failed, with the
 * address; ST_FORMAT: the answer is no JSON. */
enum status fetch_json(const char *base, const char *path, const char *ca, bool insecure,
                       json_t **ret, struct error *err);

/* A saved answer instead; "-": standard input. ST_FORMAT: it is no JSON, or cannot be read. */
enum status fetch_saved(const char *path, json_t **ret, struct error *err);

#endif
