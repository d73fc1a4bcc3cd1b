/* settings_show.h - settings as JSON: those in force with their origin (credentials removed), and
 * the schema by which editors check a file.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_SERVER_SETTINGS_SHOW_H
#define ATTUNE_SERVER_SETTINGS_SHOW_H

#include <jansson.h>

#include "server/settings.h"

/* {"settings": [{"name", "value", "default", "unit", "help", "section", "live", "origin"}],
 *  "cameras": [{"id", "settings": [...]}]}. A new reference, NULL: no memory. */
json_t *settings_json(const struct settings *s, const struct camera_list *cameras);

/* A JSON Schema (2020-12) of the file. A new reference, NULL: no memory. */
json_t *settings_schema(void);

#endif
