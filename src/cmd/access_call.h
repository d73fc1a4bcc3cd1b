/* access_call.h - what `attune access` and `attune user` share: their options and how they ask. */
#ifndef ATTUNE_CMD_ACCESS_CALL_H
#define ATTUNE_CMD_ACCESS_CALL_H

#include "cmd/fetch.h"

#define ACCESS_PATH_BYTES 160

/* A command line; what one of the two does not take stays as it is. */
struct access_call {
    const char *command;
    struct fetch_server server;
    const char *name, *role, *password_file;
    bool script, json;
};

struct access_command {
    const char *name, *help;
    const char *say; /* what to type, for a verb that is none */
    const struct cmd_verb *verbs;
    bool users; /* takes --password-file, else --script */
};

/* The word after the verb is the call's name. Returns the exit status. */
int access_run(const struct access_command *of, int argc, char **argv);

/* "KIND/NAME" and "/VERB" (NULL: none) below /v1/. False after a message: there can be no such
 * name. */
bool access_path(const struct access_call *c, const char *kind, const char *verb,
                 char ret[ACCESS_PATH_BYTES]);

/* False after a message: --role is missing. */
bool access_has_role(const struct access_call *c);

/* Sends. body: dropped, NULL: none. Prints member of the answer (NULL: none), or with --json the
 * whole answer. Returns the exit status. */
int access_send(const struct access_call *c, const char *method, const char *path, json_t *body,
                const char *member);

/* GETs a list; with --json it is printed here and *ret is NULL. Returns the exit status. */
int access_list(const struct access_call *c, const char *path, json_t **ret);

#endif
