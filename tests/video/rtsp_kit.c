#include "rtsp_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "base/buf.h"
#include "base/clock.h"
#include "video/frame.h"
#include "video/image.h"

#define PATIENCE_US ((uint64_t)20 * 1000000)
#define ARGUMENTS_MAX 40
/* GStreamer writes JPEG in the range of video. */
#define COLOUR_TOLERANCE 20

static void on_line(void *context, const char *line)
{
    struct rtsp_kit *k = context;
    if (sscanf(line, "port %d control %d", &k->port, &k->control) != 2)
        print_message("rtsp server: %s\n", line);
}

/* True when it listens. */
static bool launch(struct rtsp_kit *k, const char *const *args)
{
    const char *program = getenv("ATTUNE_RTSP_SERVER");
    char *argv[ARGUMENTS_MAX + 2] = {(char *)(uintptr_t) "rtsp_server"};
    for (int i = 0; args[i]; i++) {
        assert_true(i < ARGUMENTS_MAX);
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    *k = (struct rtsp_kit){.port = 0};
    child_init(&k->child);
    const struct child_options o = {.program = program};
    struct error err;
    if (child_start(&k->child, argv, &o, &err) != ST_OK)
        return false;
    bool runs = true;
    for (uint64_t until_us = clock_mono_us() + PATIENCE_US;
         runs && k->port == 0 && clock_mono_us() < until_us;) {
        clock_sleep_until_us(clock_mono_us() + 5000);
        runs = child_runs(&k->child);
        child_read_lines(&k->child, on_line, k);
    }
    return k->port > 0;
}

void rtsp_kit_require(void)
{
    static const char *const none[] = {NULL};
    struct rtsp_kit k;
    if (!getenv("ATTUNE_RTSP_SERVER") || !launch(&k, none)) {
        printf("skipped: the RTSP server of the tests needs libgstrtspserver-1.0-dev and "
               "gstreamer1.0-plugins-{base,good,bad,ugly} and glib-networking "
               "(tools/install-deps.sh ci)\n");
        exit(RTSP_KIT_SKIPPED);
    }
    rtsp_kit_stop(&k);
}

void rtsp_kit_start(struct rtsp_kit *k, const char *const *args)
{
    if (!launch(k, args))
        fail_msg("the RTSP server does not start");
}

void rtsp_kit_stop(struct rtsp_kit *k)
{
    child_stop(&k->child, 2000000, on_line, k);
    child_clear(&k->child);
}

void rtsp_kit_tell(struct rtsp_kit *k, const char *format, ...)
{
    char line[512], answer[256] = "";
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)k->control),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, line, (size_t)n, 0, (struct sockaddr *)&to, sizeof to), n);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, (int)(PATIENCE_US / 1000)), 1);
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_string_equal(answer, "ok");
    close(fd);
}

const char *rtsp_kit_url(const struct rtsp_kit *k, const char *credentials, const char *path)
{
    static char urls[4][160];
    static int turn;
    char *ret = urls[turn++ % 4];
    snprintf(ret, sizeof urls[0], "rtsp://%s127.0.0.1:%d%s", credentials, k->port, path);
    return ret;
}

/* ---- MJPEG ---- */

/* A connection, over TLS when it has a session. */
struct line {
    int fd;
    gnutls_session_t session;
};

