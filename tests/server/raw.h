/* raw.h - requests that no HTTP library would send: bytes over a socket of our own. */
#ifndef ATTUNE_TESTS_SERVER_RAW_H
#define ATTUNE_TESTS_SERVER_RAW_H

#include <stdbool.h>
#include <stddef.h>

/* A connection to 127.0.0.1; fails the test when there is none. */
int raw_connect(int port);

/* Sends the bytes; false when the other side has closed. */
bool raw_send(int fd, const void *data, size_t n);

/* What comes until the other side closes or a whole head is there: ret is NUL-terminated. Returns
 * the HTTP status, 0: closed without one. Bounded wait. */
int raw_answer(int fd, char *ret, size_t size_bytes);

/* All that comes until the other side closes, which it must; NUL-terminated. */
void raw_all(int fd, char *ret, size_t size_bytes);

/* One request, text as it is; the status. */
int raw_ask(int port, const char *text, char *ret, size_t size_bytes);

/* Sends one more byte every 50 ms until the other side closes. False: it never did. */
bool raw_drip(int fd, char byte);

#endif
