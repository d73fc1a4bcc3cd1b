/* url.h - what may be shown of a URL, and credentials that go into one.
 *
 * Owns:    nothing; texts go into the caller's buffer.
 * Threads: pure functions.
 */
#ifndef ATTUNE_BASE_URL_H
#define ATTUNE_BASE_URL_H

#include <stddef.h>

#include "base/error.h"

/* Of a URL that is shown: longer ones are cut. */
#define URL_SHOWN_BYTES 256

/* The URL without its secrets, for logs, events, answers and command lines: no user and password
 * (rtsp://user:password@host/x becomes rtsp://host/x), and of parameters whose names look like
 * secrets (password, pwd, token, key, auth, user, ...), in the query or in the path, only the name
 * (?token=***). What is no URL (a path, town:...) stays. *ret is terminated and cut at size >= 1
 * bytes; redacting what was redacted changes nothing. */
void url_redact(const char *url, char *ret, size_t size);

/* The URL with "user:password", the first line of a credentials file, in it; what it has of special
 * characters is escaped. ST_INVALID: no such line, a URL that has a user already or takes none;
 * ST_LIMIT: more than size - 1 characters. No message has a part of the credentials. */
enum status url_add_credentials(const char *url, const char *line, char *ret, size_t size,
                                struct error *err);

#endif
