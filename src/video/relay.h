/* relay.h - inside src/video only: a checked TLS connection (tls_peer.h) that libavformat takes for
 * a plain one.
 *
 * Of an rtsps:// or https:// URL the connection is made and checked here; libavformat is given the
 * same URL as rtsp:// or http:// on a port of the loopback address, where a thread takes
 * connections, one at a time and RELAY_CONNECTIONS_MAX in all (HTTP makes a second one when it is
 * asked for a password), and carries their bytes; each has a checked connection of its own. Another
 * program of this machine that gets in has what it could have had without: a connection without
 * credentials.
 *
 * Owns:    connection and thread, until relay_close.
 * Memory:  RELAY_BYTES each way.
 * Errors:  as tls_peer_open.
 */
#ifndef ATTUNE_VIDEO_RELAY_H
#define ATTUNE_VIDEO_RELAY_H

#include "video/tls_peer.h"

#define RELAY_BYTES 32768
#define RELAY_CONNECTIONS_MAX 4
#define RELAY_URL_BYTES 2304
#define RELAY_HOST_BYTES 280

struct relay;

/* For an rtsps:// or https:// URL; ret_code as of tls_peer_open. */
enum status relay_open(const char *url, const char *ca, const AVIOInterruptCB *over,
                       struct relay **ret, int *ret_code, struct error *err);

/* What libavformat is to open; it holds the URL's credentials. */
void relay_url(const struct relay *r, const char *url, char ret[RELAY_URL_BYTES]);

/* "HOST[:PORT]" of the camera, as HTTP has it. */
const char *relay_host(const struct relay *r);

/* After libavformat's end was closed: what it still had to say goes out, for a moment. */
void relay_close(struct relay **r);

#endif
