/* tls.c - the certificate lives twenty years: it is pinned, and an expiry that nobody watches would
 * stop every camera of a site on one day. */
#include "server/tls.h"

#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/file.h"
#include "uplink/pin.h"

#define LIFE_S ((time_t)20 * 365 * 86400)
#define PEM_BYTES_MAX ((size_t)1 << 20)

static enum status fail(struct error *err, const char *what, int code)
{
    return error_set(err, ST_INTERNAL, "cannot %s: %s", what, gnutls_strerror(code));
}

static void add_address(gnutls_x509_crt_t cert, const struct sockaddr *a)
{
    if (a && a->sa_family == AF_INET)
        gnutls_x509_crt_set_subject_alt_name(
            cert, GNUTLS_SAN_IPADDRESS, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4,
            GNUTLS_FSAN_APPEND);
    else if (a && a->sa_family == AF_INET6)
        gnutls_x509_crt_set_subject_alt_name(
            cert, GNUTLS_SAN_IPADDRESS, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
            16, GNUTLS_FSAN_APPEND);
}

/* Host name, localhost and every address of this machine. */
static void add_names(gnutls_x509_crt_t cert, const char *host)
{
    struct ifaddrs *list;
    gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, host, (unsigned)strlen(host),
                                         GNUTLS_FSAN_APPEND);
    if (getifaddrs(&list) != 0)
        return;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next)
        add_address(cert, i->ifa_addr);
    freeifaddrs(list);
}

static int fill(gnutls_x509_crt_t cert, gnutls_x509_privkey_t key, time_t now)
{
    char host[65] = "attune";
    unsigned char serial[16];
    gethostname(host, sizeof host - 1);
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
    serial[0] &= 0x7f;
    if (code == 0)
        code = gnutls_x509_crt_set_version(cert, 3);
    if (code == 0)
        code = gnutls_x509_crt_set_serial(cert, serial, sizeof serial);
    if (code == 0)
        code = gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, host,
                                             (unsigned)strlen(host));
    if (code == 0)
        code = gnutls_x509_crt_set_activation_time(cert, now - 86400);
    if (code == 0)
        code = gnutls_x509_crt_set_expiration_time(cert, now + LIFE_S);
    if (code == 0)
        code = gnutls_x509_crt_set_basic_constraints(cert, 1, 0);
    if (code == 0)
        code = gnutls_x509_crt_set_key(cert, key);
    add_names(cert, host);
    return code ? code : gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0);
}

static enum status write_pem(const char *path, const gnutls_datum_t *pem, struct error *err)
{
    return file_write(path, pem->data, pem->size, err);
}

static enum status make_key(const char *path, gnutls_x509_privkey_t key, struct error *err)
{
    gnutls_datum_t pem = {0};
    int code = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (code == 0)
        code = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
    enum status st = code == 0 ? write_pem(path, &pem, err) : fail(err, "make a key", code);
    gnutls_free(pem.data);
    return st;
}

static enum status read_key(const char *path, gnutls_x509_privkey_t key, struct error *err)
{
    struct buf pem;
    buf_init(&pem);
    enum status st = file_read(path, PEM_BYTES_MAX, &pem, err);
    const gnutls_datum_t in = {pem.data, (unsigned)pem.size_bytes};
    if (st == ST_OK && gnutls_x509_privkey_import2(key, &in, GNUTLS_X509_FMT_PEM, NULL, 0) != 0)
        st = error_set(err, ST_FORMAT, "%s is no private key in PEM without a password", path);
    if (pem.data)
        gnutls_memset(pem.data, 0, pem.size_bytes);
    buf_clear(&pem);
    return st;
}

static enum status make_certificate(const char *path, gnutls_x509_privkey_t key, time_t now,
                                    struct error *err)
{
    gnutls_x509_crt_t cert = NULL;
    gnutls_datum_t pem = {0};
    int code = gnutls_x509_crt_init(&cert);
    if (code == 0)
        code = fill(cert, key, now);
    if (code == 0)
        code = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &pem);
    enum status st = code == 0 ? write_pem(path, &pem, err) : fail(err, "make a certificate", code);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(cert);
    return st;
}

