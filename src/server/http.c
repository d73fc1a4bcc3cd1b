/* http.c - between microhttpd and the handlers: collects a bounded body, routes, answers. The body
 * is refused by its Content-Length before it is read where that is too large, and cut off while
 * reading where the header was missing. Whatever a connection is at (its head, a body, the answer)
 * has a deadline; only handlers and streams may take their time. */
#include "server/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "server/access.h"
#include "server/deadlines.h"
#include "server/framing.h"
#include "server/gate.h"

#define IDLE_TIMEOUT_S 90u
#define SEND_S 900.0            /* that a client may take to read an answer */
#define BODY_BYTES_PER_S 1000.0 /* that uploads of cameras have at least, beyond body_s */
#define THREAD_STACK_BYTES ((size_t)4 << 20)

struct http {
    struct MHD_Daemon *daemon;
    struct server *server;
    struct door door;
};

/* One request under way: microhttpd's per-connection pointer. */
struct exchange {
    struct request request;
    struct reply reply;
    const struct route *route; /* NULL: reply is an error already */
    size_t body_max, refused_bytes;
    bool too_large;
    bool closes;               /* where the next request would begin is in doubt */
    struct deadline *deadline; /* the connection's */
};

/* ---- replies ---- */

void reply_header(struct reply *out, const char *name, const char *format, ...)
{
    if (out->header_count >= (int)(sizeof out->headers / sizeof out->headers[0]))
        return;
    struct reply_header *h = &out->headers[out->header_count++];
    h->name = name;
    va_list args;
    va_start(args, format);
    vsnprintf(h->value, sizeof h->value, format, args);
    va_end(args);
}

void reply_json(struct reply *out, unsigned status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    out->body.size_bytes = 0;
    if (text)
        buf_put(&out->body, text, strlen(text));
    out->status = text && !out->body.failed ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
    out->type = "application/json";
    free(text);
    json_decref(value);
}

void reply_error(struct reply *out, unsigned status, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* json_string refuses what is not UTF-8. */
    json_t *sentence = json_string(text);
    reply_json(out, status,
               json_pack("{s:o}", "error", sentence ? sentence : json_string("bad request")));
}

void reply_status(struct reply *out, enum status st, const struct error *err)
{
    static const unsigned map[ST_COUNT] = {
        [ST_INVALID] = 400, [ST_FORMAT] = 400,    [ST_UNSUPPORTED] = 400, [ST_LIMIT] = 507,
        [ST_AGAIN] = 429,   [ST_NOT_FOUND] = 404, [ST_CONFLICT] = 409,    [ST_DENIED] = 403};
    if (st == ST_AGAIN)
        reply_header(out, "Retry-After", "10");
    reply_error(out, map[st] ? map[st] : 500, "%s",
                err->message[0] ? err->message : status_text(st));
}

bool http_parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 19 || text[n])
        return false;
    uint64_t v = strtoull(text, NULL, 10);
    if (v > max)
        return false;
    *ret = v;
    return true;
}

