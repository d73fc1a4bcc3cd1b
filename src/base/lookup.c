/* lookup.c - a thread that is not waited for, and a request that its last owner frees. */
#include "base/lookup.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define LOOK_US 100000

struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *host, port[8];
    bool over, abandoned; /* under the lock */
    int code;
    struct addrinfo *list;
};

static struct lookup *lookup_new(const char *host, int port)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->host = strdup(host);
    if (!l->host) {
        free(l);
        return NULL;
    }
    snprintf(l->port, sizeof l->port, "%d", port);
    pthread_mutex_init(&l->lock, NULL);
    clock_cond_init(&l->changed);
    return l;
}

static void lookup_free(struct lookup *l)
{
    if (l->list)
        freeaddrinfo(l->list);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l->host);
    free(l);
}

static int ask(const char *host, const char *port, int flags, struct addrinfo **ret)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    *ret = NULL;
    return getaddrinfo(host, port, &hints, ret);
}

static void *run(void *context)
{
    struct lookup *l = context;
    struct addrinfo *list;
    int code = ask(l->host, l->port, 0, &list);
    pthread_mutex_lock(&l->lock);
    l->code = code;
    l->list = list;
    l->over = true;
    bool abandoned = l->abandoned;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (abandoned)
        lookup_free(l);
    return NULL;
}

static bool start(struct lookup *l)
{
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    bool ok = pthread_create(&thread, &detached, run, l) == 0;
    pthread_attr_destroy(&detached);
    return ok;
}

/* False: it was left to its thread. */
static bool await(struct lookup *l, bool (*stop)(void *context), void *context)
{
    pthread_mutex_lock(&l->lock);
    while (!l->over && !stop(context)) {
        uint64_t until_us = clock_mono_us() + LOOK_US;
        clock_cond_wait(&l->changed, &l->lock, until_us);
    }
    bool over = l->over;
    l->abandoned = !over;
    pthread_mutex_unlock(&l->lock);
    return over;
}

static enum status judge(const char *host, int code, struct error *err)
{
    return code == 0 ? ST_OK
                     : error_set(err, ST_NOT_FOUND, "there is no host %.100s: %s", host,
                                 gai_strerror(code));
}

enum status lookup_host(const char *host, int port, bool (*stop)(void *context), void *context,
                        struct addrinfo **ret, struct error *err)
{
    struct lookup *l = lookup_new(host, port);
    if (!l)
        return error_set(err, ST_NOMEM, "no memory to look for %.100s", host);
    if (ask(host, l->port, AI_NUMERICHOST, ret) == 0) {
        lookup_free(l);
        return ST_OK;
    }
    if (!start(l)) {
        lookup_free(l);
        return error_set(err, ST_NOMEM, "no thread to look for %.100s", host);
    }
    if (!await(l, stop, context))
        return error_set(err, ST_AGAIN, "nobody has said yet where %.100s is", host);
    enum status st = judge(host, l->code, err);
    if (st == ST_OK) {
        *ret = l->list;
        l->list = NULL;
    }
    lookup_free(l);
    return st;
}
