/* pacing.c - TCP_INFO in, SO_MAX_PACING_RATE out. */
#include "uplink/pacing.h"

#include <linux/tcp.h>
#include <math.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#define UNSENT_BYTES_MAX 16384
#define STATE_ESTABLISHED 1
#define SET_PART 0.01 /* a smaller change of the rate is not worth a call */

void pacing_init(struct pacing *p)
{
    *p = (struct pacing){.seen = -1, .able = true};
    for (int i = 0; i < PACING_SOCKETS_MAX; i++)
        p->sockets[i] = -1;
}

static bool set_rate(int socket, double kbps)
{
    unsigned bytes_per_s = isinf(kbps) ? ~0U : (unsigned)fmin(fmax(kbps * 125, 1), 2e9);
    return setsockopt(socket, SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_s, sizeof bytes_per_s) ==
           0;
}

/* The law is the congestion control; beneath it TCP is to do no more than react to losses. Others
 * (BBR) probe by themselves, which moves shares. Refused, it stays as it is. */
static void set_plain(int socket)
{
    (void)setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static void set_all(struct pacing *p, double kbps)
{
    p->set_kbps = kbps;
    for (int i = 0; i < PACING_SOCKETS_MAX; i++)
        if (p->sockets[i] >= 0 && !set_rate(p->sockets[i], kbps))
            p->able = false;
}

void pacing_set(struct pacing *p, const struct gaimd_options *o)
{
    bool was_on = p->on;
    p->on = o != NULL;
    if (p->on && was_on)
        gaimd_set_options(&p->law, o);
    else if (p->on)
        gaimd_init(&p->law, o);
    for (int i = 0; p->on && i < PACING_SOCKETS_MAX; i++)
        if (p->sockets[i] >= 0)
            set_plain(p->sockets[i]);
    if (p->on || was_on)
        set_all(p, p->on ? p->law.rate_kbps : INFINITY);
}

void pacing_socket(struct pacing *p, int socket)
{
    const int unsent = UNSENT_BYTES_MAX;
    for (int i = 0; i < PACING_SOCKETS_MAX; i++) {
        if (p->sockets[i] >= 0)
            continue;
        p->sockets[i] = socket;
        if (p->on)
            set_plain(socket);
        if (setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) != 0 ||
            (p->on && !set_rate(socket, p->law.rate_kbps)))
            p->able = false;
        return;
    }
}

void pacing_forget(struct pacing *p, int socket)
{
    for (int i = 0; i < PACING_SOCKETS_MAX; i++)
        if (p->sockets[i] == socket)
            p->sockets[i] = -1;
    if (p->seen == socket)
        p->seen = -1;
}

void pacing_begin(struct pacing *p)
{
    if (p->on)
        gaimd_resume(&p->law);
}

/* False: not connected, or a kernel that does not tell as much. */
static bool read_info(int socket, struct tcp_info *ret)
{
    socklen_t n = sizeof *ret;
    *ret = (struct tcp_info){0};
    return socket >= 0 && getsockopt(socket, IPPROTO_TCP, TCP_INFO, ret, &n) == 0 &&
           n >= offsetof(struct tcp_info, tcpi_dsack_dups) && ret->tcpi_state == STATE_ESTABLISHED;
}

static int connected_socket(const struct pacing *p, struct tcp_info *ret)
{
    for (int i = 0; i < PACING_SOCKETS_MAX; i++)
        if (read_info(p->sockets[i], ret))
            return p->sockets[i];
    return -1;
}

void pacing_look(struct pacing *p, uint64_t now_us)
{
    struct tcp_info info;
    if (!p->on || now_us - p->looked_us < PACING_LOOK_US)
        return;
    p->looked_us = now_us;
    int socket = connected_socket(p, &info);
    if (socket < 0)
        return;
    if (socket != p->seen)
        gaimd_reconnect(&p->law);
    p->seen = socket;
    const struct gaimd_sample s = {.now_us = now_us,
                                   .acked_bytes = info.tcpi_bytes_acked,
                                   .lost_bytes = info.tcpi_bytes_retrans,
                                   .acks = info.tcpi_segs_in,
                                   .srtt_us = info.tcpi_rtt,
                                   .limited = info.tcpi_notsent_bytes == 0};
    double kbps = gaimd_update(&p->law, &s);
    if (fabs(kbps - p->set_kbps) > SET_PART * p->set_kbps)
        set_all(p, kbps);
}
