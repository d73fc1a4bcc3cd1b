/* pin.c - see pin.h. */
#include "uplink/pin.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

bool pin_key_sha256(const char *pem, uint8_t ret[32])
{
    gnutls_x509_crt_t cert = NULL;
    gnutls_pubkey_t key = NULL;
    const gnutls_datum_t in = {(unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem)};
    gnutls_datum_t der = {0};
    bool good = gnutls_x509_crt_init(&cert) == 0 && gnutls_pubkey_init(&key) == 0 &&
                gnutls_x509_crt_import(cert, &in, GNUTLS_X509_FMT_PEM) == 0 &&
                gnutls_pubkey_import_x509(key, cert, 0) == 0 &&
                gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) == 0 &&
                gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, ret) == 0;
    gnutls_free(der.data);
    gnutls_pubkey_deinit(key);
    gnutls_x509_crt_deinit(cert);
    return good;
}

enum status pin_write(const uint8_t key_sha256[32], char *ret, struct error *err)
{
    gnutls_datum_t text = {0};
    const gnutls_datum_t in = {(unsigned char *)(uintptr_t)key_sha256, 32};
    if (gnutls_base64_encode2(&in, &text) != 0)
        return error_set(err, ST_NOMEM, "no memory for a pin");
    snprintf(ret, PIN_CHARS_MAX + 1, "sha256//%s", (const char *)text.data);
    gnutls_free(text.data);
    return ST_OK;
}
