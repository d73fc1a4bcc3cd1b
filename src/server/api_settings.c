/* api_settings.c - what is in force, for people, and reading it again. Whoever may look at cameras
 * may look at this: credentials are not in it. */
#include <stdlib.h>

#include "server/http.h"
#include "server/settings_show.h"

void api_settings_all(struct request *r, struct reply *out)
{
    struct error err = {0};
    struct camera_list cameras;
    struct settings *set = malloc(sizeof *set);
    enum status st = set ? config_copy(r->server->config, set, &cameras, &err)
                         : error_set(&err, ST_NOMEM, "no memory for the settings");
    if (st == ST_OK) {
        reply_json(out, 200, settings_json(set, &cameras));
        camera_list_clear(&cameras);
    } else {
        reply_status(out, st, &err);
    }
    free(set);
}

void api_reload(struct request *r, struct reply *out)
{
    struct error err = {0};
    enum status st = server_reload(r->server, &err);
    if (st == ST_OK)
        reply_json(out, 200, json_pack("{s:s}", "reason", err.message));
    else
        reply_status(out, st, &err);
}
