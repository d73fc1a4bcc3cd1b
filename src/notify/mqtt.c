/* mqtt.c - libmosquitto's connection under a poll of ours: its own loop uses select, which ends at
 * 1024 descriptors, and its connect waits for minutes for a host or a name server that does not
 * answer. So a connection is tried without waiting first. */
#include "notify/mqtt.h"

#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/lookup.h"
#include "base/rng.h"
#include "notify/mqtt_address.h"

#define PASSWORD_BYTES_MAX 4096
#define REACH_US ((uint64_t)5 * 1000000)
#define FAREWELL_US ((uint64_t)1000000)
#define TICK_MS 1000
#define REASON_CHARS_MAX 200

struct mqtt {
    struct mqtt_options options; /* texts are ours */
    char *texts[6 + MQTT_SUBSCRIPTIONS_MAX];
    int text_count;
    struct mqtt_address address;
    struct mosquitto *client;
    struct outbox *outbox;
    struct rng rng;
    int wake_fd;
    atomic_bool stop, connected;
    atomic_ullong connections, received;
    atomic_int inflight;
    uint64_t wait_us; /* before the next try */
    char reason[REASON_CHARS_MAX + 1];
    pthread_t thread;
    bool running;
};

static void wake(struct mqtt *m)
{
    uint64_t one = 1;
    ssize_t ignored = write(m->wake_fd, &one, sizeof one);
    (void)ignored;
}

/* ---- what the library calls ---- */

static void say(struct mqtt *m, bool connected, const char *reason)
{
    if (m->options.on_state)
        m->options.on_state(m->options.context, connected, reason);
}

static void on_connect(struct mosquitto *client, void *context, int code)
{
    struct mqtt *m = context;
    if (code != 0) {
        snprintf(m->reason, sizeof m->reason, "the broker refuses us: %s",
                 mosquitto_connack_string(code));
        return;
    }
    for (int i = 0; i < MQTT_SUBSCRIPTIONS_MAX && m->options.subscriptions[i]; i++)
        mosquitto_subscribe(client, NULL, m->options.subscriptions[i], 1);
    atomic_store(&m->inflight, 0);
    if (mosquitto_publish(client, NULL, m->options.available_topic, 6, "online", 1, true) == 0)
        atomic_fetch_add(&m->inflight, 1);
    m->wait_us = MQTT_RETRY_FIRST_US;
    atomic_store(&m->connected, true);
    atomic_fetch_add(&m->connections, 1);
    say(m, true, "");
}

static void on_publish(struct mosquitto *client, void *context, int id)
{
    (void)client;
    (void)id;
    struct mqtt *m = context;
    if (atomic_load(&m->inflight) > 0)
        atomic_fetch_sub(&m->inflight, 1);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *got)
{
    (void)client;
    struct mqtt *m = context;
    atomic_fetch_add(&m->received, 1);
    if (!got->retain && got->payloadlen >= 0 && got->payloadlen <= MQTT_RECEIVED_BYTES_MAX &&
        m->options.on_message)
        m->options.on_message(m->options.context, got->topic, got->payload,
                              (size_t)got->payloadlen);
}

/* ---- connecting ---- */

static bool connect_ended(int fd, struct mqtt *m)
{
    uint64_t until_us = clock_mono_us() + REACH_US;
    int code = ETIMEDOUT;
    socklen_t n = sizeof code;
    while (!atomic_load(&m->stop) && clock_mono_us() < until_us) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 100) > 0)
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n) == 0 && code == 0;
    }
    return false;
}

static bool try_address(struct mqtt *m, const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return false;
    bool ok = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ||
              (errno == EINPROGRESS && connect_ended(fd, m));
    close(fd);
    return ok;
}

static bool is_stopped(void *context)
{
    struct mqtt *m = context;
    return atomic_load(&m->stop);
}

/* Is anybody listening there? Otherwise m->reason says why not. */
static bool reach(struct mqtt *m)
{
    const struct mqtt_address *at = &m->address;
    struct addrinfo *list;
    struct error err;
    if (lookup_host(at->host, at->port, is_stopped, m, &list, &err) != ST_OK) {
        snprintf(m->reason, sizeof m->reason, "%.200s", err.message);
        return false;
    }
    bool ok = false;
    for (const struct addrinfo *a = list; a && !ok; a = a->ai_next)
        ok = try_address(m, a);
    freeaddrinfo(list);
    if (!ok)
        snprintf(m->reason, sizeof m->reason, "nobody answers at %.150s port %d", at->host,
                 at->port);
    return ok;
}

