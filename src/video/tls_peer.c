#include "video/tls_peer.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <libavutil/error.h>
#include <sys/socket.h>

#define WAIT_MS 50 /* between two looks at `over` */

void tls_peer_init(struct tls_peer *p)
{
    *p = (struct tls_peer){.fd = -1};
}

void tls_peer_close(struct tls_peer *p)
{
    if (p->session)
        gnutls_deinit(p->session);
    if (p->trust)
        gnutls_certificate_free_credentials(p->trust);
    if (p->fd >= 0)
        close(p->fd);
    tls_peer_init(p);
}

static bool is_over(const AVIOInterruptCB *over)
{
    return over->callback && over->callback(over->opaque);
}

/* 0, or libav's code. */
static int wait_for(int fd, short events, const AVIOInterruptCB *over)
{
    struct pollfd p = {.fd = fd, .events = events};
    while (!is_over(over))
        if (poll(&p, 1, WAIT_MS) > 0)
            return 0;
    return AVERROR_EXIT;
}

/* ---- the socket ---- */

static int connect_with(const struct addrinfo *a, const AVIOInterruptCB *over, int *ret_fd)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return AVERROR(errno);
    int code = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (code == EINPROGRESS) {
        socklen_t n = sizeof code;
        int rc = wait_for(fd, POLLOUT, over);
        if (rc != 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n) != 0) {
            close(fd);
            return rc ? rc : AVERROR(errno);
        }
    }
    if (code != 0)
        close(fd);
    else
        *ret_fd = fd;
    return AVERROR(code);
}

/* The first of the host's addresses that answers. */
static int connect_any(const char *host, int port, const AVIOInterruptCB *over, int *ret_fd)
{
    struct addrinfo *all = NULL;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &all) != 0)
        return AVERROR(EIO); /* as libavformat says of an unknown host */
    int rc = AVERROR(EIO);
    for (const struct addrinfo *a = all; a && rc != 0 && rc != AVERROR_EXIT; a = a->ai_next)
        rc = connect_with(a, over, ret_fd);
    freeaddrinfo(all);
    return rc;
}

/* ---- trust ---- */

static enum status load_trust(struct tls_peer *p, const char *ca, struct error *err)
{
    if (gnutls_certificate_allocate_credentials(&p->trust) != 0)
        return error_set(err, ST_NOMEM, "no memory for TLS");
    if (strcmp(ca, TLS_PEER_SYSTEM) == 0) {
        if (gnutls_certificate_set_x509_system_trust(p->trust) > 0)
            return ST_OK;
        return error_set(err, ST_NOT_FOUND,
                         "tls_ca: this machine trusts no certificates; install ca-certificates, or "
                         "name a file");
    }
    int count = gnutls_certificate_set_x509_trust_file(p->trust, ca, GNUTLS_X509_FMT_PEM);
    if (count == GNUTLS_E_FILE_ERROR)
        return error_set(err, ST_NOT_FOUND,
                         "tls_ca: cannot read %s; name a file of certificates in PEM, or 'system'",
                         ca);
    if (count <= 0)
        return error_set(err, ST_FORMAT, "tls_ca: %s holds no certificate in PEM", ca);
    return ST_OK;
}

/* Whether the camera's very certificate is among those of the file. */
static bool is_named(const struct tls_peer *p)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(p->session, &count);
    gnutls_x509_trust_list_t list;
    gnutls_x509_trust_list_iter_t at = NULL;
    gnutls_x509_crt_t cert;
    bool found = false;
    if (!chain || count == 0)
        return false;
    gnutls_certificate_get_trust_list(p->trust, &list);
    while (!found && gnutls_x509_trust_list_iter_get_ca(list, &at, &cert) == 0) {
        gnutls_datum_t der = {0};
        if (gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_DER, &der) == 0)
            found = der.size == chain[0].size && memcmp(der.data, chain[0].data, der.size) == 0;
        gnutls_free(der.data);
        gnutls_x509_crt_deinit(cert);
    }
    if (at)
        gnutls_x509_trust_list_iter_deinit(at);
    return found;
}

