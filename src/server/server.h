/* server.h - the node that labels, retrains and streams updates.
 *
 * Threads of its own: the HTTP daemon's (one a connection, bounded), one that labels (nice +5), one
 * that runs training phases in the worker process (nice +10), one that looks after the processes of
 * cameras that only stream. The interface: docs/api.md.
 *
 * Owns:    the state folder while open, its threads, the worker process, the streams' processes.
 * Threads: open, stop and close from one thread.
 * Time:    base/clock.h.
 * Errors:  at open: models that do not fit, address in use, a state folder of another student.
 */
#ifndef ATTUNE_SERVER_SERVER_H
#define ATTUNE_SERVER_SERVER_H

#include "base/error.h"
#include "server/settings.h"

struct server_options {
    struct settings settings;
    struct camera_list cameras; /* borrowed: it must live as long as the server */
    /* Where both came from, for a reload; what it names is borrowed. No path: there is none. */
    struct settings_sources sources;
    /* Program and arguments of the worker, NULL-terminated; NULL: /proc/self/exe worker. */
    char *const *worker_argv;
    /* The program that runs as `attune camera` for cameras that only stream; NULL: this one. */
    const char *camera_program;
    const char *version, *revision; /* for GET /metrics; NULL: not known */
    bool no_label_thread;           /* tests: chunks stay unlabelled */
    bool no_worker;                 /* tests: no phases */
};

struct server;

/* Returns when everything listens and runs. The options are copied. */
enum status server_open(const struct server_options *options, struct server **ret,
                        struct error *err);

/* Ends connections, threads and the worker; what was accepted is durable already. */
void server_close(struct server **s);

/* Reads again what options.sources name. What is wrong changes nothing (event config_refused, the
 * first sentence in *err); else what can change at once does, cameras one by one, and the event
 * config_loaded says what changed and what needs a restart; err->message has its sentence. Any
 * thread. ST_UNSUPPORTED: the server was started without a file. */
enum status server_reload(struct server *s, struct error *err);

/* For whoever calls it every second or so, from one thread: reloads when the setting watch_config
 * is on and a file has changed and is still since the last call. */
void server_watch(struct server *s);

/* The port of plain HTTP or HTTPS (0: off): settings may ask for port 0, any free one. */
int server_http_port(const struct server *s);
int server_https_port(const struct server *s);

/* SHA-256 of the HTTPS certificate (64 hex digits), "" without HTTPS. */
const char *server_certificate_hex(const struct server *s);

/* The name of a loop of the server that has not gone round for limit_us, NULL when all do. From any
 * thread. */
const char *server_stalled(const struct server *s, uint64_t now_us, uint64_t limit_us);

/* What has been done since the start, a line for people. */
void server_sum_up(const struct server *s, char *ret, size_t size_bytes);

#endif