const char *request_query(struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool request_number(struct request *r, const char *name, uint64_t standard, uint64_t min,
                    uint64_t max, uint64_t *ret, struct reply *out)
{
    const char *text = request_query(r, name);
    uint64_t v = standard;
    if (text && (!http_parse_number(text, max, &v) || v < min)) {
        reply_error(out, 400, "%s is a whole number from %llu to %llu", name,
                    (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret = v;
    return true;
}

bool http_wait_begin(struct request *r, struct reply *out)
{
    struct server *s = r->server;
    if (atomic_fetch_add(&s->counters.waiters, 1) < s->set.connections_max * 3 / 4)
        return true;
    http_wait_end(s);
    reply_header(out, "Retry-After", "10");
    reply_error(out, 503, "too many connections wait already; ask again later");
    return false;
}

void http_wait_end(struct server *s)
{
    atomic_fetch_sub(&s->counters.waiters, 1);
}

bool http_wait_holds(const struct request *r)
{
    return access_holds(r->server->access, &r->caller);
}

void http_address(const struct request *r, char *ret)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    snprintf(ret, HTTP_ADDRESS_CHARS_MAX + 1, "local");
    if (a && a->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, ret,
                  HTTP_ADDRESS_CHARS_MAX);
    } else if (a && a->sa_family == AF_INET6) {
        struct in6_addr network = ((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
        memset(network.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &network, ret, HTTP_ADDRESS_CHARS_MAX);
    }
}

/* ---- microhttpd ---- */

static void exchange_close(struct exchange *x)
{
    if (!x)
        return;
    buf_clear(&x->request.body);
    buf_clear(&x->reply.body);
    free(x);
}

/* body is handed to microhttpd, which frees it with free(), as buf_clear would. */
static struct MHD_Response *make_response(struct reply *out)
{
    if (out->response)
        return out->response;
    if (out->fixed)
        return MHD_create_response_from_buffer(out->fixed_bytes, (void *)(uintptr_t)out->fixed,
                                               MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *r = MHD_create_response_from_buffer(out->body.size_bytes, out->body.data,
                                                             MHD_RESPMEM_MUST_FREE);
    if (r)
        buf_init(&out->body);
    return r;
}

static bool has_header(const struct reply *out, const char *name)
{
    for (int i = 0; i < out->header_count; i++)
        if (strcmp(out->headers[i].name, name) == 0)
            return true;
    return false;
}

static void add_headers(struct MHD_Response *r, const struct request *request,
                        const struct reply *out)
{
    if (out->type)
        MHD_add_response_header(r, "Content-Type", out->type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "X-Frame-Options", "DENY");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    if (request->door->tls)
        MHD_add_response_header(r, "Strict-Transport-Security", "max-age=31536000");
    if (!has_header(out, "Content-Security-Policy"))
        MHD_add_response_header(r, "Content-Security-Policy",
                                "default-src 'none'; frame-ancestors 'none'");
    if (!has_header(out, "Cache-Control"))
        MHD_add_response_header(r, "Cache-Control", "no-store");
    for (int i = 0; i < out->header_count; i++)
        MHD_add_response_header(r, out->headers[i].name, out->headers[i].value);
}

static enum MHD_Result send_reply(struct exchange *x)
{
    struct reply *out = &x->reply;
    bool stream = out->response != NULL;
    struct MHD_Response *r = make_response(out);
    if (!r)
        return MHD_NO;
    out->response = NULL;
    deadline_set(x->deadline, stream ? 0 : SEND_S);
    add_headers(r, &x->request, out);
    if (x->closes)
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(x->request.connection, out->status, r);
    MHD_destroy_response(r);
    return result;
}

static bool length_too_large(struct MHD_Connection *c, size_t max)
{
    const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    uint64_t n;
    return text && (!http_parse_number(text, UINT64_MAX / 2, &n) || n > max);
}

static void fail_too_large(struct exchange *x)
{
    reply_error(&x->reply, 413, "the body is larger than %zu bytes", x->body_max);
}

static struct deadline *deadline_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* What answers; NULL: the reply is filled. */
static const struct route *admit(struct exchange *x, const char *path, const char *method,
                                 const char *version)
{
    if (!framing_is_plain(x->request.connection, version)) {
        x->closes = true;
        reply_error(&x->reply, 400, "the request's head is not clear about where its body ends");
        return NULL;
    }
    if (!gate_admit(&x->request, &x->reply))
        return NULL;
    const struct route *route = http_route(method, path, &x->request, &x->reply);
    return route && gate_pass(&x->request, route, &x->reply) ? route : NULL;
}

/* The head is complete. */
static enum MHD_Result begin(struct http *h, struct MHD_Connection *c, const char *path,
                             const char *method, const char *version, void **state)
{
    if (!server_await_whole(h->server))
        return MHD_NO;
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return MHD_NO;
    *state = x;
    x->request.server = h->server;
    x->request.connection = c;
    x->request.door = &h->door;
    x->deadline = deadline_of(c);
    x->route = admit(x, path, method, version);
    x->body_max = x->route ? http_route_body_max(h->server, x->route) : HTTP_JSON_BYTES_MAX;
    bool uploads = x->route && x->request.caller.role == ROLE_CAMERA;
    deadline_set(x->deadline,
                 h->server->set.body_s + (uploads ? (double)x->body_max / BODY_BYTES_PER_S : 0));
    if (!x->closes && !length_too_large(c, x->body_max))
        return MHD_YES;
    if (x->route)
        fail_too_large(x);
    return send_reply(x);
}

/* False: enough of a body that nobody wants. */
static bool take_body(struct exchange *x, const char *data, size_t n)
{
    struct buf *body = &x->request.body;
    if (x->route && !x->too_large && n <= x->body_max - body->size_bytes) {
        buf_put(body, data, n);
        return true;
    }
    x->too_large = true;
    x->refused_bytes += n;
    return x->refused_bytes <= HTTP_JSON_BYTES_MAX;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **state)
{
    struct exchange *x = *state;
    if (!x)
        return begin(context, c, path, method, version, state);
    if (*data_bytes > 0) {
        bool wanted = take_body(x, data, *data_bytes);
        *data_bytes = 0;
        return wanted ? MHD_YES : MHD_NO;
    }
    deadline_set(x->deadline, 0);
    if (x->route && x->too_large)
        fail_too_large(x);
    else if (x->request.body.failed)
        reply_error(&x->reply, 500, "no memory for the body");
    else if (x->route)
        x->route->handler(&x->request, &x->reply);
    return send_reply(x);
}

static void on_completed(void *context, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode code)
{
    const struct http *h = context;
    (void)code;
    deadline_set(deadline_of(c), IDLE_TIMEOUT_S + h->server->set.head_s);
    exchange_close(*state);
    *state = NULL;
}

/* What is at the other end of the control socket goes to the log. */
static void note_peer(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
        log_write(LOG_DEBUG, "control", "pid=%d uid=%d gid=%d", (int)peer.pid, (int)peer.uid,
                  (int)peer.gid);
}

static void on_connection(void *context, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    const struct http *h = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        deadline_remove((struct deadline **)socket_context);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        *socket_context =
            deadline_add(h->server->deadlines, info->connect_fd, h->server->set.head_s);
    if (info && h->door.kind == DOOR_SOCKET)
        note_peer(info->connect_fd);
}

/* As microhttpd would, but a NUL stays as it is written: it would end the path early. */
static size_t on_unescape(void *context, struct MHD_Connection *c, char *text)
{
    (void)context;
    (void)c;
    char *to = text;
    for (const char *from = text; *from;) {
        unsigned byte = 0;
        if (from[0] == '%' && isxdigit((unsigned char)from[1]) &&
            isxdigit((unsigned char)from[2]) && sscanf(from + 1, "%2x", &byte) == 1 && byte) {
            *to++ = (char)byte;
            from += 3;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

static void on_log(void *context, const char *format, va_list args)
{
    (void)context;
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_write(LOG_DEBUG, "http", "text=\"%s\"", text);
}

/* ---- start and stop ---- */

static enum status parse_address(const char *address, struct sockaddr_storage *ret,
                                 struct error *err)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (!colon || (size_t)(colon - address) >= sizeof host ||
        !http_parse_number(colon + 1, 65535, &port))
        return error_set(err, ST_INVALID, "'%.100s' is not ADDRESS:PORT, as 127.0.0.1:8080",
                         address);
    bool v6 = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - (v6 ? 2 : 0), address + v6);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                             .ai_family = v6 ? AF_INET6 : AF_INET,
                             .ai_socktype = SOCK_STREAM},
                    *found;
    int code = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found);
    if (code != 0)
        return error_set(err, ST_INVALID, "cannot listen on '%.100s': %s", address,
                         gai_strerror(code));
    memset(ret, 0, sizeof *ret);
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return ST_OK;
}

static bool is_loopback(const struct sockaddr_storage *at)
{
    const struct sockaddr_in6 *six = (const void *)at;
    const struct sockaddr_in *four = (const void *)at;
    return at->ss_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&six->sin6_addr)
                                     : ntohl(four->sin_addr.s_addr) >> 24 == 127;
}

/* Nothing older than TLS 1.2; nothing without forward secrecy. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1"
#define OPTIONS_MAX 8

/* From one address; a proxy and its clients are one. */
static unsigned connections_of_address(const struct http *h)
{
    const struct settings *set = &h->server->set;
    return h->door.kind == DOOR_NETWORK && set->auth ? (unsigned)set->address_connections_max : 0;
}

/* at NULL: listen_fd, which becomes the daemon's. */
static struct MHD_Daemon *start(struct http *h, const struct sockaddr_storage *at, int listen_fd,
                                const char *cert_pem, const char *key_pem)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ERROR_LOG | (cert_pem ? MHD_USE_TLS : 0u) |
                     (at && at->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    struct MHD_OptionItem more[OPTIONS_MAX] = {{MHD_OPTION_END, 0, NULL}};
    int n = 0;
    if (at)
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_SOCK_ADDR, 0, (void *)(uintptr_t)at};
    else
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL};
    if (connections_of_address(h))
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                                            (intptr_t)connections_of_address(h), NULL};
    if (cert_pem) {
        more[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert_pem};
        more[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key_pem};
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                            (void *)(uintptr_t)TLS_PRIORITIES};
    }
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        h, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)h->server->set.connections_max, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S,
        MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK_BYTES, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

