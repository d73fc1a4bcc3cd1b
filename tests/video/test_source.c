/* Sources: folders and files made here, whole, damaged and missing; recordings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "pictures.h"
#include "video/image.h"
#include "video/image_list.h"
#include "video/overlay.h"
#include "video/source.h"

#define WIDTH 64
#define HEIGHT 48

struct place {
    char dir[64];
    char path[128]; /* of the last file named */
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    snprintf(p->dir, sizeof p->dir, "/tmp/attune-source-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    int rc = system(command);
    free(p);
    return rc;
}

static const char *in_place(struct place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->dir, name);
    return p->path;
}

static void write_image(struct place *p, const char *name, int width, int height, int index)
{
    struct frame f = {0};
    struct buf b = {0};
    draw_picture(&f, width, height, index);
    enum status st =
        strstr(name, ".png") ? image_png_write(&f, &b, NULL) : image_jpeg_write(&f, 95, &b, NULL);
    assert_int_equal(st, ST_OK);
    assert_int_equal(file_write(in_place(p, name), b.data, b.size_bytes, NULL), ST_OK);
    buf_clear(&b);
    frame_clear(&f);
}

/* A recording of `count` pictures at the given times. */
static void write_video(const char *path, int count, const uint64_t *t_us)
{
    struct overlay_writer *w = NULL;
    struct frame f = {0};
    assert_int_equal(overlay_writer_open(path, WIDTH, HEIGHT, &w, NULL), ST_OK);
    for (int i = 0; i < count; i++) {
        draw_picture(&f, WIDTH, HEIGHT, i);
        f.t_us = t_us[i];
        assert_int_equal(overlay_writer_add(w, &f, NULL), ST_OK);
    }
    assert_int_equal(overlay_writer_finish(w, NULL), ST_OK);
    assert_int_equal(overlay_writer_finish(w, NULL), ST_INVALID);
    overlay_writer_close(&w);
    frame_clear(&f);
}

static void write_steady_video(const char *path, int count, uint64_t interval_us)
{
    uint64_t t_us[200];
    assert_true(count <= 200);
    for (int i = 0; i < count; i++)
        t_us[i] = 5000000 + (uint64_t)i * interval_us;
    write_video(path, count, t_us);
}

static struct video_source *open_source(const char *url, double fps, int width, int height)
{
    struct video_source_options o;
    struct video_source *s = NULL;
    struct error err;
    video_source_options_init(&o);
    o.fps = fps;
    o.width = width;
    o.height = height;
    assert_int_equal(video_source_open(url, &o, &s, &err), ST_OK);
    return s;
}

static void expect_close_us(uint64_t got_us, uint64_t want_us)
{
    assert_true(got_us + 100 > want_us && got_us < want_us + 100);
}

static void natural_order(void **state)
{
    (void)state;
    static const char *const sorted[] = {"a",     "a1",   "a01",     "a2",   "a9b10",
                                         "a9b11", "a010", "a10.png", "a10b", "b0"};
    const size_t n = sizeof sorted / sizeof sorted[0];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int order = image_list_compare_names(sorted[i], sorted[k]);
            if ((i == 1 && k == 2) || (i == 2 && k == 1))
                assert_true(order != 0); /* equal numbers: some fixed order */
            else
                assert_true(i < k ? order < 0 : i > k ? order > 0 : order == 0);
        }
    assert_true(image_list_compare_names("f99999999999999999999998", "f99999999999999999999999") <
                0);
}

static void folders_give_their_images_in_order(void **state)
{
    struct place *p = *state;
    write_image(p, "img10.jpg", WIDTH, HEIGHT, 2);
    write_image(p, "img2.PNG.png", WIDTH, HEIGHT, 1);
    write_image(p, "img1.jpeg", WIDTH, HEIGHT, 0);
    write_image(p, "img1_label.png", WIDTH, HEIGHT, 9);
    assert_int_equal(file_write(in_place(p, "index.csv"), "x", 1, NULL), ST_OK);
    struct video_source *s = open_source(p->dir, 4, 0, 0);
    assert_null(video_source_name(s));
    static const char *const names[] = {"img1.jpeg", "img2.PNG.png", "img10.jpg"};
    struct frame f, want = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(video_source_next(s, &f, NULL), ST_OK);
        assert_true(f.t_us == (uint64_t)i * 250000);
        assert_string_equal(video_source_name(s), in_place(p, names[i]));
        draw_picture(&want, WIDTH, HEIGHT, i);
        assert_true(picture_distance(&f, &want) < 3);
    }
    assert_int_equal(video_source_next(s, &f, NULL), ST_END);
    assert_int_equal(video_source_next(s, &f, NULL), ST_END);
    video_source_close(&s);
    frame_clear(&want);
}

