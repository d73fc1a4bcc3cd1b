/* raw.c - see raw.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/clock.h"
#include "raw.h"

#define PATIENCE_S 20
#define DRIP_US 50000

int raw_connect(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

bool raw_send(int fd, const void *data, size_t n)
{
    return send(fd, data, n, MSG_NOSIGNAL) == (ssize_t)n;
}

int raw_answer(int fd, char *ret, size_t size_bytes)
{
    size_t n = 0;
    int status = 0;
    ret[0] = '\0';
    while (n + 1 < size_bytes && !strstr(ret, "\r\n\r\n")) {
        ssize_t more = recv(fd, ret + n, size_bytes - 1 - n, 0);
        if (more <= 0)
            break;
        n += (size_t)more;
        ret[n] = '\0';
    }
    return sscanf(ret, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

void raw_all(int fd, char *ret, size_t size_bytes)
{
    size_t n = 0;
    ssize_t more;
    while (n + 1 < size_bytes && (more = recv(fd, ret + n, size_bytes - 1 - n, 0)) > 0)
        n += (size_t)more;
    ret[n] = '\0';
    assert_true(n + 1 < size_bytes && (more == 0 || errno == ECONNRESET));
}

int raw_ask(int port, const char *text, char *ret, size_t size_bytes)
{
    int fd = raw_connect(port);
    (void)raw_send(fd, text, strlen(text));
    int status = raw_answer(fd, ret, size_bytes);
    close(fd);
    return status;
}

bool raw_drip(int fd, char byte)
{
    char seen[64];
    for (uint64_t until_us = clock_mono_us() + (uint64_t)PATIENCE_S * 1000000;
         clock_mono_us() < until_us;) {
        if (!raw_send(fd, &byte, 1) || recv(fd, seen, sizeof seen, MSG_DONTWAIT) == 0)
            return true;
        clock_sleep_until_us(clock_mono_us() + DRIP_US);
    }
    return false;
}
