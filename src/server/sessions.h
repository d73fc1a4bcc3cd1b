/* sessions.h - who is signed in on the page. Internal.
 *
 * In memory only: a restart signs everybody out. A session is found by the SHA-256 of its id, so
 * that what the table holds signs nobody in. It ends after `idle` without a request, after `life`
 * whatever happens, by signing out, and with its user's account or password.
 *
 * Owns:    its bounded table; the one that was used longest ago makes room.
 * Threads: safe. Time: an argument, monotonic.
 */
#ifndef ATTUNE_SERVER_SESSIONS_H
#define ATTUNE_SERVER_SESSIONS_H

#include <stdbool.h>

#include "store/store.h"

#define SESSIONS_MAX 256

struct session {
    char id_sha256_hex[65];
    char user[STORE_TEXT_CHARS_MAX + 1];
    char role[STORE_ROLE_CHARS_MAX + 1];
    uint64_t begun_us, used_us;
};

struct sessions;

enum status sessions_open(uint64_t idle_us, uint64_t life_us, struct sessions **ret,
                          struct error *err);
void sessions_close(struct sessions **s);

/* id: what the browser is given. */
void sessions_begin(struct sessions *s, const char *id, const char *user, const char *role,
                    uint64_t now_us);

/* False: there is none (any more). touch: it was used now. */
bool sessions_find(struct sessions *s, const char *id_sha256_hex, bool touch, uint64_t now_us,
                   struct session *ret);
void sessions_end(struct sessions *s, const char *id_sha256_hex);
void sessions_end_user(struct sessions *s, const char *user);

#endif