/* Every frame has the first's size; a file of rubbish is left out, its time with it. */
static void folders_cope_with_mixed_content(void **state)
{
    struct place *p = *state;
    write_image(p, "1.jpg", WIDTH, HEIGHT, 0);
    assert_int_equal(file_write(in_place(p, "2.jpg"), "rubbish", 7, NULL), ST_OK);
    write_image(p, "3.png", 2 * WIDTH, HEIGHT, 1);
    struct video_source *s = open_source(p->dir, 0, 0, 0);
    struct frame f;
    struct video_source_info info;
    assert_int_equal(video_source_next(s, &f, NULL), ST_OK);
    assert_int_equal(video_source_next(s, &f, NULL), ST_OK);
    assert_true(f.t_us == 2000000); /* 1 fps, third file */
    assert_int_equal(f.width, WIDTH);
    video_source_info(s, &info);
    assert_true(info.damaged == 1);
    assert_false(info.live);
    assert_true(info.duration_us == 3000000);
    assert_int_equal(video_source_next(s, &f, NULL), ST_END);
    video_source_close(&s);
}

static void folders_without_images_are_errors(void **state)
{
    struct place *p = *state;
    struct video_source *s = NULL;
    struct error err;
    assert_int_equal(video_source_open(p->dir, NULL, &s, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, p->dir));
    for (int i = 0; i < VIDEO_DAMAGED_RUN_MAX + 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.png", i);
        FILE *file = fopen(in_place(p, name), "w");
        assert_non_null(file);
        fclose(file);
    }
    s = open_source(p->dir, 0, 0, 0);
    struct frame f;
    assert_int_not_equal(video_source_next(s, &f, &err), ST_OK);
    assert_int_equal(video_source_next(s, &f, &err), err.code); /* and stays so */
    assert_non_null(strstr(err.message, "in a row"));
    video_source_close(&s);
}

static void videos_keep_times_and_pictures(void **state)
{
    struct place *p = *state;
    /* Uneven, with one stamp that stands still. */
    static const uint64_t t_us[] = {7000000, 7100000, 7250000, 7250000, 9000000, 9040000};
    write_video(in_place(p, "a.mp4"), 6, t_us);
    struct video_source *s = open_source(p->path, 0, 0, 0);
    struct frame f, want = {0};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(video_source_next(s, &f, NULL), ST_OK);
        expect_close_us(f.t_us, t_us[i] - t_us[0]);
        assert_null(video_source_name(s));
        draw_picture(&want, WIDTH, HEIGHT, i);
        assert_true(picture_distance(&f, &want) < 6);
    }
    assert_int_equal(video_source_next(s, &f, NULL), ST_END);
    video_source_close(&s);
    frame_clear(&want);
}

static void expect_times(const char *path, double fps, int step, int count, uint64_t interval_us)
{
    struct video_source *s = open_source(path, fps, 0, 0);
    struct frame f;
    int given = 0;
    while (video_source_next(s, &f, NULL) == ST_OK)
        expect_close_us(f.t_us, (uint64_t)(given++ * step) * interval_us);
    assert_int_equal(given, count);
    video_source_close(&s);
}

static void videos_are_thinned(void **state)
{
    struct place *p = *state;
    write_steady_video(in_place(p, "a.mp4"), 60, 40000); /* 25 fps */
    expect_times(p->path, 0, 1, 60, 40000);
    expect_times(p->path, 25, 1, 60, 40000);
    expect_times(p->path, 100, 1, 60, 40000);
    expect_times(p->path, 12.5, 2, 30, 40000);
    expect_times(p->path, 5, 5, 12, 40000);
    expect_times(p->path, 1, 25, 3, 40000);
    expect_times(p->path, 0.5, 50, 2, 40000);
    expect_times(p->path, 0.01, 1, 1, 40000);
}

/* 25 to 10 fps: the frame nearest to every tenth of a second. */
static void thinning_takes_the_nearest(void **state)
{
    struct place *p = *state;
    write_steady_video(in_place(p, "a.mp4"), 50, 40000);
    struct video_source *s = open_source(p->path, 10, 0, 0);
    struct frame f;
    int given = 0;
    while (video_source_next(s, &f, NULL) == ST_OK) {
        long off_us = (long)f.t_us - 100000L * given++;
        assert_true(labs(off_us) <= 20100);
    }
    assert_int_equal(given, 20);
    video_source_close(&s);
}