static enum status refuse(unsigned why, const char *host, struct error *err)
{
    gnutls_datum_t text = {0};
    if (why & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
        return error_set(err, ST_DENIED,
                         "its certificate is not valid at this time: renew it, and see that the "
                         "clocks of both sides are right");
    if (why & GNUTLS_CERT_SIGNER_NOT_FOUND)
        return error_set(
            err, ST_DENIED,
            "nobody whom tls_ca names has signed its certificate: somebody else may be "
            "answering; if not, put the camera's certificate, or its maker's, into the "
            "file of tls_ca");
    if (why & GNUTLS_CERT_UNEXPECTED_OWNER)
        return error_set(err, ST_DENIED,
                         "its certificate is not that of '%s': write the name that the certificate "
                         "has into the URL, or the camera's very certificate into the file of "
                         "tls_ca",
                         host);
    gnutls_certificate_verification_status_print(why, GNUTLS_CRT_X509, &text, 0);
    error_set(err, ST_DENIED, "its certificate is refused: %.200s",
              text.data ? (const char *)text.data : "not trusted");
    gnutls_free(text.data);
    return ST_DENIED;
}

static enum status check_certificate(const struct tls_peer *p, const char *host, const char *ca,
                                     struct error *err)
{
    const unsigned name_only = GNUTLS_CERT_INVALID | GNUTLS_CERT_UNEXPECTED_OWNER;
    unsigned why = 0;
    int rc = gnutls_certificate_verify_peers3(p->session, host, &why);
    if (rc != 0)
        return error_set(err, ST_DENIED, "its certificate cannot be checked: %s",
                         gnutls_strerror(rc));
    bool own = strcmp(ca, TLS_PEER_SYSTEM) != 0 && (why & ~name_only) == 0 && is_named(p);
    return why == 0 || own ? ST_OK : refuse(why, host, err);
}

/* ---- the handshake ---- */

static bool is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static enum status start_session(struct tls_peer *p, const char *host, struct error *err)
{
    int rc = gnutls_init(&p->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (rc == 0)
        rc = gnutls_set_default_priority(p->session);
    if (rc == 0)
        rc = gnutls_credentials_set(p->session, GNUTLS_CRD_CERTIFICATE, p->trust);
    if (rc == 0 && !is_address(host))
        rc = gnutls_server_name_set(p->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (rc != 0)
        return error_set(err, ST_INTERNAL, "cannot start TLS: %s", gnutls_strerror(rc));
    gnutls_transport_set_int(p->session, p->fd);
    return ST_OK;
}

/* 0, GnuTLS's code, or AVERROR_EXIT. */
static int shake_hands(struct tls_peer *p, const AVIOInterruptCB *over)
{
    int rc = gnutls_handshake(p->session);
    while (rc < 0 && !gnutls_error_is_fatal(rc)) {
        short events = gnutls_record_get_direction(p->session) ? POLLOUT : POLLIN;
        if (wait_for(p->fd, events, over) != 0)
            return AVERROR_EXIT;
        rc = gnutls_handshake(p->session);
    }
    return rc;
}

enum status tls_peer_open(struct tls_peer *p, const char *host, int port, const char *ca,
                          const AVIOInterruptCB *over, int *ret_code, struct error *err)
{
    enum status st = load_trust(p, ca, err);
    *ret_code = 0;
    if (st != ST_OK)
        return st;
    *ret_code = connect_any(host, port, over, &p->fd);
    if (*ret_code != 0)
        return ST_NETWORK;
    st = start_session(p, host, err);
    if (st != ST_OK)
        return st;
    int rc = shake_hands(p, over);
    if (rc == AVERROR_EXIT) {
        *ret_code = rc;
        return ST_NETWORK;
    }
    if (rc != 0)
        return error_set(err, ST_NETWORK,
                         "no TLS there (%s); check the port, which is 322 for rtsps and 443 for "
                         "https where the URL has none",
                         gnutls_strerror(rc));
    return check_certificate(p, host, ca, err);
}
