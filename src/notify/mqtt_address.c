#include "notify/mqtt_address.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status refuse(const char *text, struct error *err)
{
    return error_set(err, ST_INVALID,
                     "'%.100s' is no address of an MQTT broker; give HOST, HOST:PORT or "
                     "mqtts://HOST:PORT",
                     text);
}

static bool read_port(const char *text, int *ret)
{
    char *end;
    if (!isdigit((unsigned char)*text) || strlen(text) > 5)
        return false;
    long v = strtol(text, &end, 10);
    *ret = (int)v;
    return !*end && v >= 1 && v <= 65535;
}

static bool host_is_valid(const char *host, bool v6)
{
    for (const char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(v6 ? ":.%" : ".-_", *c))
            return false;
    return *host;
}

enum status mqtt_address_read(const char *text, struct mqtt_address *ret, struct error *err)
{
    struct mqtt_address a = {.port = 1883};
    const char *at = text;
    if (strchr(text, '@'))
        return error_set(err, ST_INVALID,
                         "the broker's address holds a user; give mqtt_user and "
                         "mqtt_password_file instead");
    if (strncmp(at, "mqtts://", 8) == 0) {
        a.tls = true;
        a.port = 8883;
        at += 8;
    } else if (strncmp(at, "mqtt://", 7) == 0)
        at += 7;
    bool v6 = *at == '[';
    size_t n = v6 ? strcspn(++at, "]") : strcspn(at, ":/");
    if (n > MQTT_HOST_CHARS_MAX)
        return refuse(text, err);
    snprintf(a.host, sizeof a.host, "%.*s", (int)n, at);
    at += n;
    if (v6 && *at++ != ']')
        return refuse(text, err);
    if (!host_is_valid(a.host, v6) || (*at && (*at != ':' || !read_port(at + 1, &a.port))))
        return refuse(text, err);
    *ret = a;
    return ST_OK;
}

bool mqtt_prefix_is_valid(const char *text)
{
    size_t n = strlen(text);
    if (n < 1 || n > 63 || text[0] == '/' || text[n - 1] == '/')
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-./", *c))
            return false;
    return !strstr(text, "//");
}
