/* http.c - between microhttpd and the handlers: collects a bounded body, routes, answers. The body
 * is refused by its Content-Length before it is read where that is too large, and cut off while
 * reading where the header was missing. */
#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/gate.h"

#define IDLE_TIMEOUT_S 90u
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
    size_t body_max;
    bool too_large;
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

static enum MHD_Result send_reply(struct MHD_Connection *c, struct reply *out)
{
    struct MHD_Response *r = make_response(out);
    if (!r)
        return MHD_NO;
    out->response = NULL;
    if (out->type)
        MHD_add_response_header(r, "Content-Type", out->type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    for (int i = 0; i < out->header_count; i++)
        MHD_add_response_header(r, out->headers[i].name, out->headers[i].value);
    enum MHD_Result result = MHD_queue_response(c, out->status, r);
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

static enum MHD_Result begin(struct http *h, struct MHD_Connection *c, const char *path,
                             const char *method, void **state)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return MHD_NO;
    *state = x;
    x->request.server = h->server;
    x->request.connection = c;
    x->request.door = &h->door;
    const struct route *route = http_route(method, path, &x->request, &x->reply);
    if (route && gate_pass(&x->request, method, &x->reply))
        x->route = route;
    x->body_max = x->route ? http_route_body_max(h->server, route) : HTTP_JSON_BYTES_MAX;
    if (!length_too_large(c, x->body_max))
        return MHD_YES;
    fail_too_large(x);
    return send_reply(c, &x->reply);
}

static void take_body(struct exchange *x, const char *data, size_t n)
{
    if (!x->route)
        return;
    if (n > x->body_max - x->request.body.size_bytes)
        x->too_large = true;
    else
        buf_put(&x->request.body, data, n);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **state)
{
    (void)version;
    struct exchange *x = *state;
    if (!x)
        return begin(context, c, path, method, state);
    if (*data_bytes > 0) {
        take_body(x, data, *data_bytes);
        *data_bytes = 0;
        return MHD_YES;
    }
    if (x->too_large)
        fail_too_large(x);
    else if (x->request.body.failed)
        reply_error(&x->reply, 500, "no memory for the body");
    else if (x->route)
        x->route->handler(&x->request, &x->reply);
    return send_reply(c, &x->reply);
}

static void on_completed(void *context, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)c;
    (void)code;
    exchange_close(*state);
    *state = NULL;
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

static struct MHD_Daemon *start(struct http *h, const struct sockaddr_storage *at,
                                const char *cert_pem, const char *key_pem)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ERROR_LOG | (cert_pem ? MHD_USE_TLS : 0u) |
                     (at->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert_pem},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key_pem},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)at, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)h->server->set.connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_THREAD_STACK_SIZE,
        THREAD_STACK_BYTES, MHD_OPTION_ARRAY, cert_pem ? tls : none, MHD_OPTION_END);
}

enum status http_open(struct server *s, const char *address, const char *cert_pem,
                      const char *key_pem, struct http **ret, struct error *err)
{
    struct sockaddr_storage at;
    enum status st = parse_address(address, &at, err);
    if (st != ST_OK)
        return st;
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return error_set(err, ST_NOMEM, "no memory for the HTTP daemon");
    h->server = s;
    h->door = (struct door){.tls = cert_pem != NULL, .loopback = is_loopback(&at)};
    errno = 0;
    h->daemon = start(h, &at, cert_pem, key_pem);
    if (!h->daemon) {
        int code = errno;
        free(h);
        return error_set(err, ST_IO, "cannot listen on %s: %s; is another server running there?",
                         address, code ? strerror(code) : "the HTTP library refused");
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
