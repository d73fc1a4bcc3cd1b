/* doctor_network.c - ports and who has them, pacing, the broker. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "notify/mqtt_address.h"
#include "server/doctor.h"

/* ---- who listens on a port ---- */

/* The socket's number in /proc/net/tcp or tcp6, 0 for none. */
static unsigned long listener(const char *table, int port)
{
    char line[512];
    unsigned long found = 0;
    FILE *f = fopen(table, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned at, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu", &at,
                   &state, &inode) == 3 &&
            at == (unsigned)port && state == 0x0A)
            found = inode;
    }
    if (f)
        fclose(f);
    return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char folder[64], path[PATH_MAX], to[64], want[64];
    bool found = false;
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    snprintf(want, sizeof want, "socket:[%lu]", inode);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        ssize_t n = readlink(path, to, sizeof to - 1);
        to[n < 0 ? 0 : n] = '\0';
        found = strcmp(to, want) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

/* Name of the process that listens there, "" when it cannot be seen. */
static void who_listens(int port, char *name, size_t size, int *ret_pid)
{
    unsigned long inode = listener("/proc/net/tcp", port);
    inode = inode ? inode : listener("/proc/net/tcp6", port);
    name[0] = '\0';
    DIR *d = inode ? opendir("/proc") : NULL;
    for (struct dirent *e; d && !name[0] && (e = readdir(d));) {
        char path[64];
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !has_socket(e->d_name, inode))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/comm", e->d_name);
        FILE *f = fopen(path, "re");
        if (f && fgets(name, (int)size, f))
            name[strcspn(name, "\n")] = '\0';
        if (f)
            fclose(f);
        *ret_pid = atoi(e->d_name);
    }
    if (d)
        closedir(d);
}

/* ---- ports ---- */

static struct addrinfo *resolve(const char *host, const char *port, int flags)
{
    struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *found;
    return getaddrinfo(host, port, &hints, &found) == 0 ? found : NULL;
}

/* "[::1]:80" and "1.2.3.4:80" into host ("" for any) and port. */
static void split(const char *address, char host[256], char port[16])
{
    const char *colon = strrchr(address, ':');
    bool v6 = address[0] == '[';
    int n = colon ? (int)(colon - address) - (v6 ? 2 : 0) : 0;
    snprintf(host, 256, "%.*s", n > 0 ? n : 0, address + v6);
    snprintf(port, 16, "%s", colon ? colon + 1 : "");
}

/* errno of binding, 0: the port is free. */
static int try_bind(const struct addrinfo *at)
{
    int yes = 1, code = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, 1) != 0)
        code = errno;
    close(fd);
    return code;
}

static void tell_used(struct doctor *d, const char *about, const char *name, const char *port)
{
    char who[32];
    int pid = 0;
    who_listens(atoi(port), who, sizeof who, &pid);
    if (strcmp(who, "attune") == 0)
        doctor_add(d, DOCTOR_OK, about, "a server of attune listens there (process %d)", pid);
    else if (who[0])
        doctor_add(d, DOCTOR_FAIL, about,
                   "in use by %s (process %d); stop that, or give %s another port", who, pid, name);
    else
        doctor_add(d, DOCTOR_FAIL, about,
                   "in use by a process that cannot be seen from here; try as root, or give %s "
                   "another port",
                   name);
}

static void look_at_port(struct doctor *d, const char *name, const char *address)
{
    char host[256], port[16], about[80];
    if (strcmp(address, "off") == 0)
        return;
    split(address, host, port);
    snprintf(about, sizeof about, "port %s", port);
    struct addrinfo *at = resolve(host[0] ? host : NULL, port, AI_PASSIVE);
    int code = at ? try_bind(at) : EADDRNOTAVAIL;
    if (code == EADDRINUSE)
        tell_used(d, about, name, port);
    else if (code == EACCES)
        doctor_add(d, DOCTOR_FAIL, about,
                   "not permitted for user %d; take a port above 1023, or give the program "
                   "CAP_NET_BIND_SERVICE",
                   (int)getuid());
    else if (code)
        doctor_add(d, DOCTOR_FAIL, about, "%s: %s; %s takes an address of this machine", address,
                   strerror(code), name);
    else
        doctor_add(d, DOCTOR_OK, about, "free (%s %s)", name, address);
    if (at)
        freeaddrinfo(at);
}

/* ---- what the kernel can, and the broker ---- */

static void look_at_pacing(struct doctor *d)
{
    unsigned rate = 1000000;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool paces = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate) == 0;
    if (fd >= 0)
        close(fd);
    if (paces)
        doctor_add(d, DOCTOR_OK, "pacing", "the kernel paces uploads");
    else
        doctor_add(d, DOCTOR_WARN, "pacing",
                   "this kernel cannot pace sockets; cameras here leave uploads to TCP alone");
}

/* True: something took the connection within DOCTOR_WAIT_MS. Else *ret_code says why not. */
static bool connects(const struct addrinfo *to, int *ret_code)
{
    socklen_t n = sizeof *ret_code;
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *ret_code = fd < 0 ? errno : ETIMEDOUT;
    if (fd < 0)
        return false;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int code = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (code == EINPROGRESS && poll(&p, 1, DOCTOR_WAIT_MS) == 1)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, ret_code, &n);
    else if (code != EINPROGRESS)
        *ret_code = code;
    close(fd);
    return *ret_code == 0;
}

static void look_at_broker(struct doctor *d, const char *text)
{
    struct mqtt_address a;
    struct error err;
    char port[16];
    int code = 0;
    if (!text[0])
        return;
    if (mqtt_address_read(text, &a, &err) != ST_OK) {
        doctor_add(d, DOCTOR_FAIL, "MQTT broker", "%s", err.message);
        return;
    }
    snprintf(port, sizeof port, "%d", a.port);
    struct addrinfo *to = resolve(a.host, port, 0);
    if (!to)
        doctor_add(d, DOCTOR_FAIL, "MQTT broker", "the name %s is not known; correct mqtt", a.host);
    else if (connects(to, &code))
        doctor_add(d, DOCTOR_OK, "MQTT broker", "%s:%d takes connections", a.host, a.port);
    else
        doctor_add(d, DOCTOR_FAIL, "MQTT broker",
                   "%s:%d: %s; start the broker, open its firewall, or correct mqtt", a.host,
                   a.port, strerror(code));
    if (to)
        freeaddrinfo(to);
}

void doctor_network(struct doctor *d, const struct settings *s)
{
    look_at_port(d, "listen", s->listen);
    look_at_port(d, "http", s->http);
    look_at_pacing(d);
    look_at_broker(d, s->mqtt);
}