static void videos_are_scaled(void **state)
{
    struct place *p = *state;
    write_steady_video(in_place(p, "a.mp4"), 3, 100000);
    struct video_source *s = open_source(p->path, 0, 33, 20);
    struct video_source_info info;
    video_source_info(s, &info);
    assert_int_equal(info.width, 33);
    struct frame f;
    const uint8_t *pixels = NULL;
    while (video_source_next(s, &f, NULL) == ST_OK) {
        assert_int_equal(f.width, 33);
        assert_int_equal(f.height, 20);
        assert_true(!pixels || pixels == f.pixels); /* one buffer, reused */
        pixels = f.pixels;
    }
    assert_non_null(pixels);
    video_source_close(&s);
}

/* Every third frame's pixels, and the times of all, are those that reading through gives. */
static void passing_gives_the_same_pixels(void **state)
{
    struct place *p = *state;
    write_steady_video(in_place(p, "a.mp4"), 12, 40000);
    struct video_source *all = open_source(p->path, 0, 0, 0), *some = open_source(p->path, 0, 0, 0);
    struct frame a, b;
    uint64_t t_us;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(video_source_next(all, &a, NULL), ST_OK);
        assert_int_equal(video_source_pass(some, &t_us, NULL), ST_OK);
        assert_int_equal(t_us, a.t_us);
        if (i % 3 != 2)
            continue;
        assert_int_equal(video_source_pixels(some, &b, NULL), ST_OK);
        assert_int_equal(b.t_us, a.t_us);
        assert_memory_equal(a.pixels, b.pixels, frame_bytes(&a));
    }
    assert_int_equal(video_source_pass(some, &t_us, NULL), ST_END);
    assert_int_equal(video_source_pixels(some, &b, NULL), ST_END);
    video_source_close(&all);
    video_source_close(&some);
}

static void info_tells_rate_and_length(void **state)
{
    struct place *p = *state;
    write_steady_video(in_place(p, "a.mp4"), 50, 40000);
    struct video_source *s = open_source(p->path, 0, 0, 0);
    struct video_source_info info;
    video_source_info(s, &info);
    assert_true(info.fps > 24 && info.fps < 26);
    assert_true(info.duration_us > 1900000 && info.duration_us < 2100000);
    assert_int_equal(info.width, WIDTH);
    assert_false(info.live);
    video_source_close(&s);
}

/* Reads whatever it is to its end: times never fall, sizes never change. */
static void read_all(const char *path)
{
    struct video_source *s = NULL;
    struct frame f;
    uint64_t last_us = 0;
    if (video_source_open(path, NULL, &s, NULL) != ST_OK)
        return;
    enum status st;
    while ((st = video_source_next(s, &f, NULL)) == ST_OK) {
        assert_int_equal(f.width, WIDTH);
        assert_true(f.t_us >= last_us);
        last_us = f.t_us;
    }
    assert_int_equal(video_source_next(s, &f, NULL), st);
    video_source_close(&s);
}

static void damaged_videos_do_no_harm(void **state)
{
    struct place *p = *state;
    char bad[160];
    write_steady_video(in_place(p, "a.mp4"), 20, 40000);
    snprintf(bad, sizeof bad, "%s.bad", p->path);
    struct buf b = {0};
    assert_int_equal(file_read(p->path, 1 << 20, &b, NULL), ST_OK);
    struct rng rng;
    rng_init(&rng, 3, 0);
    for (int round = 0; round < 40; round++) {
        size_t at = rng_below(&rng, (uint32_t)b.size_bytes);
        uint8_t was = b.data[at];
        b.data[at] ^= (uint8_t)(1 + rng_below(&rng, 255));
        size_t n = round % 2 ? b.size_bytes : rng_below(&rng, (uint32_t)b.size_bytes);
        FILE *file = fopen(bad, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(b.data, 1, n, file), n);
        fclose(file);
        read_all(bad);
        b.data[at] = was;
    }
    buf_clear(&b);
}

static void what_is_not_there_is_said(void **state)
{
    struct place *p = *state;
    struct video_source *s = NULL;
    struct error err;
    assert_int_equal(video_source_open(in_place(p, "none.mp4"), NULL, &s, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.message, "none.mp4"));
    assert_int_equal(file_write(in_place(p, "text.txt"), "hello there\n", 12, NULL), ST_OK);
    assert_int_equal(video_source_open(p->path, NULL, &s, &err), ST_FORMAT);
    struct video_source_options o;
    video_source_options_init(&o);
    o.width = 10;
    assert_int_equal(video_source_open(p->path, &o, &s, &err), ST_INVALID);
    video_source_options_init(&o);
    o.fps = 1e9;
    assert_int_equal(video_source_open(p->path, &o, &s, &err), ST_INVALID);
    assert_null(s);
}

