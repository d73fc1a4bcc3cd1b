/* http.h - the HTTP daemon and the shape of a request and its reply. Internal to src/server.
 *
 * A thread a connection, connections bounded, so that a handler may wait (long poll) or do work
 * without holding others up. A handler sees one complete, size-checked request and fills a reply.
 *
 * Threads: handlers run in many threads at once.
 */
#ifndef ATTUNE_SERVER_HTTP_H
#define ATTUNE_SERVER_HTTP_H

#include <jansson.h>
#include <microhttpd.h>

#include "server/node.h"

#define HTTP_ARGS_MAX 2
#define HTTP_ARG_CHARS_MAX 127
#define HTTP_JSON_BYTES_MAX 65536
#define HTTP_WAIT_S_MAX 60
#define HTTP_ADDRESS_CHARS_MAX 63

/* Where a request came in. */
struct door {
    enum door_kind {
        DOOR_NETWORK,  /* the settings listen and http */
        DOOR_CHILDREN, /* a loopback port for our own processes */
        DOOR_SOCKET    /* STATE/control.sock: who may open it may do everything */
    } kind;
    bool tls, loopback; /* loopback: only this machine can reach it */
};

/* Who may ask for a path (routes.c). */
enum role {
    ROLE_ANYONE,
    ROLE_VIEW,    /* sees everything, changes nothing */
    ROLE_OPERATE, /* and changes what there is to change */
    ROLE_CAMERA,  /* the camera that the path names, nobody else */
    ROLE_LOCAL    /* who asks by the control socket: users and tokens are made there only */
};

/* Who asks. server/access.h says. */
struct caller {
    enum role role;                     /* ROLE_ANYONE: nobody that is known */
    bool local;                         /* by the control socket, or `auth` is off */
    bool by_cookie;                     /* a browser */
    char name[CAMERA_ID_CHARS_MAX + 1]; /* of the user, the token or the camera */
    char proof[65];                     /* SHA-256 of token or session, "" where there is none */
    uint64_t epoch;
};

struct request {
    struct server *server;
    struct MHD_Connection *connection;
    const struct door *door;
    struct caller caller;
    char args[HTTP_ARGS_MAX][HTTP_ARG_CHARS_MAX + 1]; /* what the route's stars matched */
    struct buf body;
};

struct reply_header {
    const char *name; /* a literal */
    char value[224];
};

struct reply {
    unsigned status;
    const char *type; /* a literal, NULL for none */
    struct buf body;
    const void *fixed; /* instead of body: bytes that live for ever */
    size_t fixed_bytes;
    struct reply_header headers[8];
    int header_count;
    struct MHD_Response *response; /* instead of all that but status: a stream */
};

typedef void http_handler(struct request *r, struct reply *out);

void reply_header(struct reply *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes the reference. */
void reply_json(struct reply *out, unsigned status, json_t *value);
void reply_error(struct reply *out, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The HTTP status that fits the code, with err's sentence. */
void reply_status(struct reply *out, enum status st, const struct error *err);

/* Query argument as a whole number in [min, max]; `standard` when it is absent. On a bad one the
 * reply is filled and false returned. */
bool request_number(struct request *r, const char *name, uint64_t standard, uint64_t min,
                    uint64_t max, uint64_t *ret, struct reply *out);
const char *request_query(struct request *r, const char *name);

/* Decimal without sign or spaces, 1..max. */
bool http_parse_number(const char *text, uint64_t max, uint64_t *ret);

/* Counts a waiter; false (reply filled, 503) when too many wait. Pair with http_wait_end. */
bool http_wait_begin(struct request *r, struct reply *out);
void http_wait_end(struct server *s);

/* Who has waited: may it still ask for this? */
bool http_wait_holds(const struct request *r);

/* The other side's address as text, of IPv6 its network (/64); "local" by the control socket:
 * ret[HTTP_ADDRESS_CHARS_MAX + 1]. */
void http_address(const struct request *r, char *ret);

/* address: "ADDR:PORT", "[V6]:PORT" or ":PORT". cert and key NULL: plain HTTP. */
enum status http_open(struct server *s, enum door_kind kind, const char *address,
                      const char *cert_pem, const char *key_pem, struct http **ret,
                      struct error *err);
/* STATE/control.sock, mode 0600. The folder is ours alone (store/store.h). */
enum status http_open_socket(struct server *s, struct http **ret, struct error *err);
/* Call bell_stop first: waiting handlers end then. */
void http_close(struct http **h);
int http_port(const struct http *h);

struct route {
    const char *method, *path;
    enum role role;
    http_handler *handler;
    size_t body_max; /* bytes */
};

/* routes.c: what answers; r->args are filled. NULL: reply filled with 404 or 405. */
const struct route *http_route(const char *method, const char *path, struct request *r,
                               struct reply *out);
size_t http_route_body_max(const struct server *s, const struct route *route);

/* Adds to a camera's object where it infers and what was told of it; the table only with points. */
void server_json_inference(struct server *s, json_t *camera, const char *id, bool points);

/* A row of versions as people and scripts see it. */
json_t *server_json_version(const struct store_version *v);

/* The handlers, by file. */
http_handler api_settings, api_report, api_labels;                          /* api_inference.c */
http_handler api_hello, api_chunk, api_updates;                             /* api_camera.c */
http_handler api_health, api_cameras, api_camera, api_series, api_versions; /* api_view.c */
http_handler api_frame, api_samples, api_classes;                           /* api_samples.c */
http_handler api_model;                                                     /* api_files.c */
http_handler api_settings_all, api_reload;                                  /* api_settings.c */
http_handler api_compute, api_compute_series, api_schedule;                 /* api_compute.c */
http_handler api_groups, api_group_versions;                                /* api_groups.c */
http_handler api_metrics;                                                   /* api_metrics.c */
http_handler api_drift;                                                     /* api_drift.c */
http_handler api_learning, api_group_rollback, api_camera_rollback, api_retrain; /* api_operate.c */
http_handler api_events;                                                         /* api_events.c */
http_handler api_asset;                                                          /* assets.c */
/* api_access.c */
http_handler api_session, api_sign_in, api_sign_out, api_enroll;
http_handler api_code, api_camera_revoke, api_tokens, api_token_put, api_token_revoke;
http_handler api_users, api_user_put, api_user_remove;

#endif
