/* spool.h - chunks that wait on disk until the server has acknowledged them.
 *
 * One file a chunk, SEQ.chunk (format below), written atomically before any attempt to send it.
 * Sequence numbers grow and none is ever sent with two contents, not after kill -9 either: they
 * continue from the highest of the files' names and the number in the file `next`, which is made
 * durable before the file of the highest number may go. Bounded in bytes and count: when a new
 * chunk does not fit, the oldest are dropped and counted, so a camera can be offline for ever.
 *
 * File: "ATSP", u32 CRC-32 of the payload, u64 sequence number, payload (little-endian). A file
 * that does not check is deleted at open and counted; its number stays used.
 *
 * Owns:    its folder: nobody else writes there (a lock file is held; a second spool on the same
 *          folder is refused with ST_CONFLICT).
 * Threads: any; a mutex inside (disk writes happen under it: keep it out of real-time threads).
 * Errors:  ST_IO and ST_LIMIT with the path; the spool stays usable.
 */
#ifndef ATTUNE_UPLINK_SPOOL_H
#define ATTUNE_UPLINK_SPOOL_H

#include "base/buf.h"
#include "base/error.h"

#define SPOOL_COUNT_MAX 65536
#define SPOOL_PAYLOAD_BYTES_MAX ((size_t)64 << 20)

struct spool_options {
    uint64_t bytes_max; /* default 256 MiB: payloads of the waiting chunks */
    int count_max;      /* default 4096, 1..SPOOL_COUNT_MAX */
};

void spool_options_init(struct spool_options *o);

struct spool_stats {
    int waiting_count;
    uint64_t waiting_bytes;
    uint64_t next_seq;      /* what spool_reserve gives next */
    uint64_t appended;      /* since open */
    uint64_t acknowledged;  /* since open */
    uint64_t dropped_full;  /* not sent for lack of room, since open */
    uint64_t dropped_torn;  /* damaged files found, since open */
    uint64_t dropped_given; /* given up by spool_drop, since open */
};

struct spool;

/* Makes the folder when it is missing. options may be NULL. */
enum status spool_open(const char *folder, const struct spool_options *options, struct spool **ret,
                       struct error *err);
void spool_close(struct spool **s);

/* The number for the next chunk (the chunk's own bytes name it). Used or not, it is not given
 * again while the spool is open; one that was never appended was never sent either. */
uint64_t spool_reserve(struct spool *s);

/* Makes a chunk durable under a number that spool_reserve gave, in that order; then drops the
 * oldest until the bounds hold. ST_LIMIT: it alone is over them. */
enum status spool_append(struct spool *s, uint64_t seq, const void *payload, size_t n,
                         struct error *err);

/* The oldest waiting chunk: appends its payload to *out. ST_AGAIN: none waits. A file that went
 * bad since is dropped, counted, and the next one is read. */
enum status spool_peek(struct spool *s, uint64_t *ret_seq, struct buf *out, struct error *err);

/* The server has it: forget it. Unknown numbers are ignored (acknowledged twice). */
enum status spool_acknowledge(struct spool *s, uint64_t seq, struct error *err);

/* The server will never take it (damaged, in conflict): forget and count it. */
enum status spool_drop(struct spool *s, uint64_t seq, struct error *err);

/* Numbers below seq are used already (the server says so): continue from there. */
enum status spool_skip_to(struct spool *s, uint64_t seq, struct error *err);

void spool_stats_get(struct spool *s, struct spool_stats *ret);

#endif