static int listen_silently(int *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 4) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

/* A peer that accepts and says nothing, and one that is not there; no password in a message. */
static void silent_cameras_time_out(void **state)
{
    (void)state;
    int port = 0, fd = listen_silently(&port);
    char url[128];
    struct video_source *s = NULL;
    struct video_source_options o;
    struct error err;
    video_source_options_init(&o);
    o.timeout_ms = 50;
    snprintf(url, sizeof url, "rtsp://me:secret@127.0.0.1:%d/x", port);
    assert_int_equal(video_source_open(url, &o, &s, &err), ST_NETWORK);
    assert_null(strstr(err.message, "secret"));
    assert_non_null(strstr(err.message, "rtsp://127.0.0.1"));
    o.timeout_ms = 600000;
    atomic_bool cancel = true;
    o.cancel = &cancel;
    snprintf(url, sizeof url, "http://me:secret@127.0.0.1:%d/x", port);
    assert_int_equal(video_source_open(url, &o, &s, &err), ST_NETWORK);
    close(fd);
    o.cancel = NULL;
    assert_int_equal(video_source_open(url, &o, &s, &err), ST_NETWORK);
    assert_null(strstr(err.message, "secret"));
}

static void recordings_that_cannot_be_written(void **state)
{
    struct place *p = *state;
    struct overlay_writer *w = NULL;
    assert_int_not_equal(overlay_writer_open("/proc/none/a.mp4", 64, 48, &w, NULL), ST_OK);
    assert_int_equal(overlay_writer_open(in_place(p, "a.mp4"), 8, 48, &w, NULL), ST_INVALID);
    assert_null(w);
    assert_int_equal(overlay_writer_open(p->path, 65, 49, &w, NULL), ST_OK);
    struct frame f = {0};
    draw_picture(&f, 64, 48, 0);
    assert_int_equal(overlay_writer_add(w, &f, NULL), ST_INVALID);
    draw_picture(&f, 65, 49, 0);
    assert_int_equal(overlay_writer_add(w, &f, NULL), ST_OK);
    assert_int_equal(overlay_writer_finish(w, NULL), ST_OK);
    overlay_writer_close(&w);
    struct video_source *s = open_source(p->path, 0, 0, 0);
    struct frame back;
    assert_int_equal(video_source_next(s, &back, NULL), ST_OK);
    assert_int_equal(back.width, 64);
    assert_int_equal(back.height, 48);
    video_source_close(&s);
    frame_clear(&f);
}

/* Real clips, where somebody has them: ATTUNE_SHARED_DATA/video and its folders of images. */
static void real_footage_decodes(void **state)
{
    (void)state;
    const char *root = getenv("ATTUNE_SHARED_DATA");
    if (!root) {
        print_message("skipped: ATTUNE_SHARED_DATA is not set\n");
        skip();
    }
    static const char *const names[] = {"video/dhaka_avenue.mp4",
                                        "video/freeway_haarcascades1.avi",
                                        "video/mot_night_street_3fps.mp4",
                                        "video/otvision_testvideo1.mkv",
                                        "video/uab_road.mp4",
                                        "camvid/0001TP"};
    static const int frames[] = {412, 500, 8, 100, 1716, 62};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        struct video_source *s = open_source(path, 0, 0, 0);
        struct frame f;
        int count = 0;
        while (video_source_next(s, &f, NULL) == ST_OK)
            count++;
        assert_int_equal(count, frames[i]);
        video_source_close(&s);
    }
}

#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(natural_order),           IN_PLACE(folders_give_their_images_in_order),
        IN_PLACE(folders_cope_with_mixed_content), IN_PLACE(folders_without_images_are_errors),
        IN_PLACE(videos_keep_times_and_pictures),  IN_PLACE(videos_are_thinned),
        IN_PLACE(thinning_takes_the_nearest),      IN_PLACE(videos_are_scaled),
        IN_PLACE(passing_gives_the_same_pixels),   IN_PLACE(info_tells_rate_and_length),
        IN_PLACE(damaged_videos_do_no_harm),       IN_PLACE(what_is_not_there_is_said),
        cmocka_unit_test(silent_cameras_time_out), IN_PLACE(recordings_that_cannot_be_written),
        cmocka_unit_test(real_footage_decodes),
    };
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
