/* access.h - who asks: users of the page (sessions), scripts and cameras (tokens), and what takes
 * that back. Internal.
 *
 * With the setting `auth` off, everybody is local: settings_check lets that be on loopback only.
 * Streams' children (server/streams.h) have tokens that follow from a key in memory.
 *
 * Owns:    sessions, failed attempts, the key. Tokens and users are in the store.
 * Threads: safe. Time: reads base/clock.h.
 */
#ifndef ATTUNE_SERVER_ACCESS_H
#define ATTUNE_SERVER_ACCESS_H

#include "base/secret.h"
#include "server/http.h"

#define ACCESS_COOKIE "attune-session"
#define ACCESS_CODE_US ((uint64_t)15 * 60 * 1000000) /* that an enrolment code is good for */
#define ACCESS_WAIT_MAX_S 60.0                       /* between failed attempts */

struct access;

/* key_sha256: of the TLS certificate's public key, NULL without TLS. The store is open. */
enum status access_open(struct server *s, const uint8_t *key_sha256, struct access **ret,
                        struct error *err);
void access_close(struct access **a);

/* What a request shows of itself. */
struct credentials {
    bool socket;         /* came in by the control socket */
    const char *bearer;  /* the header Authorization, NULL: none */
    const char *session; /* the cookie, NULL: none */
    const char *camera;  /* whose path it is, NULL: no camera's */
};

/* Nothing shown: ROLE_ANYONE. ST_DENIED: it showed something that is not (any more) good; the
 * sentence says what. */
enum status access_identify(struct access *a, const struct credentials *shown, struct caller *ret,
                            struct error *err);

/* Of one who was let in and has waited since: is that still so? */
bool access_holds(struct access *a, const struct caller *c);

/* Signs in; address: who asks, as text. ST_DENIED: wrong name or password (which is not said);
 * ST_AGAIN: too many attempts, *ret_wait_s. ret_session: the cookie, [SECRET_TOKEN_CHARS + 1]. */
enum status access_sign_in(struct access *a, const char *address, const char *user,
                           const char *password, char *ret_session, double *ret_wait_s,
                           struct error *err);
void access_sign_out(struct access *a, const struct caller *c);

/* Adds a user, or gives another role (ROLE_VIEW, ROLE_OPERATE) or password; ends the sessions. */
enum status access_user_put(struct access *a, const char *name, const char *role,
                            const char *password, struct error *err);
enum status access_user_remove(struct access *a, const char *name, struct error *err);
bool access_has_users(struct access *a);

/* A code for a camera: ret_code[CODE_CHARS + 1] (uplink/code.h), *ret_expires_us wall clock. */
enum status access_code(struct access *a, const char *camera, char *ret_code,
                        uint64_t *ret_expires_us, struct error *err);
/* A code's secret for a camera's token: ret_camera[CAMERA_ID_CHARS_MAX + 1],
 * ret_token[SECRET_TOKEN_CHARS + 1]. ST_DENIED, ST_AGAIN as at signing in. */
enum status access_enroll(struct access *a, const char *address, const char *secret,
                          const char *camera, char *ret_camera, char *ret_token, double *ret_wait_s,
                          struct error *err);

/* A token for scripts; takes the place of one with the same name. */
enum status access_token(struct access *a, const char *name, const char *role, char *ret_token,
                         struct error *err);
enum status access_revoke(struct access *a, enum store_token_kind kind, const char *name,
                          struct error *err);

/* Of the child that streams for this camera: ret[SECRET_TOKEN_CHARS + 1]. */
void access_stream_token(const struct access *a, const char *camera, char *ret);

/* "view" and "operate"; ROLE_ANYONE for any other text, NULL for any other role. */
enum role role_parse(const char *name);
const char *role_name(enum role role);

#endif
