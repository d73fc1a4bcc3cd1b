/* secret.c - gnutls for randomness and HMAC, libcrypt (of the C library's family) for passwords. */
#include "base/secret.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "attune_"
#define PREFIX_CHARS 7
#define DIGITS "0123456789abcdef"

enum status secret_random(void *to, size_t n, struct error *err)
{
    int code = gnutls_rnd(GNUTLS_RND_KEY, to, n);
    return code == 0 ? ST_OK
                     : error_set(err, ST_INTERNAL, "the system gives no random bytes: %s",
                                 gnutls_strerror(code));
}

static void write_token(const uint8_t bytes[32], char *ret)
{
    memcpy(ret, PREFIX, PREFIX_CHARS);
    for (int i = 0; i < 32; i++) {
        ret[PREFIX_CHARS + 2 * i] = DIGITS[bytes[i] >> 4];
        ret[PREFIX_CHARS + 2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    ret[SECRET_TOKEN_CHARS] = '\0';
}

enum status secret_token(char *ret, struct error *err)
{
    uint8_t bytes[32];
    enum status st = secret_random(bytes, sizeof bytes, err);
    if (st == ST_OK)
        write_token(bytes, ret);
    gnutls_memset(bytes, 0, sizeof bytes);
    return st;
}

bool secret_token_valid(const char *text)
{
    return strlen(text) == SECRET_TOKEN_CHARS && memcmp(text, PREFIX, PREFIX_CHARS) == 0 &&
           strspn(text + PREFIX_CHARS, DIGITS) == SECRET_TOKEN_CHARS - PREFIX_CHARS;
}

bool secret_equal(const char *a, const char *b)
{
    size_t n = strlen(a);
    return strlen(b) == n && gnutls_memcmp(a, b, n) == 0;
}

void secret_token_of(const unsigned char key[32], const char *text, char *ret)
{
    uint8_t mac[32] = {0};
    gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, 32, text, strlen(text), mac);
    write_token(mac, ret);
}

enum status password_hash(const char *password, char *ret, struct error *err)
{
    size_t n = strlen(password);
    uint8_t random[32];
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    if (n < PASSWORD_CHARS_MIN || n > PASSWORD_CHARS_MAX)
        return error_set(err, ST_INVALID, "a password has %d to %d characters", PASSWORD_CHARS_MIN,
                         PASSWORD_CHARS_MAX);
    enum status st = secret_random(random, sizeof random, err);
    if (st != ST_OK)
        return st;
    struct crypt_data *work = calloc(1, sizeof *work);
    if (!work)
        return error_set(err, ST_NOMEM, "no memory for a password");
    const char *hash = NULL;
    if (crypt_gensalt_rn("$y$", 0, (const char *)random, sizeof random, salt, sizeof salt))
        hash = crypt_r(password, salt, work);
    if (!hash || hash[0] == '*' || strlen(hash) > PASSWORD_HASH_CHARS_MAX)
        st = error_set(err, ST_INTERNAL, "the system's libcrypt does not know yescrypt");
    else
        snprintf(ret, PASSWORD_HASH_CHARS_MAX + 1, "%s", hash);
    gnutls_memset(work, 0, sizeof *work);
    free(work);
    return st;
}

bool password_fits(const char *password, const char *hash)
{
    struct crypt_data *work = calloc(1, sizeof *work);
    const char *again = work ? crypt_r(password, hash, work) : NULL;
    bool fits = again && again[0] != '*' && secret_equal(again, hash);
    if (work)
        gnutls_memset(work, 0, sizeof *work);
    free(work);
    return fits;
}
