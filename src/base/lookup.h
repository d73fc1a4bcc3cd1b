/* lookup.h - a host's addresses, looked up so that whoever waits can stop waiting: getaddrinfo
 * itself takes as long as name servers take that do not answer, half a minute and more.
 *
 * Owns:    nothing. A lookup that nobody waits for any more ends by itself in a thread of its own.
 * Threads: safe.
 */
#ifndef ATTUNE_BASE_LOOKUP_H
#define ATTUNE_BASE_LOOKUP_H

#include <netdb.h>
#include <stdbool.h>

#include "base/error.h"

/* TCP addresses of the host, a name or a number; *ret is freed with freeaddrinfo. stop is called
 * now and then; true ends the waiting, ST_AGAIN. ST_NOT_FOUND: there is none. */
enum status lookup_host(const char *host, int port, bool (*stop)(void *context), void *context,
                        struct addrinfo **ret, struct error *err);

#endif
