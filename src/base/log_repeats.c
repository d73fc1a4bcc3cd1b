#include "base/log_repeats.h"

/* FNV-1a. */
uint64_t log_repeats_hash(const char *text, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h;
}

bool log_repeats_pass(struct log_repeats *r, uint64_t hash, uint64_t now_us, unsigned *ret_hidden)
{
    typeof(&r->slots[0]) s = &r->slots[hash % LOG_REPEATS_SLOTS];
    bool same = s->hash == hash && s->written > 0;
    *ret_hidden = 0;
    if (same && now_us - s->since_us < LOG_REPEAT_WINDOW_US) {
        if (s->written < LOG_REPEATS_FREE) {
            s->written++;
            return true;
        }
        s->hidden++;
        return false;
    }
    if (same)
        *ret_hidden = s->hidden;
    s->hash = hash;
    s->since_us = now_us;
    s->written = 1;
    s->hidden = 0;
    return true;
}