/* A key that is there stays: cameras know it. */
static enum status make(const char *cert_path, const char *key_path, time_t now, struct error *err)
{
    gnutls_x509_privkey_t key = NULL;
    int code = gnutls_x509_privkey_init(&key);
    if (code != 0)
        return fail(err, "make a certificate", code);
    enum status st =
        access(key_path, F_OK) == 0 ? read_key(key_path, key, err) : make_key(key_path, key, err);
    if (st == ST_OK)
        st = make_certificate(cert_path, key, now, err);
    gnutls_x509_privkey_deinit(key);
    return st;
}

static enum status fingerprint(const struct buf *pem, char ret_hex[65], struct error *err)
{
    gnutls_x509_crt_t cert;
    gnutls_datum_t in = {pem->data, (unsigned)strlen((const char *)pem->data)}, der = {0};
    int code = gnutls_x509_crt_init(&cert);
    if (code != 0)
        return fail(err, "read the certificate", code);
    code = gnutls_x509_crt_import(cert, &in, GNUTLS_X509_FMT_PEM);
    if (code == 0)
        code = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_DER, &der);
    gnutls_x509_crt_deinit(cert);
    if (code != 0)
        return fail(err, "read the certificate", code);
    file_sha256_hex(der.data, der.size, ret_hex);
    gnutls_free(der.data);
    return ST_OK;
}

static enum status check_pair(const struct buf *cert_pem, const struct buf *key_pem,
                              const char *folder, struct error *err)
{
    gnutls_certificate_credentials_t both;
    const gnutls_datum_t cert = {cert_pem->data, (unsigned)cert_pem->size_bytes - 1},
                         key = {key_pem->data, (unsigned)key_pem->size_bytes - 1};
    int code = gnutls_certificate_allocate_credentials(&both);
    if (code != 0)
        return fail(err, "read the certificate", code);
    code = gnutls_certificate_set_x509_key_mem(both, &cert, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(both);
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return error_set(err, ST_CONFLICT,
                         "%s/cert.pem is of another key than key.pem beside it; put both there, or "
                         "remove cert.pem to have one made for this key",
                         folder);
    return code >= 0 ? ST_OK
                     : error_set(err, ST_FORMAT, "cert.pem or key.pem in %s cannot be used: %s",
                                 folder, gnutls_strerror(code));
}

static enum status check_mode(const char *key_path, struct error *err)
{
    struct stat at;
    if (stat(key_path, &at) == 0 && (at.st_mode & 077))
        return error_set(err, ST_DENIED, "others can read the private key %s: chmod 600 it",
                         key_path);
    return ST_OK;
}

enum status tls_load(const char *dir, uint64_t now_us, struct buf *cert_pem, struct buf *key_pem,
                     char ret_hex[65], uint8_t ret_key_sha256[32], struct error *err)
{
    char folder[PATH_MAX - 16], cert_path[PATH_MAX], key_path[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/tls", dir);
    snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    enum status st = file_mkdirs(folder, err);
    /* The certificate is written last: where it is there, the key is too. */
    if (st == ST_OK && access(cert_path, F_OK) != 0)
        st = make(cert_path, key_path, (time_t)(now_us / 1000000), err);
    if (st == ST_OK)
        st = file_read(cert_path, PEM_BYTES_MAX, cert_pem, err);
    if (st == ST_OK)
        st = check_mode(key_path, err);
    if (st == ST_OK)
        st = file_read(key_path, PEM_BYTES_MAX, key_pem, err);
    if (st != ST_OK)
        return st;
    buf_put_u8(cert_pem, 0);
    buf_put_u8(key_pem, 0);
    if (cert_pem->failed || key_pem->failed)
        return error_set(err, ST_NOMEM, "no memory for the certificate");
    if (!pin_key_sha256((const char *)cert_pem->data, ret_key_sha256))
        return error_set(err, ST_FORMAT, "%s is no certificate in PEM", cert_path);
    st = check_pair(cert_pem, key_pem, folder, err);
    return st == ST_OK ? fingerprint(cert_pem, ret_hex, err) : st;
}
