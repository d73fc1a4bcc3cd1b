/* Live sources that misbehave: a feed goes on, says why it does not, and keeps its promises of
 * size, order and secrecy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../video/rtsp_kit.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "edge/feed.h"
#include "edge/probe.h"

#define SECRET "s3cr3t-Zebra"
#define PATIENCE_US ((uint64_t)60 * 1000000)
/* Where silence is what is looked for, and where a busy machine must not be taken for it. */
#define SILENCE_S 2
#define NO_SILENCE_S 30

/* What a feed says of its source, in order. */
struct told {
    int lost, back, silent; /* silent: for want of data */
    char reason[512];       /* the last */
};

static void on_source(void *context, const char *reason)
{
    struct told *t = context;
    if (!reason) {
        t->back++;
        return;
    }
    t->lost++;
    t->silent += strstr(reason, "no data for 2 s") != NULL;
    snprintf(t->reason, sizeof t->reason, "%s", reason);
    assert_null(strstr(reason, SECRET));
}

/* Tried again: on a busy machine a server may take longer than timeout_s to answer. */
static struct feed *open_feed(const char *url, const char *credentials_file, double timeout_s,
                              int width, int height, struct told *told)
{
    struct feed *f = NULL;
    struct error err;
    *told = (struct told){0};
    const struct feed_options o = {.url = url,
                                   .credentials_file = credentials_file,
                                   .timeout_s = timeout_s,
                                   .width = width,
                                   .height = height,
                                   .seed = 1,
                                   .on_source = on_source,
                                   .context = told};
    uint64_t until_us = clock_mono_us() + PATIENCE_US;
    while (feed_open(&o, &f, &err) != ST_OK)
        if (clock_mono_us() > until_us)
            fail_msg("%s", err.message);
    return f;
}

static void next(struct feed *f, struct feed_view *v)
{
    struct error err;
    if (feed_next(f, 0, v, &err) != ST_OK)
        fail_msg("%s", err.message);
}

/* Frames until one is of the colour; all are of the size. */
static void await_colour(struct feed *f, int width, int height, int red, int green, int blue)
{
    struct feed_view v;
    uint64_t until_us = clock_mono_us() + PATIENCE_US;
    do {
        next(f, &v);
        assert_true(v.frame.width == width && v.frame.height == height);
        if (clock_mono_us() > until_us)
            fail_msg("no such picture came");
    } while (!frame_is_near(&v.frame, red, green, blue));
}

static uint64_t restarts_of(const struct feed *f)
{
    struct feed_stats s;
    feed_stats_get(f, &s);
    return s.restarts;
}

static void await_restart(struct feed *f, uint64_t restarts)
{
    struct feed_view v;
    uint64_t until_us = clock_mono_us() + PATIENCE_US;
    while (restarts_of(f) < restarts) {
        next(f, &v);
        if (clock_mono_us() > until_us)
            fail_msg("the source was not opened again");
    }
}

static uint64_t late_of(const struct feed *f)
{
    struct feed_stats s;
    feed_stats_get(f, &s);
    return s.late;
}

/* Nothing comes, until the feed has had enough of it. One that is behind, on a busy machine, still
 * has pictures to read meanwhile: longer each time. */
static void expect_silence_to_be_told(struct feed *f, struct rtsp_kit *k, const struct told *told)
{
    struct feed_view v;
    uint64_t until_us = clock_mono_us() + 2 * PATIENCE_US;
    for (int ms = SILENCE_S * 1000 + 1500, silent = told->silent; told->silent == silent; ms *= 2) {
        assert_true(clock_mono_us() < until_us);
        rtsp_kit_tell(k, "stall /main");
        rtsp_kit_tell(k, "later %d go /main", ms); /* feed_next does not come back before */
        uint64_t round_us = clock_mono_us() + ((uint64_t)ms + 1000) * 1000;
        while (told->silent == silent && clock_mono_us() < round_us)
            next(f, &v);
    }
    assert_true(told->back >= told->silent);
}

/* Dropped, and there again with another codec and size; connected, but nothing comes: opened again
 * after timeout_s. Pictures keep the size of the first, which nobody asked for. */
static void stalls_drops_and_changes(void **state)
{
    (void)state;
    static const char *const args[] = {
        "--auth", "digest", "ann", SECRET, "/main", "size=320x180,colour=red,fps=20", NULL};
    struct rtsp_kit k;
    struct told told;
    char path[] = "/tmp/attune-credentials-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(file_write(path, "ann:" SECRET "\n", strlen("ann:" SECRET "\n"), NULL), ST_OK);
    rtsp_kit_start(&k, args);
    struct feed *f = open_feed(rtsp_kit_url(&k, "", "/main"), path, SILENCE_S, 0, 0, &told);
    await_colour(f, 320, 180, 255, 0, 0);

    rtsp_kit_tell(&k, "change /main codec=h265,size=640x352,colour=blue,fps=20");
    uint64_t restarts = restarts_of(f);
    rtsp_kit_tell(&k, "drop");
    await_restart(f, restarts + 1);
    await_colour(f, 320, 180, 0, 0, 255);
    assert_true(told.lost >= told.back && told.back >= 1);

    expect_silence_to_be_told(f, &k, &told);
    await_colour(f, 320, 180, 0, 0, 255);
    feed_close(&f);
    rtsp_kit_stop(&k);
    unlink(path);
}

static void next_in_order(struct feed *f, struct feed_view *v)
{
    uint64_t before_us = v->frame.t_us, came_us = v->available_us;
    next(f, v);
    assert_true(v->frame.t_us >= before_us && v->available_us >= came_us);
    assert_true(frame_is_near(&v->frame, 255, 0, 0));
}

