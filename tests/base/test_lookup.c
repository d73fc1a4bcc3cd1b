/* A lookup that takes for ever is left; one that answers is believed. getaddrinfo is ours (see
 * meson.build): it waits until the test lets it go. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/lookup.h"

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret);
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int asked, answered; /* names, not numbers */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Every name is 192.0.2.7 but that of nobody. */
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    if (hints->ai_flags & AI_NUMERICHOST)
        return __real_getaddrinfo(host, port, hints, ret);
    pthread_mutex_lock(&server.lock);
    server.asked++;
    pthread_cond_broadcast(&server.changed);
    while (!server.open)
        pthread_cond_wait(&server.changed, &server.lock);
    server.answered++;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
    if (strcmp(host, "nobody.lan") == 0)
        return EAI_NONAME;
    return __real_getaddrinfo("192.0.2.7", port, hints, ret);
}

static void open_server(bool open)
{
    pthread_mutex_lock(&server.lock);
    server.open = open;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.lock);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

/* As soon as the name server was asked. */
static bool when_asked(void *context)
{
    const int *before = context;
    pthread_mutex_lock(&server.lock);
    bool asked = server.asked > *before;
    pthread_mutex_unlock(&server.lock);
    return asked;
}

static void check(const char *host, const char *address)
{
    struct addrinfo *list;
    struct error err;
    char text[INET6_ADDRSTRLEN];
    assert_int_equal(lookup_host(host, 1883, never, NULL, &list, &err), ST_OK);
    assert_int_equal(list->ai_family, AF_INET);
    const struct sockaddr_in *at = (const void *)list->ai_addr;
    assert_string_equal(inet_ntop(AF_INET, &at->sin_addr, text, sizeof text), address);
    assert_int_equal(ntohs(at->sin_port), 1883);
    freeaddrinfo(list);
}

static void names_and_numbers(void **state)
{
    (void)state;
    struct addrinfo *list = NULL;
    struct error err;
    check("198.51.100.4", "198.51.100.4"); /* while no name server answers */
    open_server(true);
    check("broker.lan", "192.0.2.7");
    assert_int_equal(lookup_host("nobody.lan", 1, never, NULL, &list, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "nobody.lan"));
    assert_null(list);
}

static void nobody_waits_for_a_silent_name_server(void **state)
{
    (void)state;
    struct addrinfo *list = NULL;
    struct error err;
    open_server(false);
    int before = server.asked, answered = server.answered;
    assert_int_equal(lookup_host("broker.lan", 1, when_asked, &before, &list, &err), ST_AGAIN);
    assert_null(list);
    open_server(true); /* what was left ends by itself */
    pthread_mutex_lock(&server.lock);
    while (server.answered == answered)
        pthread_cond_wait(&server.changed, &server.lock);
    pthread_mutex_unlock(&server.lock);
    check("broker.lan", "192.0.2.7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_numbers),
                                       cmocka_unit_test(nobody_waits_for_a_silent_name_server)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
