/* Sources against a real RTSP server: transports, codecs, who may watch, and every sentence that is
 * said when it does not work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "rtsp_kit.h"
#include "video/source.h"

#define SECRET "s3cr3t-Zebra"

static enum status open_with(const char *url, enum video_transport transport,
                             struct video_source **ret, struct error *err)
{
    struct video_source_options o;
    video_source_options_init(&o);
    o.transport = transport;
    o.timeout_ms = 15000;
    return video_source_open(url, &o, ret, err);
}

/* A few frames of a URL: their times rise, and they are of the colour and size. */
static void expect_red(const char *url, enum video_transport transport, int width, int height)
{
    struct video_source *s = NULL;
    struct video_source_info info;
    struct error err;
    struct frame f;
    uint64_t last_us = 0;
    if (open_with(url, transport, &s, &err) != ST_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < 5; i++) {
        if (video_source_next(s, &f, &err) != ST_OK)
            fail_msg("%s", err.message);
        assert_true(frame_is_near(&f, 255, 0, 0));
        assert_true(f.width == width && f.height == height);
        assert_true(i == 0 || f.t_us > last_us);
        last_us = f.t_us;
    }
    video_source_info(s, &info);
    assert_true(info.live && info.duration_us == 0);
    video_source_close(&s);
}

static void expect_refusal(const char *url, enum video_transport transport, enum status status,
                           const char *sentence)
{
    struct video_source *s = NULL;
    struct error err;
    assert_int_equal(open_with(url, transport, &s, &err), status);
    if (!strstr(err.message, sentence))
        fail_msg("'%s' is not in: %s", sentence, err.message);
    assert_null(strstr(err.message, SECRET));
}

static void each_transport_and_codec(void **state)
{
    (void)state;
    static const char *const args[] = {"/tcp",  "transport=tcp,fps=60",
                                       "/udp",  "transport=udp,fps=60,size=160x96",
                                       "/hevc", "codec=h265,fps=60,size=320x192",
                                       "/jpeg", "codec=jpeg,fps=60,size=320x192",
                                       "/loud", "codec=audio",
                                       NULL};
    struct rtsp_kit k;
    rtsp_kit_start(&k, args);
    const char *tcp = rtsp_kit_url(&k, "", "/tcp"), *udp = rtsp_kit_url(&k, "", "/udp");
    expect_red(tcp, VIDEO_TRANSPORT_AUTO, 320, 180);
    expect_red(tcp, VIDEO_TRANSPORT_TCP, 320, 180);
    expect_red(udp, VIDEO_TRANSPORT_AUTO, 160, 96);
    expect_red(udp, VIDEO_TRANSPORT_UDP, 160, 96);
    expect_red(rtsp_kit_url(&k, "", "/hevc"), VIDEO_TRANSPORT_AUTO, 320, 192);
    expect_red(rtsp_kit_url(&k, "", "/jpeg"), VIDEO_TRANSPORT_TCP, 320, 192);
    expect_refusal(tcp, VIDEO_TRANSPORT_UDP, ST_UNSUPPORTED, "does not send by UDP");
    expect_refusal(udp, VIDEO_TRANSPORT_TCP, ST_UNSUPPORTED, "does not send by TCP");
    expect_refusal(rtsp_kit_url(&k, "", "/loud"), VIDEO_TRANSPORT_AUTO, ST_UNSUPPORTED,
                   "no video track");
    expect_refusal(rtsp_kit_url(&k, "", "/none"), VIDEO_TRANSPORT_AUTO, ST_NOT_FOUND,
                   "no such stream (404)");
    rtsp_kit_stop(&k);
    expect_refusal(tcp, VIDEO_TRANSPORT_AUTO, ST_NETWORK, "connection refused");
}

static void those_who_may_watch(const char *kind)
{
    const char *const args[] = {
        "--auth", kind, "ann", SECRET, "/main", "codec=jpeg,fps=60,size=320x192", NULL};
    struct rtsp_kit k;
    rtsp_kit_start(&k, args);
    expect_red(rtsp_kit_url(&k, "ann:" SECRET "@", "/main"), VIDEO_TRANSPORT_AUTO, 320, 192);
    expect_refusal(rtsp_kit_url(&k, "", "/main"), VIDEO_TRANSPORT_AUTO, ST_DENIED,
                   "user or password refused");
    expect_refusal(rtsp_kit_url(&k, "ann:not-" SECRET "@", "/main"), VIDEO_TRANSPORT_AUTO,
                   ST_DENIED, "user or password refused");
    rtsp_kit_stop(&k);
}

static void basic_and_digest(void **state)
{
    (void)state;
    those_who_may_watch("basic");
    those_who_may_watch("digest");
}

/* A port where nobody listens any more. */
static int closed_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    char url[160];
    int port = closed_port();
    snprintf(url, sizeof url, "rtsp://ann:" SECRET "@127.0.0.1:%d/x?token=" SECRET, port);
    expect_refusal(url, VIDEO_TRANSPORT_AUTO, ST_NETWORK, "connection refused");
    snprintf(url, sizeof url, "rtsps://ann:" SECRET "@127.0.0.1:%d/x", port);
    expect_refusal(url, VIDEO_TRANSPORT_AUTO, ST_NETWORK, "connection refused");
    expect_refusal("http://ann:" SECRET "@no-such-host.invalid/x", VIDEO_TRANSPORT_AUTO, ST_NETWORK,
                   "'no-such-host.invalid' is not known");
    expect_refusal("rtsq://ann:" SECRET "@127.0.0.1/x", VIDEO_TRANSPORT_AUTO, ST_UNSUPPORTED,
                   "no such kind of URL");
    expect_refusal("v4l2:/dev/null", VIDEO_TRANSPORT_AUTO, ST_UNSUPPORTED, "no V4L2 camera");
    expect_refusal("/dev/video-none", VIDEO_TRANSPORT_AUTO, ST_NOT_FOUND, "no such device");
    char path[] = "/tmp/attune-device-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(url, sizeof url, "v4l2:%s", path);
    expect_refusal(url, VIDEO_TRANSPORT_AUTO, ST_UNSUPPORTED, "no V4L2 camera");
    close(fd);
    unlink(path);
}

static void motion_jpeg(void **state)
{
    (void)state;
    struct mjpeg_kit m = {.pictures = 1000,
                          .grey = 90,
                          .period_us = 20000,
                          .authorization = "Basic YW5uOnMzY3IzdC1aZWJyYQ=="};
    mjpeg_kit_start(&m);
    char url[128];
    struct video_source *s = NULL;
    struct error err;
    struct frame f;
    snprintf(url, sizeof url, "http://ann:" SECRET "@127.0.0.1:%d/video", m.port);
    if (open_with(url, VIDEO_TRANSPORT_AUTO, &s, &err) != ST_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(video_source_next(s, &f, &err), ST_OK);
        assert_true(frame_is_near(&f, 90, 90, 90));
        assert_true(f.width == 64 && f.height == 48);
    }
    assert_true(f.t_us > 0);
    video_source_close(&s);
    snprintf(url, sizeof url, "http://ann:%s@127.0.0.1:%d/video", "other", m.port);
    expect_refusal(url, VIDEO_TRANSPORT_AUTO, ST_DENIED, "user or password refused");
    mjpeg_kit_stop(&m);
}

int main(void)
{
    rtsp_kit_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_transport_and_codec),
        cmocka_unit_test(basic_and_digest),
        cmocka_unit_test(what_is_not_there_is_said),
        cmocka_unit_test(motion_jpeg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
