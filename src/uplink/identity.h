/* identity.h - who a camera is to its server: what enrolment gave it, kept in its state folder.
 *
 *   DIR/identity.json   mode 0600: server, camera, token, and the pin of the server's public key
 *
 * Errors: ST_NOT_FOUND: the camera was not enrolled; ST_DENIED: others can read the file;
 *         ST_FORMAT: it is damaged, enrol again.
 */
#ifndef ATTUNE_UPLINK_IDENTITY_H
#define ATTUNE_UPLINK_IDENTITY_H

#include "base/secret.h"
#include "flow/records.h"
#include "uplink/pin.h"

#define IDENTITY_URL_CHARS_MAX 511

struct identity {
    char server[IDENTITY_URL_CHARS_MAX + 1];
    char camera[CAMERA_ID_CHARS_MAX + 1];
    char token[SECRET_TOKEN_CHARS + 1];
    char pin[PIN_CHARS_MAX + 1]; /* uplink/pin.h; "": plain HTTP to this machine */
};

/* What the file holds; ST_FORMAT. */
enum status identity_read(const void *text, size_t n, struct identity *ret, struct error *err);
/* What is written; the caller frees it. NULL: no memory. */
char *identity_text(const struct identity *id);

enum status identity_load(const char *dir, struct identity *ret, struct error *err);

/* Makes the folder where it is missing; durable when it returns. Where root enrols a camera that
 * runs as another user, the file is that one's, as its folder is. */
enum status identity_save(const char *dir, const struct identity *id, struct error *err);

#endif
