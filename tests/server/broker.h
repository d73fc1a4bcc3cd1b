/* broker.h - a real mosquitto on a free port that lets one user in, and a real client of it that
 * remembers what came. */
#ifndef ATTUNE_TESTS_SERVER_BROKER_H
#define ATTUNE_TESTS_SERVER_BROKER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define BROKER_USER "attune"
#define BROKER_PASSWORD "a long word"

/* False: there is no mosquitto on this machine. */
bool broker_is_there(void);

struct broker {
    char dir[128];
    int port, pid;
    char address[64], password_file[160];
};

/* Files go below dir; the port stays for broker_start after broker_stop. */
void broker_init(struct broker *b, const char *dir);
void broker_start(struct broker *b);
void broker_stop(struct broker *b);

struct listener;

/* Subscribes to everything. */
struct listener *listener_open(const struct broker *b);
void listener_close(struct listener **l);

/* The newest payload on the topic after message number `after` that holds `part` ("": any), waited
 * for; fails the test after a minute. The caller frees it. *ret_at (NULL allowed): its number. */
char *listener_await(struct listener *l, const char *topic, const char *part, size_t after,
                     size_t *ret_at);
/* How many came so far. */
size_t listener_count(struct listener *l);
/* Of messages with `topic` in the topic, calls back for each. */
void listener_each(struct listener *l, const char *topic,
                   void (*each)(void *context, const char *topic, const char *payload,
                                bool retained),
                   void *context);
void listener_publish(struct listener *l, const char *topic, const char *payload, bool retained);

#endif
