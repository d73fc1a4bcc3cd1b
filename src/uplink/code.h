/* code.h - the code with which a camera is enrolled: one line that an operator carries from the
 * server to the camera.
 *
 * 44 symbols of Crockford's base 32 (0-9, A-Z without I, L, O, U) in groups of four: 16 of a secret
 * (80 random bits, good once and for minutes), 26 of the SHA-256 of the server's public key (130
 * bits: the camera gives the secret to nobody else), 2 that catch a slip of the pen. A server
 * without TLS has zeros for a key.
 *
 * Errors: ST_FORMAT with what to do.
 */
#ifndef ATTUNE_UPLINK_CODE_H
#define ATTUNE_UPLINK_CODE_H

#include <stdint.h>

#include "base/error.h"

#define CODE_SECRET_BYTES 10
#define CODE_SECRET_CHARS 16
#define CODE_PIN_CHARS 26
#define CODE_CHARS 54 /* with the dashes */

struct code {
    char secret[CODE_SECRET_CHARS + 1];
    char pin[CODE_PIN_CHARS + 1];
};

/* The part of a public key's SHA-256 that a code holds; NULL: no key. */
void code_pin(const uint8_t *key_sha256, char ret[CODE_PIN_CHARS + 1]);

/* ret: the whole code; *secret is the part that the server is to remember a hash of. */
void code_make(const uint8_t random[CODE_SECRET_BYTES], const uint8_t *key_sha256,
               char ret[CODE_CHARS + 1], char secret[CODE_SECRET_CHARS + 1]);

/* Also in lower case, with spaces or without dashes, with O for 0 and I or L for 1. */
enum status code_read(const char *text, struct code *ret, struct error *err);

#endif
