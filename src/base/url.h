/* url.h - what may be shown of a URL, and credentials that go into one.
 *
 * Owns:    nothing; texts go into the caller's buffer.
 * Threads: pure functions.
 */
#ifndef ATTUNE_BASE_URL_H
#define ATTUNE_BASE_URL_H

#include <stddef.h>

/* Of a URL that is shown: longer ones are cut. */
#define URL_SHOWN_BYTES 256

/* The URL without its secrets, for logs, events, answers and command lines: no user and password
 * (rtsp://user:password@host/x becomes rtsp://host/x), and of parameters whose names look like
 * secrets (password, pwd, token, key, auth, user, ...), in the query or in the path, only the name
 * (?token=***). What is no URL (a path, town:...) stays. *ret is terminated and cut at size >= 1
 * bytes; redacting what was redacted changes nothing. */
void url_redact(const char *url, char *ret, size_t size);

#endif
