/* fake_server.h - a server that does what a test tells it to, and what networks do.
 *
 * Keeps every chunk that it acknowledged, hands out the updates it was given, and spoils the next
 * answers on request.
 * Threads: any; handlers run in libmicrohttpd's threads.
 */
#ifndef ATTUNE_TESTS_FAKE_SERVER_H
#define ATTUNE_TESTS_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault {
    FAULT_NONE,
    FAULT_500,        /* "internal error", no JSON */
    FAULT_RESET,      /* the connection ends without an answer */
    FAULT_SLOW,       /* nothing for longer than the tests' request timeout */
    FAULT_429,        /* Retry-After: 7 */
    FAULT_GARBAGE,    /* 200 with bytes that are no JSON and no delta */
    FAULT_400,        /* with a sentence */
    FAULT_404,        /* camera unknown */
    FAULT_409,        /* conflict */
    FAULT_LOST_ANSWER /* does the work, then ends the connection */
};

#define FAKE_CHUNKS_MAX 256

struct fake_chunk {
    uint64_t seq;
    char sha256_hex[65];
    uint8_t *bytes;
    size_t n;
};

struct fake_server;

struct fake_server *fake_server_start(int port); /* 0: any free port; NULL when there is none */
void fake_server_stop(struct fake_server **s);
int fake_server_port(const struct fake_server *s);

/* The next `count` requests fail so; then all is well again. */
void fake_server_spoil(struct fake_server *s, enum fault fault, int count);

/* What hello answers. */
void fake_server_settings(struct fake_server *s, double sampling_fps, double chunk_s,
                          double uplink_kbps, uint64_t next_seq);
/* Another revision of the settings, told to who asks for updates. share 0: no limit. */
void fake_server_wish(struct fake_server *s, double share, double rate, double resolution);
/* Another revision with these wishes for sending samples: a JSON object (docs/api.md). */
void fake_server_transmission(struct fake_server *s, const char *object);
/* The last report that came (PUT .../inference); "" before. */
void fake_server_report(struct fake_server *s, char *ret, size_t size_bytes);
void fake_server_version(struct fake_server *s, uint64_t version);

/* Offered to whoever has `base`; the bytes are borrowed. version becomes the newest. */
void fake_server_update(struct fake_server *s, uint64_t base, uint64_t version, const void *delta,
                        size_t n);

int fake_server_requests(struct fake_server *s);
int fake_server_hellos(struct fake_server *s);
/* Number of different sequence numbers stored; a second content under one number aborts. */
/* The personal delta that the camera is to have, 0: none; the bytes are borrowed. What it says that
 * it has. */
void fake_server_own(struct fake_server *s, uint64_t number, const void *delta, size_t n);
uint64_t fake_server_camera_owns(struct fake_server *s);

int fake_server_chunk_count(struct fake_server *s);
struct fake_chunk fake_server_chunk(struct fake_server *s, int index);
/* The last "have" that was asked for, -1 before. */
long long fake_server_have(struct fake_server *s);

#endif