/* Of this many frames fewer than half were left out as late, if not at once then soon. */
static void await_few_late(struct feed *f, struct feed_view *v, int frames)
{
    uint64_t before, until_us = clock_mono_us() + PATIENCE_US;
    do {
        before = late_of(f);
        for (int i = 0; i < frames; i++)
            next_in_order(f, v);
        if (clock_mono_us() > until_us)
            fail_msg("most frames are late");
    } while (2 * (late_of(f) - before) >= (uint64_t)frames);
}

/* Stamps that leap: frames go on, in order, and none is thrown away as late for long. */
static void clocks_that_jump(void **state)
{
    (void)state;
    static const char *const args[] = {"/main", "codec=jpeg,size=64x48", NULL};
    struct rtsp_kit k;
    struct told told;
    struct feed_view v;
    rtsp_kit_start(&k, args);
    struct feed *f = open_feed(rtsp_kit_url(&k, "", "/main"), NULL, NO_SILENCE_S, 64, 48, &told);
    uint64_t begin_us = clock_mono_us();
    next(f, &v);
    rtsp_kit_tell(&k, "jump /main 5");
    uint64_t before_us, until_us = clock_mono_us() + PATIENCE_US;
    do {
        before_us = v.frame.t_us;
        next_in_order(f, &v);
        assert_true(clock_mono_us() < until_us);
    } while (v.frame.t_us < before_us + 4500000);
    rtsp_kit_tell(&k, "jump /main -3600");
    for (int i = 0; i < 35; i++)
        next_in_order(f, &v);
    rtsp_kit_tell(&k, "freeze /main");
    for (int i = 0; i < 30; i++) /* what was sent before */
        next_in_order(f, &v);
    await_few_late(f, &v, 25); /* without a clock most were */
    assert_true(v.frame.t_us < clock_mono_us() - begin_us + 60 * (uint64_t)1000000);
    assert_int_equal(told.lost, 0);
    feed_close(&f);
    rtsp_kit_stop(&k);
}

/* MJPEG has no stamps: pictures that come more slowly than its nominal 25 a second are not late. */
static void motion_jpeg_at_its_own_pace(void **state)
{
    (void)state;
    struct mjpeg_kit m = {.pictures = 20, .grey = 90, .period_us = 60000};
    struct told told;
    struct feed_view v;
    char url[128];
    mjpeg_kit_start(&m);
    snprintf(url, sizeof url, "http://ann:" SECRET "@127.0.0.1:%d/video?token=" SECRET, m.port);
    struct feed *f = open_feed(url, NULL, SILENCE_S, 64, 48, &told);
    uint64_t before, until_us = clock_mono_us() + PATIENCE_US;
    do { /* of a connection's 20 pictures, then it is silent; a busy machine makes some late */
        before = late_of(f);
        for (int i = 0; i < 12; i++) {
            next(f, &v);
            assert_true(frame_is_near(&v.frame, 90, 90, 90));
        }
        if (clock_mono_us() > until_us)
            fail_msg("most pictures are late");
    } while (late_of(f) - before >= 6);
    await_restart(f, restarts_of(f) + 1);
    assert_true(told.silent >= 1);
    assert_true(atomic_load(&m.connections) >= 2);
    feed_close(&f);
    mjpeg_kit_stop(&m);
}

/* `attune doctor` looks at a source in this way. */
static void a_look_says_what_comes(void **state)
{
    (void)state;
    static const char *const args[] = {
        "--auth", "digest", "ann", "secret", "/main", "codec=h264,size=160x120,fps=15", NULL};
    struct rtsp_kit k;
    struct probe seen;
    struct error err;
    rtsp_kit_start(&k, args);
    struct feed_options o = {.url = rtsp_kit_url(&k, "ann:secret@", "/main"), .timeout_s = 20};
    if (probe_source(&o, 1.5, &seen, &err) != ST_OK)
        fail_msg("%s", err.message);
    assert_string_equal(seen.codec, "h264");
    assert_true(seen.live && seen.width == 160 && seen.height == 120 && seen.frames > 1);
    o.url = rtsp_kit_url(&k, "ann:wrong@", "/main");
    assert_int_not_equal(probe_source(&o, 1, &seen, &err), ST_OK);
    assert_null(strstr(err.message, "ann:wrong"));
    rtsp_kit_stop(&k);
}

/* A source that is opened and lost at once is not asked again and again: the waits grow. */
static void one_that_comes_and_goes_is_asked_ever_less(void **state)
{
    (void)state;
    struct mjpeg_kit m = {.pictures = 12, .grey = 90, .period_us = 1000, .closes = true};
    struct told told;
    char url[128];
    mjpeg_kit_start(&m);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/video", m.port);
    struct feed *f = open_feed(url, NULL, NO_SILENCE_S, 64, 48, &told);
    uint64_t begin_us = clock_mono_us();
    await_restart(f, 2);
    assert_true(clock_mono_us() - begin_us >= (250 + 500) * 1000); /* halves of the waits */
    assert_true(told.back >= 2);
    feed_close(&f);
    mjpeg_kit_stop(&m);
}

int main(void)
{
    log_level_set((enum log_level)0);
    rtsp_kit_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_says_what_comes),
        cmocka_unit_test(stalls_drops_and_changes),
        cmocka_unit_test(clocks_that_jump),
        cmocka_unit_test(motion_jpeg_at_its_own_pace),
        cmocka_unit_test(one_that_comes_and_goes_is_asked_ever_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
