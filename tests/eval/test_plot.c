/* Charts: a valid PNG of the wanted size with lines where the data is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/plot.h"
#include "video/frame.h"
#include "video/image.h"

static void draw(const struct plot_series *s, int count, const struct plot_options *o,
                 struct frame *ret)
{
    struct buf b = {0};
    struct error err;
    assert_int_equal(plot_png(s, count, o, &b, &err), ST_OK);
    assert_int_equal(image_read(b.data, b.size_bytes, ret, NULL), ST_OK);
    buf_clear(&b);
}

/* Strongly coloured pixels (the first series is blue) in a column of the plot area. */
static int blue_pixels(const struct frame *f, int x)
{
    int n = 0;
    for (int y = 70; y < f->height - 60; y++) {
        const uint8_t *p = f->pixels + 3 * ((size_t)y * (size_t)f->width + (size_t)x);
        n += p[2] > p[0] + 100;
    }
    return n;
}

static void lines_and_gaps(void **state)
{
    (void)state;
    double x[301], y[301];
    for (int i = 0; i <= 300; i++) {
        x[i] = i;
        y[i] = i >= 100 && i <= 200 ? NAN : 0.4;
    }
    const struct plot_series s = {"accuracy", x, y, 301};
    struct plot_options o;
    plot_options_init(&o);
    o.title = "A title";
    o.y_label = "mIoU";
    o.y_min = 0;
    o.y_max = 1;
    struct frame f = {0};
    draw(&s, 1, &o, &f);
    assert_int_equal(f.width, 1000);
    assert_int_equal(f.height, 500);
    assert_in_range(blue_pixels(&f, 220), 1, 5);
    assert_int_equal(blue_pixels(&f, 500), 0); /* the gap */
    assert_in_range(blue_pixels(&f, 850), 1, 5);
    assert_int_equal(f.pixels[0], 255); /* light background */
    frame_clear(&f);
}

static void awkward_data_is_drawn(void **state)
{
    (void)state;
    const double x[] = {5, 5, 6, 7, 8}, flat[] = {3, 3, 3, 3, 3};
    const double wild[] = {-1e14, 1e14, 1e300, INFINITY, 0};
    const double tiny[] = {1e-12, 2e-12, 3e-12, 0, -1e-12};
    const double one[] = {NAN, NAN, 7, NAN, NAN};
    const struct plot_series s[] = {{"flat", x, flat, 5},
                                    {"wild", x, wild, 5},
                                    {"tiny", x, tiny, 5},
                                    {"one", x, one, 5},
                                    {NULL, NULL, NULL, 0}};
    struct frame f = {0};
    for (int i = 0; i < 4; i++)
        draw(&s[i], i == 3 ? 2 : 1, NULL, &f);
    draw(s, 5, NULL, &f);
    struct plot_options o;
    plot_options_init(&o);
    o.width = o.height = 200;
    o.y_min = 50; /* beyond all data */
    draw(s, 1, &o, &f);
    assert_int_equal(f.width, 200);
    frame_clear(&f);
}

static void long_series_stay_whole(void **state)
{
    (void)state;
    const size_t n = 20000;
    double *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    assert_true(x && y);
    for (size_t i = 0; i < n; i++) {
        x[i] = (double)i;
        y[i] = 1 + 0.001 * (double)(i % 2);
    }
    const struct plot_series s = {"long", x, y, n};
    struct plot_options o;
    plot_options_init(&o);
    o.y_min = 0;
    struct frame f = {0};
    draw(&s, 1, &o, &f);
    for (int column = 80; column < 970; column++)
        assert_true(blue_pixels(&f, column) > 0);
    frame_clear(&f);
    free(x);
    free(y);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    const double x[] = {1, 2}, y[] = {1, 2}, none[] = {NAN, INFINITY};
    struct plot_series s = {"s", x, y, 2};
    struct plot_options o;
    struct buf b = {0};
    plot_options_init(&o);
    assert_int_equal(plot_png(&s, 0, &o, &b, NULL), ST_INVALID);
    assert_int_equal(plot_png(&s, PLOT_SERIES_MAX + 1, &o, &b, NULL), ST_INVALID);
    o.width = 4001;
    assert_int_equal(plot_png(&s, 1, &o, &b, NULL), ST_INVALID);
    plot_options_init(&o);
    o.y_min = o.y_max = 1;
    assert_int_equal(plot_png(&s, 1, &o, &b, NULL), ST_INVALID);
    s.y = none;
    assert_int_equal(plot_png(&s, 1, NULL, &b, NULL), ST_INVALID);
    s.y = y;
    s.name = "\xff\xfe";
    assert_int_equal(plot_png(&s, 1, NULL, &b, NULL), ST_INVALID);
    s.name = "ok";
    s.count = PLOT_POINTS_MAX + 1;
    assert_int_equal(plot_png(&s, 1, NULL, &b, NULL), ST_INVALID);
    assert_int_equal(b.size_bytes, 0);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_gaps),
        cmocka_unit_test(awkward_data_is_drawn),
        cmocka_unit_test(long_series_stay_whole),
        cmocka_unit_test(bad_requests_are_refused),
    };
    return cmocka_run_group_tests_name("plot", tests, NULL, NULL);
}
