/* api_settings.c - what is in force, for people. Whoever may look at cameras may look at this:
 * credentials are not in it. */
#include "server/http.h"
#include "server/settings_show.h"

void api_settings_all(struct request *r, struct reply *out)
{
    const struct server *s = r->server;
    reply_json(out, 200, settings_json(&s->set, &s->options.cameras));
}
