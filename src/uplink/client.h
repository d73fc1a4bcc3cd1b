/* client.h - the camera's side of the HTTP interface (docs/api.md): hello, chunks, updates.
 *
 * One request at a time and every one bounded in time and bytes; the connection is kept alive
 * between them. Nothing is retried here: the caller asks struct backoff how long to wait.
 * HTTPS with the server's own certificate pinned by its file or its key, or plain HTTP to a
 * loopback address; plain HTTP to anywhere else is refused, since frames are private.
 *
 * Owns:    a libcurl handle and its buffers.
 * Threads: one thread a client (a camera opens one for uploads, one for updates); client_cancel
 *          and the counters from any.
 * Time:    libcurl's own timeouts; a paced connection reads base/clock.h.
 * Errors:  ST_NETWORK: no answer, try again; ST_AGAIN: answered "not now", see retry_after_s;
 *          ST_CONFLICT, ST_INVALID, ST_LIMIT: the server refuses and will go on refusing;
 *          ST_NOT_FOUND: it does not know this camera, say hello again;
 *          ST_DENIED: it does not take this camera's token (any more);
 *          ST_FORMAT: an answer that is not in the interface's form. The message holds the
 *          server's own sentence where it gave one.
 */
#ifndef ATTUNE_UPLINK_CLIENT_H
#define ATTUNE_UPLINK_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/rng.h"
#include "flow/records.h"
#include "uplink/gaimd.h"
#include "uplink/message.h"

#define CLIENT_UPDATE_BYTES_MAX ((size_t)256 << 20)
#define CLIENT_LABELS_BYTES_MAX ((size_t)64 << 20)

struct client_options {
    const char *url;       /* "https://host:port" or "http://127.0.0.1:port"; no path needed */
    const char *camera_id; /* [a-z0-9_-], 1..CAMERA_ID_CHARS_MAX */
    const char *ca_path;   /* PEM of the only certificate to trust; NULL: the system's */
    const char *pin;       /* "sha256//BASE64" of the only public key to trust; NULL: by ca_path */
    const char *token;     /* that says that this is that camera; NULL: none */
    bool insecure;         /* do not check the certificate: tests only */
    int connect_timeout_s; /* default 5 */
    int request_timeout_s; /* default 30, on top of a long poll's own waiting time */
};

void client_options_init(struct client_options *o);

/* ST_INVALID: no URL of a server, no camera id (NULL: not looked at); ST_DENIED: frames and secrets
 * would go in the clear. */
enum status client_check(const char *url, const char *camera_id, struct error *err);

struct client;

enum status client_open(const struct client_options *options, struct client **ret,
                        struct error *err);
void client_close(struct client **c);

/* Ends the request that is running (ST_NETWORK) and all later ones, from another thread. */
void client_cancel(struct client *c);

/* How the connection is paced; all 0 for one that is not. From the thread that uses it. */
struct client_pacing {
    double rate_kbps;    /* that may be sent now */
    double goodput_kbps; /* that was acknowledged while something was being sent; 0: not measured */
    double queue_s;      /* that others and this sender keep on the way, base_s: without */
    double base_s;
};

void client_pacing_get(const struct client *c, struct client_pacing *ret);

/* What is sent keeps to this law's rate from now on (uplink/pacing.h); NULL, as at open: as fast as
 * TCP will. Copied. From the thread that uses the connection. */
void client_pace(struct client *c, const struct gaimd_options *o);

struct client_hello {
    const char *student_identity_hex; /* 64 characters */
    const char *task;                 /* task_name */
    int width, height;
    double fps;
    uint64_t version;                   /* of the parameters that run now */
    const char *state;                  /* short text for the page, NULL for none */
    double latitude_deg, longitude_deg; /* of the camera; NaN: not known */
};

enum status client_say_hello(struct client *c, const struct client_hello *hello,
                             struct client_settings *ret, struct error *err);

/* What hello answers, without a hello. */
enum status client_get_settings(struct client *c, struct client_settings *ret, struct error *err);

enum status client_put_report(struct client *c, const struct inference_report *report,
                              struct error *err);

/* Appends the label file (label/label_file.h) of the one frame that was sampled at t_us to *labels.
 * ST_NOT_FOUND: not labelled (yet), or not kept any more. */
enum status client_get_labels(struct client *c, uint64_t t_us, struct buf *labels,
                              struct error *err);

struct client_put {
    bool already;         /* 200: stored before; 201 otherwise */
    double sampling_fps;  /* 0: not said */
    uint64_t version;     /* newest on the server */
    double retry_after_s; /* with ST_AGAIN, else 0 */
};

/* *ret is filled on ST_OK and, for retry_after_s, on ST_AGAIN. */
enum status client_put_chunk(struct client *c, uint64_t seq, const void *chunk, size_t n,
                             struct client_put *ret, struct error *err);

/* What the camera has. */
struct client_have {
    uint64_t version;
    uint64_t own;      /* number of its personal delta (delta/personal.h), 0: none */
    uint64_t revision; /* of the settings that it knows, 0: no matter */
};

struct client_update {
    uint64_t base, version;
    uint64_t own;         /* number of the personal delta that it is to have, 0: none. Where that is
                           * not what it has, and the version is: delta is that one, empty for none */
    uint64_t revision;    /* of the server's settings, 0: it does not say */
    double retry_after_s; /* with ST_AGAIN: 0 after a poll without news, else "not now" */
    struct buf delta;     /* emptied and filled; the caller's to init and clear */
};

/* Long poll: ST_AGAIN after wait_s without news (204), at once when the settings are of another
 * revision than the one known, or when the server is busy. update->revision is also filled on
 * ST_AGAIN. */
enum status client_get_update(struct client *c, const struct client_have *have, int wait_s,
                              struct client_update *update, struct error *err);

/* Bytes since open, HTTP headers included, TLS and TCP not. */
struct client_traffic {
    uint64_t up_bytes, down_bytes, requests, failures;
};

void client_traffic_get(const struct client *c, struct client_traffic *ret);

/* Exponential back-off with full jitter: the n-th wait is uniform in [half, whole] of
 * min(first * 2^n, max). */
struct backoff {
    uint64_t first_us, max_us;
    int failures;
};

void backoff_init(struct backoff *b, uint64_t first_us, uint64_t max_us);

/* One more failure: how long to wait now. */
uint64_t backoff_next_us(struct backoff *b, struct rng *rng);
void backoff_reset(struct backoff *b);

#endif
