/* fetch.h - talking with a server's HTTP interface: one request, one JSON answer.
 *
 * Threads: safe. Waits at most 10 s.
 */
#ifndef ATTUNE_CMD_FETCH_H
#define ATTUNE_CMD_FETCH_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "cmd/cmd.h"

#define FETCH_BYTES_MAX ((size_t)8 << 20)
#define FETCH_STANDARD_URL "http://127.0.0.1:8080"

/* The server to talk with, as options of a command name it. Where nothing is said: the one whose
 * control socket is in FETCH_STANDARD_STATE or FETCH_SYSTEM_STATE, else FETCH_STANDARD_URL. A token
 * in ATTUNE_TOKEN is shown to servers with a URL, but not in the clear. */
struct fetch_server {
    const char *url;   /* also "unix:PATH", of a control socket */
    const char *state; /* without url: DIR/control.sock */
    const char *user;  /* signs in with a password that is asked for, once a process */
    const char *ca;    /* PEM file that its certificate must be of, NULL: the system's */
    bool insecure;     /* no certificate is checked */
};

#define FETCH_STANDARD_STATE "attune-state"
#define FETCH_SYSTEM_STATE "/var/lib/attune"
#define FETCH_SERVER_INIT                                                                          \
    {                                                                                              \
        .url = NULL                                                                                \
    }

/* Rows of a command's table of options, and of its help. */
#define FETCH_OPTIONS(s)                                                                           \
    {"server", CMD_TEXT, &(s).url, 0, 0}, {"state", CMD_TEXT, &(s).state, 0, 0},                   \
        {"user", CMD_TEXT, &(s).user, 0, 0}, {"ca", CMD_TEXT, &(s).ca, 0, 0},                      \
    {                                                                                              \
        "insecure", CMD_FLAG, &(s).insecure, 0, 0                                                  \
    }
#define FETCH_HELP                                                                                 \
    "  --server URL   of the server, or unix:PATH (default: the control socket "                   \
    "in " FETCH_STANDARD_STATE "\n                 or " FETCH_SYSTEM_STATE                         \
    ", else " FETCH_STANDARD_URL ")\n"                                                             \
    "  --state DIR    of a server on this machine: by its control socket\n"                        \
    "  --user NAME    sign in; asks for the password (a token: in ATTUNE_TOKEN)\n"                 \
    "  --ca FILE      certificate of the server (STATE/tls/cert.pem there)\n"                      \
    "  --insecure     do not check the certificate\n"

/* GET path. *ret is a new reference. ST_NETWORK says what failed, with the address; ST_FORMAT: the
 * answer is no JSON. Where the server refuses, its sentence: ST_NOT_FOUND (404), ST_CONFLICT (409),
 * ST_DENIED (401, 403), ST_AGAIN (429, 503), otherwise ST_INVALID (4xx) or ST_NETWORK. */
enum status fetch_json(const struct fetch_server *server, const char *path, json_t **ret,
                       struct error *err);

/* The same with another method ("PUT", "POST", "DELETE") and a body, which is borrowed; NULL: none.
 * *ret is NULL where the server answers without a body (204). */
enum status fetch_send(const struct fetch_server *server, const char *method, const char *path,
                       const json_t *body, json_t **ret, struct error *err);

/* A saved answer instead; "-": standard input. ST_FORMAT: it is no JSON, or cannot be read. */
enum status fetch_saved(const char *path, json_t **ret, struct error *err);

#endif
