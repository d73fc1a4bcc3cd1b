/* kit.h - a real server on a loopback port with tiny networks, and what a camera would send it. */
#ifndef ATTUNE_TESTS_SERVER_KIT_H
#define ATTUNE_TESTS_SERVER_KIT_H

#include <jansson.h>

#include "server/node.h"
#include "server/server.h"
#include "uplink/message.h"

#define KIT_SIDE 32
#define KIT_CLASSES 3

struct kit {
    char dir[64];
    struct server_options options; /* change, then kit_start */
    struct server *server;
    char identity_hex[65];  /* of the student */
    const char *headers[4]; /* "Name: value", sent with every request */
};

/* For main: true where this process is a worker that the server started, which has worked and is to
 * end with *ret_status. Else quiet logs, and curl is ready. */
bool kit_is_worker(int argc, char **argv, int *ret_status);

/* The arguments of such a worker: this program itself. */
extern char *const kit_worker_argv[];

/* Workers of this program, which train often, little and without a gate: every phase is a version.
 */
void kit_trains(struct kit *k, const char *policy, int workers, int steps);

/* Its streams are run by the program in ATTUNE_PROGRAM, which must be there: a server without that
 * would start this test as its cameras. */
void kit_streams(struct kit *k);
/* The cameras of a configuration, into the options. */
void kit_cameras(struct kit *k, const char *yaml);

/* Makes a folder with student.onnx and teacher.onnx; HTTP on a free port, no HTTPS, no auth. */
struct kit *kit_open(void);
void kit_close(struct kit **k);
void kit_start(struct kit *k); /* fails the test when it does not */
void kit_stop(struct kit *k);

struct answer {
    long status;
    struct buf body;    /* NUL-terminated beyond size_bytes */
    char headers[2048]; /* as received */
};

/* method, path with query, body (NULL: none). The answer is cleared first; zero it once. */
void kit_ask(struct kit *k, const char *method, const char *path, const void *body, size_t n,
             struct answer *a);
void answer_clear(struct answer *a);

/* Shorthands that also check the status. */
json_t *kit_json(struct kit *k, const char *path, long status);
void kit_hello(struct kit *k, const char *camera);
long kit_put(struct kit *k, const char *camera, uint64_t seq, const struct buf *chunk);

/* A chunk of `count` pictures, one a second from t_us on. */
void kit_chunk(const char *camera, uint64_t seq, int count, uint64_t t_us, uint64_t version,
               struct buf *out);

/* The same in another size; the pictures are noise-free and large ones take a moment. */
void kit_chunk_sized(const char *camera, uint64_t seq, int count, int width, int height,
                     uint64_t t_us, uint64_t version, struct buf *out);

/* The newest event of a kind of the camera after `after`; 0 for none. *ret_reason (NULL allowed) is
 * the caller's to free. */
uint64_t kit_event_of(struct kit *k, const char *camera, const char *kind, uint64_t after,
                      char **ret_reason);

/* Uploads the camera's next chunk, of four pictures; *seq is the last one's number. */
void kit_upload(struct kit *k, const char *camera, uint64_t *seq);
void kit_upload_sized(struct kit *k, const char *camera, uint64_t *seq, int width, int height);

/* The camera's version, and waiting for one; waiting for the camera's event. */
json_int_t kit_version(struct kit *k, const char *camera);
void kit_await_version(struct kit *k, const char *camera, json_int_t least);
/* Starts the server; the camera comes, sends frames, counted in *seq, and has its first version. */
void kit_start_trained(struct kit *k, const char *camera, uint64_t *seq);
/* The same where a training would take long: new frames, uploaded when one is under way, end it. */
void kit_hurry_version(struct kit *k, const char *camera, uint64_t *seq, json_int_t least);
uint64_t kit_await_event(struct kit *k, const char *camera, const char *kind, uint64_t after,
                         char **ret_reason);
/* Whether a worker trains the group; waiting for that. */
bool kit_trains_now(struct kit *k, const char *group);
void kit_await_training(struct kit *k, const char *group);
/* What the camera has told of its inference; false before. */
bool kit_told(struct kit *k, const char *camera, struct inference_report *ret);
/* Until it is so of the camera; fails the test when that takes long. */
void kit_await_so(bool (*is_so)(const char *camera), const char *camera);
void kit_pause(void); /* a hundredth of a second */

/* On the loopback address, free a moment ago. */
int kit_free_port(void);

/* Reads events after `after` until one of `kind` comes (bounded); returns its id. */
uint64_t kit_await(struct kit *k, const char *kind, uint64_t after);

#endif
