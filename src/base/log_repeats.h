/* log_repeats.h - lines that say the same again and again are left out and counted.
 *
 * Of a line that comes again within LOG_REPEAT_WINDOW_US the first LOG_REPEATS_FREE are written;
 * when its window is over it is written again, with how many were left out.
 *
 * Owns:    a fixed table; a line that needs another's place takes it, and that one's count is lost.
 * Threads: one at a time.
 */
#ifndef ATTUNE_BASE_LOG_REPEATS_H
#define ATTUNE_BASE_LOG_REPEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_REPEATS_SLOTS 256
#define LOG_REPEATS_FREE 3
#define LOG_REPEAT_WINDOW_US ((uint64_t)60 * 1000000)

struct log_repeats {
    struct {
        uint64_t hash, since_us;
        unsigned written, hidden;
    } slots[LOG_REPEATS_SLOTS];
};

/* Of what does not differ between two lines that say the same. */
uint64_t log_repeats_hash(const char *text, size_t n);

/* Whether to write the line; *ret_hidden: so many like it were left out since the last one. All
 * zeros is a table that has seen nothing. */
bool log_repeats_pass(struct log_repeats *r, uint64_t hash, uint64_t now_us, unsigned *ret_hidden);

#endif