static bool say(const struct line *l, const void *data, size_t n)
{
    const uint8_t *at = data;
    while (n > 0) {
        ssize_t sent =
            l->session ? gnutls_record_send(l->session, at, n) : send(l->fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static ssize_t hear(const struct line *l, void *room, size_t n)
{
    return l->session ? gnutls_record_recv(l->session, room, n) : recv(l->fd, room, n, 0);
}

/* The request up to its empty line; false: it does not hold what is asked for. */
static bool is_permitted(struct mjpeg_kit *m, const struct line *l)
{
    char request[2048];
    size_t n = 0;
    while (n < sizeof request - 1) {
        ssize_t got = hear(l, request + n, sizeof request - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        request[n] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    const char *host = strstr(request, "\r\nHost: ");
    if (host)
        snprintf(m->host, sizeof m->host, "%.*s", (int)strcspn(host + 8, "\r"), host + 8);
    return !m->authorization || strstr(request, m->authorization);
}

static void make_picture(const struct mjpeg_kit *m, struct buf *jpeg)
{
    struct frame f;
    frame_init(&f);
    if (frame_resize(&f, 64, 48, NULL) == ST_OK) {
        memset(f.pixels, m->grey, frame_bytes(&f));
        image_jpeg_write(&f, 90, jpeg, NULL);
    }
    frame_clear(&f);
}

static void serve(struct mjpeg_kit *m, const struct line *l)
{
    static const char denied[] =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic "
        "realm=\"camera\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: "
                               "multipart/x-mixed-replace; boundary=next\r\n\r\n";
    if (!is_permitted(m, l)) {
        say(l, denied, sizeof denied - 1);
        return;
    }
    struct buf jpeg;
    buf_init(&jpeg);
    make_picture(m, &jpeg);
    bool open = say(l, head, sizeof head - 1);
    for (int i = 0; open && i < m->pictures && !atomic_load(&m->stop); i++) {
        char part[128];
        int n = snprintf(part, sizeof part,
                         "--next\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n",
                         jpeg.size_bytes);
        open = say(l, part, (size_t)n) && say(l, jpeg.data, jpeg.size_bytes) && say(l, "\r\n", 2);
        clock_sleep_until_us(clock_mono_us() + m->period_us);
    }
    struct pollfd p = {.fd = l->fd, .events = POLLIN | POLLRDHUP};
    while (open && !m->closes && !atomic_load(&m->stop) && poll(&p, 1, 20) == 0)
        ; /* until the other side has had enough */
    buf_clear(&jpeg);
}

/* Whoever does not like the certificate leaves in midst of the handshake. */
static void serve_secured(struct mjpeg_kit *m, int fd)
{
    gnutls_certificate_credentials_t own = NULL;
    struct line l = {.fd = fd};
    if (gnutls_certificate_allocate_credentials(&own) == 0 &&
        gnutls_certificate_set_x509_key_file(own, m->cert_path, m->key_path, GNUTLS_X509_FMT_PEM) ==
            0 &&
        gnutls_init(&l.session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL) == 0) {
        gnutls_set_default_priority(l.session);
        gnutls_credentials_set(l.session, GNUTLS_CRD_CERTIFICATE, own);
        gnutls_transport_set_int(l.session, fd);
        int rc = gnutls_handshake(l.session);
        while (rc < 0 && !gnutls_error_is_fatal(rc))
            rc = gnutls_handshake(l.session);
        if (rc == 0)
            serve(m, &l);
    }
    if (l.session)
        gnutls_deinit(l.session);
    gnutls_certificate_free_credentials(own);
}

static void *mjpeg_thread(void *context)
{
    struct mjpeg_kit *m = context;
    while (!atomic_load(&m->stop)) {
        struct pollfd p = {.fd = m->fd, .events = POLLIN};
        if (poll(&p, 1, 20) != 1)
            continue;
        int fd = accept(m->fd, NULL, NULL);
        if (fd < 0)
            continue;
        atomic_fetch_add(&m->connections, 1);
        if (m->cert_path)
            serve_secured(m, fd);
        else
            serve(m, &(struct line){.fd = fd});
        close(fd);
    }
    return NULL;
}

void mjpeg_kit_start(struct mjpeg_kit *m)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    m->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(m->fd >= 0 && bind(m->fd, (struct sockaddr *)&a, n) == 0 && listen(m->fd, 4) == 0);
    assert_int_equal(getsockname(m->fd, (struct sockaddr *)&a, &n), 0);
    m->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&m->thread, NULL, mjpeg_thread, m), 0);
}

void mjpeg_kit_stop(struct mjpeg_kit *m)
{
    atomic_store(&m->stop, true);
    pthread_join(m->thread, NULL);
    close(m->fd);
}

bool frame_is_near(const struct frame *f, int red, int green, int blue)
{
    const int want[3] = {red, green, blue};
    for (size_t i = 0; i < frame_bytes(f); i++)
        if (abs(f->pixels[i] - want[i % 3]) > COLOUR_TOLERANCE) {
            print_message("pixel %zu: %d %d %d\n", i / 3, f->pixels[i / 3 * 3],
                          f->pixels[i / 3 * 3 + 1], f->pixels[i / 3 * 3 + 2]);
            return false;
        }
    return frame_bytes(f) > 0;
}