/* The file is read each time: a password may be changed while we run. */
static enum status set_password(struct mqtt *m, struct error *err)
{
    struct buf b;
    const struct mqtt_options *o = &m->options;
    buf_init(&b);
    enum status st =
        o->password_file[0] ? file_read(o->password_file, PASSWORD_BYTES_MAX, &b, err) : ST_OK;
    buf_put_u8(&b, 0);
    if (st == ST_OK && b.failed)
        st = error_set(err, ST_NOMEM, "no memory for a password");
    if (st == ST_OK) {
        b.data[strcspn((char *)b.data, "\r\n")] = '\0';
        mosquitto_username_pw_set(m->client, o->user[0] ? o->user : NULL,
                                  o->password_file[0] ? (const char *)b.data : NULL);
    }
    if (b.data)
        explicit_bzero(b.data, b.size_bytes);
    buf_clear(&b);
    return st;
}

static const char *why(int code)
{
    if (code == MOSQ_ERR_TLS)
        return "TLS fails: its certificate is none that mqtt_ca vouches for, or it speaks no TLS "
               "at this port";
    return code == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(code);
}

static bool connect_now(struct mqtt *m)
{
    struct error err = {0};
    if (set_password(m, &err) != ST_OK) {
        snprintf(m->reason, sizeof m->reason, "%.200s", err.message);
        return false;
    }
    if (!reach(m))
        return false;
    m->reason[0] = '\0';
    int code = mosquitto_connect(m->client, m->address.host, m->address.port, MQTT_KEEPALIVE_S);
    if (code != 0)
        snprintf(m->reason, sizeof m->reason, "%s", why(code));
    return code == 0;
}

/* Between half and all of the wait, which doubles. */
static uint64_t next_try_us(struct mqtt *m)
{
    uint64_t wait_us = m->wait_us / 2 + rng_below(&m->rng, (uint32_t)(m->wait_us / 2));
    m->wait_us = m->wait_us * 2 < MQTT_RETRY_MAX_US ? m->wait_us * 2 : MQTT_RETRY_MAX_US;
    return clock_mono_us() + wait_us;
}

/* ---- the thread ---- */

static void drain_wakes(struct mqtt *m)
{
    uint64_t n;
    ssize_t ignored = read(m->wake_fd, &n, sizeof n);
    (void)ignored;
}

/* As much as the broker may have unacknowledged. False: the connection is gone. */
static bool hand_over(struct mqtt *m)
{
    struct outbox_message one;
    while (atomic_load(&m->connected) && atomic_load(&m->inflight) < MQTT_INFLIGHT_MAX &&
           outbox_take(m->outbox, &one)) {
        atomic_fetch_add(&m->inflight, 1);
        int code = mosquitto_publish(m->client, NULL, one.topic, (int)one.payload_bytes,
                                     one.payload, one.quality, one.retained);
        outbox_message_clear(&one);
        if (code != 0)
            atomic_fetch_sub(&m->inflight, 1);
        if (code == MOSQ_ERR_NO_CONN || code == MOSQ_ERR_CONN_LOST)
            return false;
    }
    return true;
}

/* Waits for the socket or for news, at most ms. False: the connection is gone. */
static bool turn(struct mqtt *m, int ms)
{
    int fd = mosquitto_socket(m->client), code = 0;
    if (fd < 0)
        return false;
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = m->wake_fd, .events = POLLIN}};
    if (mosquitto_want_write(m->client))
        p[0].events |= POLLOUT;
    poll(p, 2, ms);
    if (p[1].revents)
        drain_wakes(m);
    if (p[0].revents & (POLLIN | POLLERR | POLLHUP))
        code = mosquitto_loop_read(m->client, 1);
    if (code == 0 && (p[0].revents & POLLOUT))
        code = mosquitto_loop_write(m->client, 1);
    if (code == 0)
        code = mosquitto_loop_misc(m->client);
    if (code != 0 && !m->reason[0])
        snprintf(m->reason, sizeof m->reason, "%s", why(code));
    return code == 0 && hand_over(m);
}

static void lose(struct mqtt *m)
{
    atomic_store(&m->connected, false);
    mosquitto_disconnect(m->client);
    say(m, false, m->reason[0] ? m->reason : "the connection broke");
}

static void pause_until(struct mqtt *m, uint64_t until_us)
{
    uint64_t now_us;
    while (!atomic_load(&m->stop) && (now_us = clock_mono_us()) < until_us) {
        struct pollfd p = {.fd = m->wake_fd, .events = POLLIN};
        if (poll(&p, 1, (int)((until_us - now_us) / 1000 + 1)) > 0)
            drain_wakes(m);
    }
}

static void farewell(struct mqtt *m)
{
    uint64_t until_us = clock_mono_us() + FAREWELL_US;
    if (!atomic_load(&m->connected))
        return;
    atomic_fetch_add(&m->inflight, 1);
    mosquitto_publish(m->client, NULL, m->options.available_topic, 7, "offline", 1, true);
    while (atomic_load(&m->inflight) > 0 && clock_mono_us() < until_us && turn(m, 50))
        ;
    mosquitto_disconnect(m->client);
    turn(m, 0);
}

