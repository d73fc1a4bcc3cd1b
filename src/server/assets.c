/* assets.c - the page. It may load only what this server gives it: the policy header says so to
 * the browser, so a mistake in the page cannot make it call elsewhere. */
#include "server/assets.h"

#include <string.h>

#include "server/http.h"

#define POLICY "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"

void api_asset(struct request *r, struct reply *out)
{
    const char *name = r->args[0][0] ? r->args[0] : "index.html";
    for (int i = 0; i < assets_count; i++) {
        const struct asset *a = &assets_table[i];
        if (strcmp(a->name, name) != 0)
            continue;
        out->status = 200;
        out->type = a->type;
        out->fixed = a->bytes;
        out->fixed_bytes = a->size_bytes;
        reply_header(out, "Content-Security-Policy", POLICY);
        reply_header(out, "Cache-Control", "no-cache");
        return;
    }
    reply_error(out, 404, "there is nothing here; see docs/api.md");
}
