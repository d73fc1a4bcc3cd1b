#include "video/relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libavformat/avformat.h>
#include <libavutil/error.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"

#define GOODBYE_US 200000
#define REACH_US 10000000
#define RTSPS_PORT 322
#define HTTPS_PORT 443
#define USER_BYTES 1024
#define NAME_BYTES 256

/* Bytes on their way. */
struct way {
    uint8_t data[RELAY_BYTES];
    size_t from, to;
    bool ended; /* nothing more comes in */
};

struct relay {
    struct tls_peer peer;
    int listen_fd, fd, wake_fd, port;
    char name[NAME_BYTES], host[RELAY_HOST_BYTES]; /* the camera's, and as HTTP has it */
    int camera_port;
    char *ca;
    pthread_t thread;
    bool running;
    uint64_t until_us;   /* 0: not asked to end */
    uint64_t give_up_us; /* reaching the camera once more */
    struct way down, up;
};

/* ---- URLs ---- */

void relay_url(const struct relay *r, const char *url, char ret[RELAY_URL_BYTES])
{
    char scheme[16], user[USER_BYTES], host[NAME_BYTES];
    int port;
    size_t path = strcspn(url + 8, "/?#");
    av_url_split(scheme, sizeof scheme, user, sizeof user, host, sizeof host, &port, NULL, 0, url);
    snprintf(ret, RELAY_URL_BYTES, "%.4s://%s%s127.0.0.1:%d%s", scheme, user, user[0] ? "@" : "",
             r->port, url + 8 + path);
    memset(user, 0, sizeof user);
}

const char *relay_host(const struct relay *r)
{
    return r->host;
}

/* ---- carrying ---- */

static bool is_empty(const struct way *w)
{
    return w->from == w->to;
}

