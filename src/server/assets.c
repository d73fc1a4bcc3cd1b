/* assets.c - the page. It may load only what this server gives it: the policy header says so to
 * the browser, so a mistake in the page cannot make it call elsewhere. */
#include "server/assets.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/http.h"

#define POLICY "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

/* Whether gzip is among what the client takes (RFC 9110, 12.5.3) with a weight that is not 0. */
static bool takes_gzip(const char *accept)
{
    for (const char *at = accept; at && *at; at += *at == ',') {
        at += strspn(at, " \t");
        size_t n = strcspn(at, ",;");
        const char *weight = at + n;
        size_t name = n;
        while (name > 0 && isspace((unsigned char)at[name - 1]))
            name--;
        at += strcspn(at, ",");
        const char *q = memmem(weight, (size_t)(at - weight), "q=", 2);
        if (name == 4 && strncasecmp(weight - n, "gzip", 4) == 0)
            return !q || strtod(q + 2, NULL) > 0;
    }
    return false;
}

static bool same_tag(const char *tags, const char *tag)
{
    return tags && (strstr(tags, tag) || strcmp(tags, "*") == 0);
}

static void reply_asset(struct request *r, const struct asset *a, struct reply *out)
{
    const char *accept =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Accept-Encoding");
    const char *known =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "If-None-Match");
    const char *version = request_query(r, "v");
    bool gzip = takes_gzip(accept), forever = version && strcmp(version, a->hash) == 0;
    char tag[64];
    snprintf(tag, sizeof tag, "\"%s%s\"", a->hash, gzip ? "-gzip" : "");
    reply_header(out, "ETag", "%s", tag);
    reply_header(out, "Vary", "Accept-Encoding");
    reply_header(out, "Cache-Control",
                 forever ? "public, max-age=31536000, immutable" : "no-cache");
    reply_header(out, "Content-Security-Policy", POLICY);
    if (same_tag(known, tag)) {
        out->status = 304;
        return;
    }
    const struct asset_bytes *bytes = gzip ? &a->gzip : &a->plain;
    out->status = 200;
    out->type = a->type;
    out->fixed = bytes->data;
    out->fixed_bytes = bytes->size_bytes;
    if (gzip)
        reply_header(out, "Content-Encoding", "gzip");
}

void api_asset(struct request *r, struct reply *out)
{
    const char *name = r->args[0][0] ? r->args[0] : "index.html";
    for (int i = 0; i < assets_count; i++)
        if (strcmp(assets_table[i].name, name) == 0) {
            reply_asset(r, &assets_table[i], out);
            return;
        }
    reply_error(out, 404, "there is nothing here; see docs/api.md");
}
