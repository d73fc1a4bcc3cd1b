/* attempts.h - failed attempts by key: after a few, each has to wait twice as long as the one
 * before. Internal.
 *
 * Owns:    its bounded table; the row that failed longest ago makes room.
 * Threads: safe. Time: an argument, monotonic.
 */
#ifndef ATTUNE_SERVER_ATTEMPTS_H
#define ATTUNE_SERVER_ATTEMPTS_H

#include <stdint.h>

#include "base/error.h"

#define ATTEMPTS_ROWS_MAX 1024
#define ATTEMPTS_KEY_CHARS_MAX 95
#define ATTEMPTS_FREE 4                               /* failures before the first wait, of 1 s */
#define ATTEMPTS_FORGET_US ((uint64_t)3600 * 1000000) /* after which failures are forgotten */

struct attempts;

/* wait_max_s: waits grow up to this. */
enum status attempts_open(double wait_max_s, struct attempts **ret, struct error *err);
void attempts_close(struct attempts **a);

/* Seconds until the key may try again; 0: now. */
double attempts_wait_s(struct attempts *a, const char *key, uint64_t now_us);
void attempts_failed(struct attempts *a, const char *key, uint64_t now_us);
void attempts_succeeded(struct attempts *a, const char *key);

#endif
