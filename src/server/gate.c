/* gate.c - a browser on this machine is a way in for any page that it shows: a name of an attacker
 * can be made to mean 127.0.0.1 (DNS rebinding), and a form can be sent anywhere. So a loopback
 * address answers to loopback's names only, what a page of elsewhere sends changes nothing, and a
 * cookie alone changes nothing either: the page adds a header, which no form can. */
#include "server/gate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/access.h"
#include "server/rates.h"

#define ORIGIN_CHARS_MAX 300
#define BURST_S 4          /* of requests at their rate */
#define UPLOAD_BURST_S 8.0 /* of uploads at theirs, and one largest chunk */

struct gate {
    struct rates *requests; /* by address, NULL: no limit */
    struct rates *uploads;  /* bytes by camera, NULL: no limit */
    struct rates *events;   /* that cameras cause, by camera */
};

enum status gate_open(const struct server *s, struct gate **ret, struct error *err)
{
    const struct settings *set = &s->set;
    double bytes_per_s = set->upload_kbps_max * 125;
    struct gate *g = calloc(1, sizeof *g);
    enum status st = g ? ST_OK : error_set(err, ST_NOMEM, "no memory for the gate");
    if (st == ST_OK && set->auth && set->requests_per_s > 0)
        st = rates_open(set->requests_per_s, set->requests_per_s * BURST_S, &g->requests, err);
    if (st == ST_OK && set->auth && bytes_per_s > 0)
        st = rates_open(bytes_per_s, bytes_per_s * UPLOAD_BURST_S + set->chunk_bytes_max,
                        &g->uploads, err);
    if (st == ST_OK && g)
        st = rates_open(GATE_EVENTS_PER_S, GATE_EVENTS_BURST, &g->events, err);
    if (st == ST_OK)
        *ret = g;
    else
        gate_close(&g);
    return st;
}

void gate_close(struct gate **g)
{
    if (!g || !*g)
        return;
    rates_close(&(*g)->requests);
    rates_close(&(*g)->uploads);
    rates_close(&(*g)->events);
    free(*g);
    *g = NULL;
}

static const char *header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* ---- rates ---- */

static bool check_rate(struct rates *rates, const char *key, double units, const char *what,
                       struct reply *out)
{
    double wait_s = rates ? rates_take(rates, key, units, clock_mono_us()) : 0;
    if (wait_s <= 0)
        return true;
    reply_header(out, "Retry-After", "%.0f", ceil(wait_s));
    reply_error(out, 429, "%s; try again in %.0f s", what, ceil(wait_s));
    return false;
}

bool gate_admit(const struct request *r, struct reply *out)
{
    char address[HTTP_ADDRESS_CHARS_MAX + 1];
    if (r->door->kind != DOOR_NETWORK)
        return true;
    http_address(r, address);
    return check_rate(r->server->gate->requests, address, 1,
                      "this address asks for too much at a time", out);
}

bool gate_tells(const struct server *s, const char *camera)
{
    if (rates_take(s->gate->events, camera, 1, clock_mono_us()) <= 0)
        return true;
    log_write(LOG_WARN, "event left out", "camera=%s why=\"it causes too many\"", camera);
    return false;
}

/* What is declared; the largest that there may be where nothing is. */
static bool check_uploads(const struct request *r, const struct route *route, struct reply *out)
{
    uint64_t bytes = http_route_body_max(r->server, route);
    const char *length = header(r, "Content-Length");
    if (route->role != ROLE_CAMERA || r->door->kind != DOOR_NETWORK)
        return true;
    if (length)
        http_parse_number(length, bytes, &bytes);
    return check_rate(r->server->gate->uploads, r->args[0], (double)bytes,
                      "this camera uploads more than upload_kbps_max", out);
}

/* ---- where it comes from ---- */

/* "localhost", "127.0.0.1" or "[::1]", with a port or without. */
static bool is_loopback_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
            return true;
    }
    return false;
}

/* One of the setting `hosts`, a list by commas. */
static bool is_listed(const char *hosts, const char *host)
{
    size_t n = strcspn(host, ":");
    for (const char *at = hosts; *at; at += *at == ',') {
        size_t one = strcspn(at, ", ");
        if (one > 0 && one == n && strncasecmp(at, host, n) == 0)
            return true;
        at += one + strspn(at + one, " ");
    }
    return false;
}

