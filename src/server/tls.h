/* tls.h - the server's own certificate: made at the first start, kept in DIR/tls. Internal.
 *
 * An ECDSA P-256 key and a self-signed certificate for this host's names and addresses; cameras
 * know the key by enrolment (uplink/pin.h), or are given cert.pem, and trust nothing else. Put
 * other files there to use them instead; a renewed certificate keeps the key, or cameras enrol
 * again. Without cert.pem one is made for the key that is there.
 */
#ifndef ATTUNE_SERVER_TLS_H
#define ATTUNE_SERVER_TLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Reads DIR/tls/cert.pem and key.pem (NUL-terminated PEM appended), making both when there are
 * none. now_us: wall clock. ret_hex: SHA-256 of the certificate in DER; ret_key_sha256: of its
 * public key. ST_DENIED: others can read the key; ST_CONFLICT: the two do not belong together. */
enum status tls_load(const char *dir, uint64_t now_us, struct buf *cert_pem, struct buf *key_pem,
                     char ret_hex[65], uint8_t ret_key_sha256[32], struct error *err);

#endif