enum status http_open(struct server *s, enum door_kind kind, const char *address,
                      const char *cert_pem, const char *key_pem, struct http **ret,
                      struct error *err)
{
    struct sockaddr_storage at;
    enum status st = parse_address(address, &at, err);
    if (st != ST_OK)
        return st;
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(err, ST_NOMEM, "no memory for the HTTP daemon");
    h->server = s;
    h->door = (struct door){.kind = kind, .tls = cert_pem != NULL, .loopback = is_loopback(&at)};
    errno = 0;
    h->daemon = start(h, &at, -1, cert_pem, key_pem);
    if (!h->daemon) {
        int code = errno;
        free(h);
        return error_set(err, ST_IO, "cannot listen on %s: %s; is another server running there?",
                         address, code ? strerror(code) : "the HTTP library refused");
    }
    *ret = h;
    return ST_OK;
}

/* Nobody can connect before listen(), so the mode is never too wide. By the folder's descriptor, as
 * a socket's address is short. */
static int listen_in(int folder)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/control.sock", folder);
    unlink(at.sun_path); /* of a server that was killed: the folder is locked by us */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
        chmod(at.sun_path, 0600) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int code = errno;
    if (fd >= 0)
        close(fd);
    errno = code;
    return -1;
}

enum status http_open_socket(struct server *s, struct http **ret, struct error *err)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(err, ST_NOMEM, "no memory for the control socket");
    h->server = s;
    h->door.kind = DOOR_SOCKET;
    int folder = open(s->set.state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = folder >= 0 ? listen_in(folder) : -1;
    int code = errno;
    if (folder >= 0)
        close(folder);
    if (fd >= 0)
        h->daemon = start(h, NULL, fd, NULL, NULL);
    if (!h->daemon) {
        if (fd >= 0)
            close(fd);
        free(h);
        return error_set(err, ST_IO, "cannot listen on %s/control.sock: %s", s->set.state,
                         fd >= 0 ? "the HTTP library refused" : strerror(code));
    }
    *ret = h;
    return ST_OK;
}

void http_close(struct http **h)
{
    if (!h || !*h)
        return;
    MHD_stop_daemon((*h)->daemon);
    free(*h);
    *h = NULL;
}

int http_port(const struct http *h)
{
    if (!h)
        return 0;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}
