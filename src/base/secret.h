/* secret.h - random bytes that nobody guesses, comparison that tells nothing, passwords at rest.
 *
 * Threads: safe.
 * Errors:  ST_INTERNAL when the system gives no randomness or knows no slow hash.
 */
#ifndef ATTUNE_BASE_SECRET_H
#define ATTUNE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SECRET_TOKEN_CHARS 71 /* "attune_" and 64 hexadecimal digits: 256 bits */
#define PASSWORD_CHARS_MIN 8
#define PASSWORD_CHARS_MAX 256
#define PASSWORD_HASH_CHARS_MAX 255

enum status secret_random(void *to, size_t n, struct error *err);

/* A new token: ret[SECRET_TOKEN_CHARS + 1]. */
enum status secret_token(char *ret, struct error *err);

/* Has the text a token's form? */
bool secret_token_valid(const char *text);

/* Takes as long whatever the first difference is; false for texts of two lengths. */
bool secret_equal(const char *a, const char *b);

/* The token that `key` gives for a text: nobody makes it without the key. ret as above. */
void secret_token_of(const unsigned char key[32], const char *text, char *ret);

/* yescrypt with a salt of its own: ret[PASSWORD_HASH_CHARS_MAX + 1]. Takes tens of milliseconds and
 * megabytes, on purpose. ST_INVALID: too short or too long. */
enum status password_hash(const char *password, char *ret, struct error *err);
bool password_fits(const char *password, const char *hash);

#endif
