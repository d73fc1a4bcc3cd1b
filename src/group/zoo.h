/* zoo.h - models that were good once, with the conditions that they were good under.
 *
 * Last night's model may serve tonight. The zoo is the index: who keeps the models is the caller,
 * an entry names one by an opaque text. Selection is cheap and only narrows down; which of the few
 * is really good is found by trying them on the camera's frames.
 *
 * A near duplicate in conditions (looks must be known of both) takes the place of the one that is
 * there, if it is worth more by accuracy and uses, or is not taken. When the zoo is full, the entry
 * that is least used for its age goes.
 *
 * Owns:    the entries, until zoo_close.
 * Threads: one at a time.
 * Time:    an argument; the same calls give the same zoo.
 * Memory:  capacity x sizeof(struct zoo_entry), at most ZOO_ENTRIES_MAX entries.
 */
#ifndef ATTUNE_GROUP_ZOO_H
#define ATTUNE_GROUP_ZOO_H

#include "base/error.h"
#include "group/conditions.h"

#define ZOO_ENTRIES_MAX 4096
#define ZOO_MODEL_CHARS_MAX 95

struct zoo_entry {
    uint64_t id; /* the zoo's number, from 1, never used twice */
    struct group_conditions conditions;
    double accuracy; /* when it was put here, 0..1 */
    uint64_t size_bytes;
    uint64_t added_us, used_us;          /* used_us: the last time, or added_us */
    uint32_t uses;                       /* how often something started from it */
    char model[ZOO_MODEL_CHARS_MAX + 1]; /* the caller's name for it, not empty */
};

struct zoo;

/* capacity: 1..ZOO_ENTRIES_MAX. */
enum status zoo_open(int capacity, struct zoo **ret, struct error *err);
void zoo_close(struct zoo **z);

int zoo_count(const struct zoo *z);
/* By growing id; i in 0..zoo_count - 1. Valid until the zoo changes. */
const struct zoo_entry *zoo_at(const struct zoo *z, int i);
/* NULL where there is none (any more). */
const struct zoo_entry *zoo_find(const struct zoo *z, uint64_t id);

/* Puts a copy of e in; its id, added_us, used_us and uses are the zoo's to say. Returns the new id
 * in *ret_id and in *ret_evicted the entry that had to go for it (id 0: none), whose model the
 * caller may now remove. That can be the new one itself, where it is the lesser duplicate.
 * ST_INVALID for conditions or an accuracy that are none. */
enum status zoo_add(struct zoo *z, const struct zoo_entry *e, uint64_t now_us, uint64_t *ret_id,
                    struct zoo_entry *ret_evicted, struct error *err);

/* Something started from it. */
void zoo_use(struct zoo *z, uint64_t id, uint64_t now_us);

/* False where there is none. */
bool zoo_remove(struct zoo *z, uint64_t id);

/* The entries worth a try under these conditions, best first, into ret_ids[tries]; returns how
 * many. By unlikeness, the sum of what is known of: signature distance (in units of
 * signature_unit), place (of place_unit_m), time of day (of 3 h), weather by another name (1), less
 * what its accuracy is above the mean. Near duplicates of one that is already chosen are passed
 * over. */
struct zoo_units {
    double signature_unit, place_unit_m;
};
int zoo_select(const struct zoo *z, const struct group_conditions *c, const struct zoo_units *units,
               int tries, uint64_t *ret_ids);

/* The zoo as bytes (docs/formats.md, "zoo"), and back: what is not whole or not ours is ST_FORMAT.
 */
enum status zoo_save(const struct zoo *z, struct buf *out, struct error *err);
enum status zoo_load(const void *data, size_t n, struct zoo **ret, struct error *err);

#endif