static bool is_nothing(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* True: something moved. */
static bool from_camera(struct relay *r)
{
    struct way *w = &r->down;
    if (w->ended || !is_empty(w))
        return false;
    ssize_t n = gnutls_record_recv(r->peer.session, w->data, sizeof w->data);
    if (n < 0 && !gnutls_error_is_fatal((int)n))
        return false;
    w->ended = n <= 0;
    w->from = 0;
    w->to = n > 0 ? (size_t)n : 0;
    return true;
}

static bool to_camera(struct relay *r)
{
    struct way *w = &r->up;
    if (is_empty(w))
        return false;
    ssize_t n = gnutls_record_send(r->peer.session, w->data + w->from, w->to - w->from);
    if (n < 0 && !gnutls_error_is_fatal((int)n))
        return false;
    r->down.ended |= n < 0;
    w->from = n < 0 ? w->to : w->from + (size_t)n;
    return true;
}

static bool from_libav(struct relay *r)
{
    struct way *w = &r->up;
    if (w->ended || !is_empty(w))
        return false;
    ssize_t n = recv(r->fd, w->data, sizeof w->data, 0);
    if (is_nothing(n))
        return false;
    w->ended = n <= 0;
    w->from = 0;
    w->to = n > 0 ? (size_t)n : 0;
    return true;
}

static bool to_libav(struct relay *r)
{
    struct way *w = &r->down;
    if (is_empty(w))
        return false;
    ssize_t n = send(r->fd, w->data + w->from, w->to - w->from, MSG_NOSIGNAL);
    if (is_nothing(n))
        return false;
    r->up.ended |= n < 0;
    w->from = n < 0 ? w->to : w->from + (size_t)n;
    return true;
}

/* Either side is done, and the other has what came before. */
static bool is_done(const struct relay *r)
{
    return (r->up.ended && is_empty(&r->up)) || (r->down.ended && is_empty(&r->down));
}

/* Until something can move, or the owner wants an end. False: its patience is over. */
static bool wait_a_moment(struct relay *r)
{
    struct pollfd p[3] = {
        {.fd = r->peer.fd,
         .events = (short)((is_empty(&r->down) ? POLLIN : 0) | (is_empty(&r->up) ? 0 : POLLOUT))},
        {.fd = r->fd,
         .events = (short)((is_empty(&r->up) ? POLLIN : 0) | (is_empty(&r->down) ? 0 : POLLOUT))},
        {.fd = r->until_us ? -1 : r->wake_fd, .events = POLLIN}};
    uint64_t now_us = clock_mono_us();
    if (r->until_us && now_us >= r->until_us)
        return false;
    poll(p, 3, r->until_us ? (int)((r->until_us - now_us) / 1000) + 1 : -1);
    if (p[2].revents)
        r->until_us = clock_mono_us() + GOODBYE_US;
    return true;
}

/* The next connection; false: the owner wants an end before. */
static bool take_connection(struct relay *r)
{
    struct pollfd p[2] = {{.fd = r->listen_fd, .events = POLLIN},
                          {.fd = r->wake_fd, .events = POLLIN}};
    while (r->fd < 0) {
        poll(p, 2, -1);
        if (p[1].revents)
            return false;
        r->fd = accept4(r->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    return true;
}

static void carry_one(struct relay *r)
{
    while (!is_done(r)) {
        bool moved = from_camera(r);
        moved = to_libav(r) || moved;
        moved = from_libav(r) || moved;
        moved = to_camera(r) || moved;
        if (!moved && !is_done(r) && !wait_a_moment(r))
            break;
    }
    gnutls_bye(r->peer.session, GNUTLS_SHUT_WR);
}

/* libavformat sees an end. */
static void hang_up(struct relay *r)
{
    tls_peer_close(&r->peer);
    close(r->fd);
    r->fd = -1;
    r->up = r->down = (struct way){.ended = false};
}

static int wants_an_end(void *context)
{
    const struct relay *r = context;
    struct pollfd p = {.fd = r->wake_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0 || clock_mono_us() >= r->give_up_us;
}

static enum status reach(struct relay *r, const AVIOInterruptCB *over, int *ret_code,
                         struct error *err)
{
    return tls_peer_open(&r->peer, r->name, r->camera_port, r->ca, over, ret_code, err);
}

/* HTTP connects anew with the password that it was asked for. */
static void *carry(void *context)
{
    struct relay *r = context;
    const AVIOInterruptCB over = {.callback = wants_an_end, .opaque = r};
    struct error err;
    int code;
    (void)pthread_setname_np(pthread_self(), "attune-relay");
    for (int i = 0; i < RELAY_CONNECTIONS_MAX && take_connection(r); i++) {
        r->give_up_us = clock_mono_us() + REACH_US;
        if (i == 0 || reach(r, &over, &code, &err) == ST_OK)
            carry_one(r);
        hang_up(r);
    }
    close(r->listen_fd);
    r->listen_fd = -1;
    return NULL;
}

/* ---- opening ---- */

static enum status listen_here(struct relay *r, struct error *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    r->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (r->listen_fd < 0 || r->wake_fd < 0 ||
        bind(r->listen_fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(r->listen_fd, 1) != 0 ||
        getsockname(r->listen_fd, (struct sockaddr *)&a, &n) != 0)
        return error_set(err, ST_NETWORK, "no port on the loopback address for TLS: %s",
                         strerror(errno));
    r->port = ntohs(a.sin_port);
    return ST_OK;
}

/* Who is to be reached. */
static enum status name_camera(struct relay *r, const char *url, const char *ca, struct error *err)
{
    int port;
    av_url_split(NULL, 0, NULL, 0, r->name, sizeof r->name, &port, NULL, 0, url);
    bool six = strchr(r->name, ':');
    int n = snprintf(r->host, sizeof r->host, "%s%s%s", six ? "[" : "", r->name, six ? "]" : "");
    if (port > 0)
        snprintf(r->host + n, sizeof r->host - (size_t)n, ":%d", port);
    int usual = strncmp(url, "rtsps", 5) == 0 ? RTSPS_PORT : HTTPS_PORT;
    r->camera_port = port > 0 ? port : usual;
    r->ca = strdup(ca);
    return r->ca ? ST_OK : error_set(err, ST_NOMEM, "no memory for TLS");
}

enum status relay_open(const char *url, const char *ca, const AVIOInterruptCB *over,
                       struct relay **ret, int *ret_code, struct error *err)
{
    struct relay *r = calloc(1, sizeof *r);
    *ret_code = 0;
    if (!r)
        return error_set(err, ST_NOMEM, "no memory for TLS");
    r->listen_fd = r->fd = r->wake_fd = -1;
    tls_peer_init(&r->peer);
    enum status st = name_camera(r, url, ca, err);
    if (st == ST_OK)
        st = reach(r, over, ret_code, err);
    if (st == ST_OK)
        st = listen_here(r, err);
    if (st == ST_OK && pthread_create(&r->thread, NULL, carry, r) != 0)
        st = error_set(err, ST_NOMEM, "cannot start a thread");
    else
        r->running = st == ST_OK;
    if (st != ST_OK) {
        relay_close(&r);
        return st;
    }
    *ret = r;
    return ST_OK;
}

void relay_close(struct relay **r)
{
    if (!r || !*r)
        return;
    struct relay *o = *r;
    if (o->running) {
        const uint64_t one = 1;
        (void)!write(o->wake_fd, &one, sizeof one);
        pthread_join(o->thread, NULL);
    }
    tls_peer_close(&o->peer);
    const int fds[] = {o->listen_fd, o->fd, o->wake_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(o->ca);
    free(o);
    *r = NULL;
}
