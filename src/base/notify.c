/* notify.c - one socket, one datagram a message. */
#include "base/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define PERIOD_US_MAX ((uint64_t)10 * 1000000)

/* -1: it is no address of a socket, or nobody is there. '@' begins an abstract one. */
static int connect_to(const char *address)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = strlen(address);
    if ((address[0] != '/' && address[0] != '@') || n < 2 || n >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, address, n);
    if (address[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (connect(fd, (const struct sockaddr *)&to, length) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Of this process only: systemd says whose with WATCHDOG_PID. */
static uint64_t watchdog_us(void)
{
    const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!text || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    return strtoull(text, NULL, 10);
}

void notify_open(struct notify *n)
{
    const char *address = getenv("NOTIFY_SOCKET");
    n->fd = address ? connect_to(address) : -1;
    n->watchdog_us = n->fd >= 0 ? watchdog_us() : 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void notify_send(const struct notify *n, const char *format, ...)
{
    char text[NOTIFY_CHARS_MAX + 1];
    if (n->fd < 0)
        return;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length > 0 && length <= NOTIFY_CHARS_MAX)
        (void)send(n->fd, text, (size_t)length, MSG_NOSIGNAL);
}

void notify_reloading(const struct notify *n)
{
    notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_mono_us());
}

uint64_t notify_period_us(const struct notify *n)
{
    uint64_t third_us = n->watchdog_us / 3;
    return third_us > 0 && third_us < PERIOD_US_MAX ? third_us : PERIOD_US_MAX;
}
