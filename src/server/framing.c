/* framing.c - see framing.h. */
#include "server/framing.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct framing {
    int lengths, encodings, hosts;
    bool chunked, plain;
};

static bool is_token(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !memchr("!#$%&'*+-.^_`|~", name[i], 15))
            return false;
    return n > 0;
}

static bool is_value(const char *value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f)
            return false;
    return true;
}

static enum MHD_Result look(void *context, enum MHD_ValueKind kind, const char *name, size_t name_n,
                            const char *value, size_t value_n)
{
    struct framing *f = context;
    (void)kind;
    f->plain = f->plain && is_token(name, name_n) && is_value(value, value_n);
    f->lengths += strcasecmp(name, "Content-Length") == 0;
    f->hosts += strcasecmp(name, "Host") == 0;
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        f->encodings++;
        f->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

bool framing_is_plain(struct MHD_Connection *c, const char *version)
{
    struct framing f = {.plain = true};
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, look, &f);
    bool one_length = f.lengths + f.encodings <= 1;
    bool encoding = f.encodings == 0 || (f.chunked && strcmp(version, "HTTP/1.1") == 0);
    return f.plain && one_length && encoding && f.hosts <= 1;
}