static void *work(void *context)
{
    struct mqtt *m = context;
    while (!atomic_load(&m->stop)) {
        if (connect_now(m))
            while (!atomic_load(&m->stop) && turn(m, TICK_MS))
                ;
        if (atomic_load(&m->stop))
            break;
        lose(m);
        pause_until(m, next_try_us(m));
    }
    farewell(m);
    return NULL;
}

/* ---- open and close ---- */

static void init_library(void)
{
    mosquitto_lib_init();
}

static bool keep(struct mqtt *m, const char **text)
{
    char *copy = strdup(*text ? *text : "");
    m->texts[m->text_count++] = copy;
    *text = copy;
    return copy;
}

static bool keep_texts(struct mqtt *m)
{
    struct mqtt_options *o = &m->options;
    bool ok = keep(m, &o->address) && keep(m, &o->user) && keep(m, &o->password_file) &&
              keep(m, &o->ca_path) && keep(m, &o->client_id) && keep(m, &o->available_topic);
    for (int i = 0; i < MQTT_SUBSCRIPTIONS_MAX && ok && o->subscriptions[i]; i++)
        ok = keep(m, &o->subscriptions[i]);
    return ok;
}

static enum status set_up(struct mqtt *m, struct error *err)
{
    const struct mqtt_options *o = &m->options;
    m->client = mosquitto_new(o->client_id, true, m);
    if (!m->client)
        return error_set(err, ST_INVALID, "'%.60s' is no MQTT client id", o->client_id);
    mosquitto_connect_callback_set(m->client, on_connect);
    mosquitto_publish_callback_set(m->client, on_publish);
    mosquitto_message_callback_set(m->client, on_message);
    if (mosquitto_will_set(m->client, o->available_topic, 7, "offline", 1, true) != 0)
        return error_set(err, ST_INVALID, "'%.60s' is no MQTT topic", o->available_topic);
    if (!m->address.tls)
        return ST_OK;
    int code = o->ca_path[0]
                   ? mosquitto_tls_set(m->client, o->ca_path, NULL, NULL, NULL, NULL)
                   : mosquitto_tls_set(m->client, NULL, "/etc/ssl/certs", NULL, NULL, NULL);
    if (code == 0)
        code = mosquitto_tls_insecure_set(m->client, o->insecure);
    if (code == 0 && o->insecure)
        code = mosquitto_tls_opts_set(m->client, 0, NULL, NULL);
    return code == 0 ? ST_OK
                     : error_set(err, ST_INVALID, "the certificates in '%.200s' cannot be used: %s",
                                 o->ca_path, mosquitto_strerror(code));
}

enum status mqtt_open(const struct mqtt_options *options, struct mqtt **ret, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct mqtt_address address;
    enum status st = mqtt_address_read(options->address, &address, err);
    if (st != ST_OK)
        return st;
    pthread_once(&once, init_library);
    struct mqtt *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(err, ST_NOMEM, "no memory for the MQTT client");
    m->options = *options;
    m->address = address;
    m->wait_us = MQTT_RETRY_FIRST_US;
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rng_init(&m->rng, options->seed, 7);
    st = keep_texts(m) && m->wake_fd >= 0
             ? outbox_open(MQTT_MESSAGES_MAX, MQTT_BYTES_MAX, &m->outbox, err)
             : error_set(err, ST_NOMEM, "no memory for the MQTT client");
    if (st == ST_OK)
        st = set_up(m, err);
    if (st == ST_OK) {
        m->running = pthread_create(&m->thread, NULL, work, m) == 0;
        if (!m->running)
            st = error_set(err, ST_NOMEM, "no thread for the MQTT client");
    }
    if (st != ST_OK) {
        mqtt_close(&m);
        return st;
    }
    *ret = m;
    return ST_OK;
}

void mqtt_close(struct mqtt **ptr)
{
    struct mqtt *m = ptr ? *ptr : NULL;
    if (!m)
        return;
    atomic_store(&m->stop, true);
    if (m->running) {
        wake(m);
        pthread_join(m->thread, NULL);
    }
    if (m->client)
        mosquitto_destroy(m->client);
    if (m->wake_fd >= 0)
        close(m->wake_fd);
    outbox_close(&m->outbox);
    for (int i = 0; i < m->text_count; i++)
        free(m->texts[i]);
    free(m);
    *ptr = NULL;
}

void mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t n, int quality,
                  bool retained)
{
    outbox_put(m->outbox, topic, payload, n, quality, retained);
    wake(m);
}

void mqtt_counts(struct mqtt *m, struct mqtt_counts *ret)
{
    outbox_counts(m->outbox, &ret->outbox);
    ret->connected = atomic_load(&m->connected);
    ret->connections = atomic_load(&m->connections);
    ret->received = atomic_load(&m->received);
}