static bool check_host(const struct request *r, struct reply *out)
{
    const char *host = header(r, "Host");
    if (r->door->tls || !r->door->loopback ||
        (host && (is_loopback_name(host) || is_listed(r->server->set.hosts, host))))
        return true;
    reply_error(out, 403,
                "this address answers to http://127.0.0.1 and http://localhost only (and to the "
                "names in the setting hosts)");
    return false;
}

static bool is_own_origin(const struct request *r, const char *origin)
{
    char own[ORIGIN_CHARS_MAX];
    const char *host = header(r, "Host");
    int n = snprintf(own, sizeof own, "http%s://%s", r->door->tls ? "s" : "", host ? host : "");
    return host && n < (int)sizeof own && strcasecmp(own, origin) == 0;
}

/* Browsers say where a request comes from; programs have no reason to. */
static bool check_origin(const struct request *r, struct reply *out)
{
    const char *origin = header(r, "Origin"), *site = header(r, "Sec-Fetch-Site");
    bool foreign = (origin && !is_own_origin(r, origin)) ||
                   (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0);
    if (!foreign)
        return true;
    reply_error(out, 403, "a page of another site asked for this; only the server's own may");
    return false;
}

/* ---- who asks ---- */

static bool may(const struct caller *c, enum role needs, const char *camera)
{
    switch (needs) {
    case ROLE_ANYONE:
        return true;
    case ROLE_VIEW:
        return c->role == ROLE_VIEW || c->role == ROLE_OPERATE;
    case ROLE_OPERATE:
        return c->role == ROLE_OPERATE;
    case ROLE_CAMERA:
        return c->local || (c->role == ROLE_CAMERA && strcmp(c->name, camera) == 0);
    case ROLE_LOCAL:
        return c->local;
    }
    return false;
}

static const char *why_not(enum role needs)
{
    switch (needs) {
    case ROLE_CAMERA:
        return "only the camera of this path may do this, with its own token";
    case ROLE_OPERATE:
        return "this takes the role operate";
    case ROLE_LOCAL:
        return "this is done on the server's own machine only, by its control socket "
               "(attune ... --state DIR)";
    default:
        return "this takes the role view";
    }
}

static void reply_unknown(struct reply *out, const char *why)
{
    reply_header(out, "WWW-Authenticate", "Bearer realm=\"attune\"");
    reply_error(out, 401, "%s", why);
}

static bool check_caller(struct request *r, const struct route *route, struct reply *out)
{
    struct error err = {0};
    bool camera = route->role == ROLE_CAMERA;
    const struct credentials shown = {
        .socket = r->door->kind == DOOR_SOCKET,
        .bearer = header(r, "Authorization"),
        .session = MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, ACCESS_COOKIE),
        .camera = camera ? r->args[0] : NULL};
    enum status st = access_identify(r->server->access, &shown, &r->caller, &err);
    if (st == ST_DENIED && route->role == ROLE_ANYONE) { /* a session that has ended: sign in */
        r->caller = (struct caller){.role = ROLE_ANYONE};
        return true;
    }
    if (st == ST_DENIED)
        reply_unknown(out, err.message);
    else if (st != ST_OK)
        reply_status(out, st, &err);
    else if (may(&r->caller, route->role, r->args[0]))
        return true;
    else if (r->caller.role == ROLE_ANYONE)
        reply_unknown(out, camera ? "this server wants a camera's token: get a code with attune "
                                    "access code, then attune camera enroll"
                                  : "sign in first, or send a token");
    else
        reply_error(out, 403, "%s", why_not(route->role));
    return false;
}

/* Which a form of another page could not have sent. */
static bool check_page(const struct request *r, struct reply *out)
{
    const char *sent = header(r, "Attune-Request");
    if (!r->caller.by_cookie || (sent && strcmp(sent, "1") == 0))
        return true;
    reply_error(out, 403, "a request that changes something needs the header Attune-Request: 1");
    return false;
}

static void note(const struct request *r, const struct route *route)
{
    char address[HTTP_ADDRESS_CHARS_MAX + 1];
    http_address(r, address);
    log_write(LOG_INFO, "asked", "by=%s address=%s request=\"%s %s\"",
              r->caller.name[0] ? r->caller.name : "-", address, route->method, route->path);
}

bool gate_pass(struct request *r, const struct route *route, struct reply *out)
{
    bool reads = strcmp(route->method, "GET") == 0;
    bool pass = check_host(r, out) && (reads || check_origin(r, out)) &&
                check_caller(r, route, out) && (reads || check_page(r, out)) &&
                check_uploads(r, route, out);
    if (pass && !reads && (route->role == ROLE_OPERATE || route->role == ROLE_LOCAL))
        note(r, route);
    return pass;
}
