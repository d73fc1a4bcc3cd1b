/* url.c - redaction by what a URL's parts look like, not by what its scheme allows: users write
 * passwords with '@' and '/' in them, and cameras want them in paths. Taking too much is harmless.
 */
#include "base/url.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HIDDEN "***"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-"

struct shown {
    char *text;
    size_t filled, size;
};

static void put(struct shown *s, const char *text, size_t n)
{
    size_t room = s->size - 1 - s->filled;
    if (n > room)
        n = room;
    memcpy(s->text + s->filled, text, n);
    s->filled += n;
}

/* What follows the host's name: nothing, or ":" and digits. */
static bool port_is_number(const char *authority, size_t n)
{
    const char *colon = memrchr(authority, ':', n), *end = authority + n;
    if (!colon || memchr(colon, ']', (size_t)(end - colon)))
        return true;
    for (colon++; colon < end && isdigit((unsigned char)*colon); colon++)
        ;
    return colon == end;
}

/* From "user:password@host/x" to "host/x". A "port" that is no number, with an '@' further on, is
 * a password with a '/', '?' or '#' in it. */
static const char *skip_userinfo(const char *at)
{
    for (;;) {
        size_t n = strcspn(at, "/?#");
        const char *sign = memrchr(at, '@', n);
        if (!sign && !port_is_number(at, n))
            sign = strrchr(at, '@');
        if (!sign)
            return at;
        at = sign + 1;
    }
}

static bool looks_secret(const char *name, size_t n)
{
    static const char *const words[] = {"pass", "pwd", "token", "key",     "auth", "secret",
                                        "sig",  "usr", "user",  "credent", "login"};
    if (memchr(name, '%', n)) /* who escapes a name has something to hide */
        return true;
    for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
        size_t chars = strlen(words[w]);
        for (size_t i = 0; i + chars <= n; i++)
            if (strncasecmp(name + i, words[w], chars) == 0)
                return true;
    }
    return false;
}

#define SEPARATORS "/?&#;,"

/* A value with '@' or its escape may hold another URL. */
static bool hides(const char *part, const char *equals, const char *end)
{
    if (looks_secret(part, (size_t)(equals - part)))
        return true;
    for (; equals + 3 <= end; equals++)
        if (strncmp(equals, "%40", 3) == 0)
            return true;
    return false;
}

/* Writes one part of path or query and returns its end. What is hidden goes on to the next
 * parameter, whatever is in it. */
static const char *put_part(struct shown *s, const char *at, bool in_query)
{
    const char *end = at + strcspn(at, SEPARATORS);
    const char *sign = memrchr(at, '@', (size_t)(end - at));
    if (sign && memchr(at, ':', (size_t)(sign - at))) /* another URL's user and password */
        at = sign + 1;
    const char *equals = memchr(at, '=', (size_t)(end - at));
    if (!equals || !hides(at, equals, end)) {
        put(s, at, (size_t)(end - at));
        return end;
    }
    put(s, at, (size_t)(equals - at) + 1);
    put(s, HIDDEN, sizeof HIDDEN - 1);
    return at + strcspn(at, in_query ? "&" : "/?&");
}

static void put_rest(struct shown *s, const char *at)
{
    for (bool in_query = false; *at;) {
        if (strchr(SEPARATORS, *at)) {
            in_query |= *at == '?';
            put(s, at++, 1);
        } else {
            at = put_part(s, at, in_query);
        }
    }
}

/* The length of "rtsp://", also of "rtsp:/" and "user:" where they precede an '@'; 0: no URL. */
static size_t scheme_chars(const char *url)
{
    size_t n = strspn(url, NAME_CHARS);
    if (n > 0 && strncmp(url + n, "://", 3) == 0)
        return n + 3;
    if (n == 0 || url[n] != ':' || !strchr(url + n, '@'))
        return 0;
    return n + 1 + strspn(url + n + 1, "/");
}

/* What is left of a URL whose scheme has no "//" must not get one when its user goes. */
static const char *skip_odd_userinfo(const char *at)
{
    for (const char *before = NULL; at != before;) {
        before = at;
        at = skip_userinfo(at);
        at += strspn(at, "/");
    }
    return at;
}

void url_redact(const char *url, char *ret, size_t size)
{
    assert(size >= 1);
    struct shown s = {.text = ret, .size = size};
    size_t scheme = scheme_chars(url);
    bool whole = scheme > 3 && strncmp(url + scheme - 3, "://", 3) == 0;
    put(&s, url, scheme ? scheme : strlen(url));
    if (scheme)
        put_rest(&s, whole ? skip_userinfo(url + scheme) : skip_odd_userinfo(url + scheme));
    ret[s.filled] = '\0';
}

/* User or password, up to any of `until`, with escapes for all that a URL gives a meaning. */
static const char *put_escaped(struct shown *s, const char *at, const char *until)
{
    for (; *at && !strchr(until, *at); at++) {
        unsigned char c = (unsigned char)*at;
        char escaped[4];
        snprintf(escaped, sizeof escaped, "%%%02X", c);
        if (isalnum(c) || strchr("-._~", c))
            put(s, at, 1);
        else
            put(s, escaped, 3);
    }
    return at;
}

enum status url_add_credentials(const char *url, const char *line, char *ret, size_t size,
                                struct error *err)
{
    assert(size >= 1);
    struct shown s = {.text = ret, .size = size};
    size_t scheme = scheme_chars(url);
    if (scheme < 4 || strncmp(url + scheme - 3, "://", 3) != 0)
        return error_set(err, ST_INVALID,
                         "credentials are for URLs such as rtsp://HOST/PATH, which this source is "
                         "not: leave them out");
    if (skip_userinfo(url + scheme) != url + scheme)
        return error_set(err, ST_INVALID,
                         "the source has a user in its URL and a credentials file: give one of "
                         "the two");
    size_t user = strcspn(line, ":\r\n");
    if (user == 0 || line[user] != ':')
        return error_set(err, ST_INVALID, "its first line must be USER:PASSWORD");
    put(&s, url, scheme);
    const char *colon = put_escaped(&s, line, ":");
    put(&s, colon, 1);
    put_escaped(&s, colon + 1, "\r\n");
    put(&s, "@", 1);
    put(&s, url + scheme, strlen(url + scheme));
    ret[s.filled] = '\0';
    if (s.filled == size - 1)
        return error_set(err, ST_LIMIT, "URL and credentials are too long");
    return ST_OK;
}
