/* rates.h - token buckets by key, in a bounded table: who asks for more than a rate is told when to
 * come again. Internal.
 *
 * A bucket that nobody used for the longest time makes room for a new key; it is full again by then
 * in all but an attack with more keys than the table has rows.
 *
 * Owns:    its table. Threads: safe. Time: an argument, monotonic.
 */
#ifndef ATTUNE_SERVER_RATES_H
#define ATTUNE_SERVER_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define RATES_ROWS_MAX 4096
#define RATES_KEY_CHARS_MAX 63

struct rates;

/* per_s: units a second; burst: units that a full bucket holds. */
enum status rates_open(double per_s, double burst, struct rates **ret, struct error *err);
void rates_close(struct rates **r);

/* 0: taken. Otherwise nothing is taken and the answer is the seconds until it could be; one that
 * costs more than a bucket holds is let through when the bucket is full, and empties it. */
double rates_take(struct rates *r, const char *key, double units, uint64_t now_us);

#endif
