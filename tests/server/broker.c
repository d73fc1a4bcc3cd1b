#include "broker.h"

#include <arpa/inet.h>
#include <mosquitto.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kit.h"

#define MESSAGES_MAX 20000
#define AWAIT_US ((uint64_t)60 * 1000000)

static const char *program(void)
{
    static const char *const paths[] = {"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto",
                                        "/usr/bin/mosquitto"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

bool broker_is_there(void)
{
    return program() && system("command -v mosquitto_passwd >/dev/null") == 0;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

void broker_init(struct broker *b, const char *dir)
{
    char path[200], text[600];
    memset(b, 0, sizeof *b);
    snprintf(b->dir, sizeof b->dir, "%s", dir);
    b->port = kit_free_port();
    snprintf(b->address, sizeof b->address, "127.0.0.1:%d", b->port);
    snprintf(b->password_file, sizeof b->password_file, "%s/mqtt-password", dir);
    write_text(b->password_file, BROKER_PASSWORD "\n");
    snprintf(text, sizeof text, "mosquitto_passwd -c -b '%s/mosquitto.passwd' %s '%s'", dir,
             BROKER_USER, BROKER_PASSWORD);
    assert_int_equal(system(text), 0);
    snprintf(path, sizeof path, "%s/mosquitto.conf", dir);
    snprintf(text, sizeof text,
             "listener %d 127.0.0.1\nallow_anonymous false\npassword_file %s/mosquitto.passwd\n"
             "persistence false\nlog_dest file %s/mosquitto.log\nuser root\n",
             b->port, dir, dir);
    write_text(path, text);
}

static void await_port(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint64_t until_us = clock_mono_us() + AWAIT_US;
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int code = connect(fd, (struct sockaddr *)&at, sizeof at);
        close(fd);
        if (code == 0)
            return;
        if (clock_mono_us() > until_us)
            fail_msg("mosquitto does not listen on port %d", port);
        clock_sleep_until_us(clock_mono_us() + 10000);
    }
}

void broker_start(struct broker *b)
{
    char path[200];
    snprintf(path, sizeof path, "%s/mosquitto.conf", b->dir);
    b->pid = fork();
    assert_true(b->pid >= 0);
    if (b->pid == 0) {
        execl(program(), "mosquitto", "-c", path, (char *)NULL);
        _exit(127);
    }
    await_port(b->port);
}

void broker_stop(struct broker *b)
{
    if (b->pid <= 0)
        return;
    kill(b->pid, SIGTERM);
    waitpid(b->pid, NULL, 0);
    b->pid = 0;
}

/* ---- the client ---- */

struct message {
    char *topic, *payload;
    bool retained;
};

struct listener {
    struct mosquitto *client;
    pthread_mutex_t mutex;
    struct message *messages;
    size_t count;
    bool subscribed;
};

static void on_connect(struct mosquitto *client, void *context, int code)
{
    (void)context;
    if (code == 0)
        mosquitto_subscribe(client, NULL, "#", 1);
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int n, const int *granted)
{
    (void)client;
    (void)id;
    (void)n;
    (void)granted;
    struct listener *l = context;
    pthread_mutex_lock(&l->mutex);
    l->subscribed = true;
    pthread_mutex_unlock(&l->mutex);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *m)
{
    (void)client;
    struct listener *l = context;
    pthread_mutex_lock(&l->mutex);
    if (l->count < MESSAGES_MAX)
        l->messages[l->count++] = (struct message){
            strdup(m->topic), strndup(m->payload ? m->payload : "", (size_t)m->payloadlen),
            m->retain};
    pthread_mutex_unlock(&l->mutex);
}

static bool is_subscribed(struct listener *l)
{
    pthread_mutex_lock(&l->mutex);
    bool yes = l->subscribed;
    pthread_mutex_unlock(&l->mutex);
    return yes;
}

struct listener *listener_open(const struct broker *b)
{
    struct listener *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->messages = calloc(MESSAGES_MAX, sizeof *l->messages);
    assert_non_null(l->messages);
    pthread_mutex_init(&l->mutex, NULL);
    mosquitto_lib_init();
    l->client = mosquitto_new(NULL, true, l);
    assert_non_null(l->client);
    mosquitto_username_pw_set(l->client, BROKER_USER, BROKER_PASSWORD);
    mosquitto_connect_callback_set(l->client, on_connect);
    mosquitto_subscribe_callback_set(l->client, on_subscribe);
    mosquitto_message_callback_set(l->client, on_message);
    assert_int_equal(mosquitto_connect(l->client, "127.0.0.1", b->port, 30), 0);
    assert_int_equal(mosquitto_loop_start(l->client), 0);
    uint64_t until_us = clock_mono_us() + AWAIT_US;
    while (!is_subscribed(l)) {
        assert_true(clock_mono_us() < until_us);
        clock_sleep_until_us(clock_mono_us() + 5000);
    }
    return l;
}

void listener_close(struct listener **ptr)
{
    struct listener *l = *ptr;
    if (!l)
        return;
    mosquitto_disconnect(l->client);
    mosquitto_loop_stop(l->client, true);
    mosquitto_destroy(l->client);
    for (size_t i = 0; i < l->count; i++) {
        free(l->messages[i].topic);
        free(l->messages[i].payload);
    }
    pthread_mutex_destroy(&l->mutex);
    free(l->messages);
    free(l);
    *ptr = NULL;
}

static char *look(struct listener *l, const char *topic, const char *part, size_t after,
                  size_t *ret_at)
{
    char *found = NULL;
    pthread_mutex_lock(&l->mutex);
    for (size_t i = l->count; i > after && !found; i--) {
        const struct message *m = &l->messages[i - 1];
        if (strcmp(m->topic, topic) == 0 && strstr(m->payload, part)) {
            found = strdup(m->payload);
            if (ret_at)
                *ret_at = i;
        }
    }
    pthread_mutex_unlock(&l->mutex);
    return found;
}

char *listener_await(struct listener *l, const char *topic, const char *part, size_t after,
                     size_t *ret_at)
{
    uint64_t until_us = clock_mono_us() + AWAIT_US;
    char *found;
    while (!(found = look(l, topic, part, after, ret_at))) {
        if (clock_mono_us() > until_us)
            fail_msg("no message on %s with '%s'", topic, part);
        clock_sleep_until_us(clock_mono_us() + 10000);
    }
    return found;
}

size_t listener_count(struct listener *l)
{
    pthread_mutex_lock(&l->mutex);
    size_t n = l->count;
    pthread_mutex_unlock(&l->mutex);
    return n;
}

void listener_each(struct listener *l, const char *topic,
                   void (*each)(void *context, const char *topic, const char *payload,
                                bool retained),
                   void *context)
{
    size_t n = listener_count(l);
    for (size_t i = 0; i < n; i++)
        if (strstr(l->messages[i].topic, topic))
            each(context, l->messages[i].topic, l->messages[i].payload, l->messages[i].retained);
}

void listener_publish(struct listener *l, const char *topic, const char *payload, bool retained)
{
    assert_int_equal(
        mosquitto_publish(l->client, NULL, topic, (int)strlen(payload), payload, 1, retained), 0);
}
