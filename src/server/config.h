/* config.h - the settings in force: what was loaded at the start, and what a reload has changed
 * since. struct server's `set` is what the server started with and never changes; what a reload
 * changes at once (LIVE in settings.def), and all of the cameras, is asked for here each time.
 *
 * Owns:    copies of the settings and of the list of cameras.
 * Threads: safe; everything is copied out.
 */
#ifndef ATTUNE_SERVER_CONFIG_H
#define ATTUNE_SERVER_CONFIG_H

#include "server/settings.h"

struct config;

enum status config_open(const struct settings *s, const struct camera_list *cameras,
                        struct config **ret, struct error *err);
void config_close(struct config **c);

struct settings_live config_live(struct config *c);

/* One text of the settings. */
void config_text(struct config *c, enum settings_row row, char ret[SETTING_TEXT_BYTES]);

/* False: the configuration does not name it. */
bool config_camera(struct config *c, const char *id, struct camera_settings *ret);
bool config_camera_has_source(struct config *c, const char *id);

/* Everything; *cameras (empty before) is the caller's to clear. */
enum status config_copy(struct config *c, struct settings *s, struct camera_list *cameras,
                        struct error *err);

/* The cameras alone, and which change they are of (config_generation at that moment). */
enum status config_cameras(struct config *c, struct camera_list *ret, uint64_t *ret_generation,
                           struct error *err);

/* Counts replacements, from 1 on. */
uint64_t config_generation(struct config *c);

/* Takes the list over: *cameras is empty afterwards. */
void config_replace(struct config *c, const struct settings *s, struct camera_list *cameras);

#endif
