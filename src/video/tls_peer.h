/* tls_peer.h - inside src/video only: a TLS connection to a camera whose certificate is checked.
 *
 * libavformat's RTSP has no way to be told whom to trust (relay.h is how it gets this connection).
 *
 * Owns:    session, trusted certificates and socket, until tls_peer_close.
 * Threads: one at a time.
 * Errors:  ST_DENIED: the certificate is not trusted; ST_NOT_FOUND, ST_FORMAT: what to trust cannot
 *          be read; ST_NETWORK.
 */
#ifndef ATTUNE_VIDEO_TLS_PEER_H
#define ATTUNE_VIDEO_TLS_PEER_H

#include <gnutls/gnutls.h>
#include <libavformat/avio.h>

#include "base/error.h"

/* Trusts what this machine trusts. Any other text is a file of certificates in PEM. */
#define TLS_PEER_SYSTEM "system"

struct tls_peer {
    gnutls_session_t session; /* its socket does not block */
    gnutls_certificate_credentials_t trust;
    int fd;
};

void tls_peer_init(struct tls_peer *p);

/* Connects with host and port, until `over` says to give up. The certificate has to be of this host
 * and signed by one that `ca` names; where `ca` is a file that has the camera's very certificate,
 * its name may be any, since cameras do not know theirs. *ret_code: 0, or libav's code of an error
 * of the network, for which the caller has the sentence (video/input.h). */
enum status tls_peer_open(struct tls_peer *p, const char *host, int port, const char *ca,
                          const AVIOInterruptCB *over, int *ret_code, struct error *err);
void tls_peer_close(struct tls_peer *p);

#endif
