/* framing.h - whether it is beyond doubt where a request ends. The HTTP library takes what it can
 * make sense of; a proxy in front may make another sense of it, and then what one of them takes for
 * a body is the next request to the other, under somebody else's name (request smuggling). Such a
 * request is refused and its connection closed. Internal to src/server.
 *
 * Threads: any.
 */
#ifndef ATTUNE_SERVER_FRAMING_H
#define ATTUNE_SERVER_FRAMING_H

#include <microhttpd.h>
#include <stdbool.h>

/* At most one Content-Length, one Host and one Transfer-Encoding, which is "chunked" and of
 * HTTP/1.1 and excludes a Content-Length; names are tokens, values hold no control characters (RFC
 * 9110, 5; RFC 9112, 5 and 6). version: as the HTTP library gives it, "HTTP/1.1". */
bool framing_is_plain(struct MHD_Connection *c, const char *version);

#endif
