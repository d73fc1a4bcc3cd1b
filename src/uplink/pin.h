/* pin.h - a server is known by its public key: its certificate may be renewed, have other names, or
 * be past its date, as long as the key stays.
 *
 * Threads: safe.
 */
#ifndef ATTUNE_UPLINK_PIN_H
#define ATTUNE_UPLINK_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define PIN_CHARS_MAX 63

/* SHA-256 of the public key (SubjectPublicKeyInfo) of a certificate in PEM. False: it is none. */
bool pin_key_sha256(const char *pem, uint8_t ret[32]);

/* "sha256//BASE64", as libcurl takes it: ret[PIN_CHARS_MAX + 1]. ST_NOMEM. */
enum status pin_write(const uint8_t key_sha256[32], char *ret, struct error *err);

#endif
