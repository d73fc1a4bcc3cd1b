/* relay.h - inside src/video only: a checked TLS connection (tls_peer.h) that libavformat takes for
 * a plain one.
 *
 * Of an rtsps:// or https:// URL the connection is made and checked here; libavformat is given the
 * same URL as rtsp:// or http:// on a port of the loopback address, where a thread takes one
 * connection and carries its bytes. Nothing else of this machine can get in afterwards; who gets in
 * before libavformat does has a connection without credentials, and libavformat none.
 *
 * Owns:    connection and thread, until relay_close.
 * Memory:  RELAY_BYTES each way.
 * Errors:  as tls_peer_open.
 */
#ifndef ATTUNE_VIDEO_RELAY_H
#define ATTUNE_VIDEO_RELAY_H

#include "video/tls_peer.h"

#define RELAY_BYTES 32768
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
