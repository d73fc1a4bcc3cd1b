/* gate.c - a browser on this machine is a way in for any page that it shows: a name of an attacker
 * can be made to mean 127.0.0.1 (DNS rebinding), and a form can be sent anywhere. So a loopback
 * address answers to loopback's names only, and what a page of elsewhere sends changes nothing. */
#include "server/gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ORIGIN_CHARS_MAX 300

static const char *header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

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

static bool check_host(const struct request *r, struct reply *out)
{
    const char *host = header(r, "Host");
    if (r->door->tls || !r->door->loopback || (host && is_loopback_name(host)))
        return true;
    reply_error(out, 403, "this address answers to http://127.0.0.1 and http://localhost only");
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
static bool check_origin(const struct request *r, const char *method, struct reply *out)
{
    const char *origin = header(r, "Origin"), *site = header(r, "Sec-Fetch-Site");
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool foreign = (origin && !is_own_origin(r, origin)) ||
                   (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0);
    if (reads || !foreign)
        return true;
    reply_error(out, 403, "a page of another site asked for this; only the server's own may");
    return false;
}

bool gate_pass(const struct request *r, const char *method, struct reply *out)
{
    return check_host(r, out) && check_origin(r, method, out);
}
