/* Masks: what is written comes out as pixels, against points that are looked at one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "video/frame.h"
#include "video/mask.h"

#define SAMPLES 5 /* points looked at along each side of a pixel */

static struct mask mask;
static struct frame frame;
static struct error err;

static void parse(const char *text)
{
    if (mask_parse(text, &mask, &err) != ST_OK)
        fail_msg("%s", err.message);
}

/* Paints a black picture. */
static void paint(int width, int height)
{
    assert_int_equal(frame_resize(&frame, width, height, &err), ST_OK);
    memset(frame.pixels, 0, frame_bytes(&frame));
    assert_int_equal(mask_paint(&mask, &frame, &err), ST_OK);
}

static bool hidden(int x, int y)
{
    const uint8_t *p = frame.pixels + 3 * ((size_t)y * (size_t)frame.width + (size_t)x);
    assert_true(p[0] == p[1] && p[1] == p[2] && (p[0] == 0 || p[0] == MASK_GREY));
    return p[0] == MASK_GREY;
}

static void rectangles_are_painted_with_their_margin(void **state)
{
    (void)state;
    parse("0.25,0.25 0.75,0.25 0.75,0.5 0.25,0.5");
    paint(40, 20);
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 40; x++) {
            bool inside = x >= 10 && x < 30 && y >= 5 && y < 10;
            bool near = x >= 10 - MASK_MARGIN && x <= 30 + MASK_MARGIN && y >= 5 - MASK_MARGIN &&
                        y <= 10 + MASK_MARGIN;
            assert_true(!inside || hidden(x, y));
            assert_true(near || !hidden(x, y));
        }
    paint(80, 60); /* another size, the same part */
    assert_true(hidden(20, 15) && hidden(59, 29) && !hidden(20, 40) && !hidden(10, 20));
}

/* Whether a point is inside a triangle: on the same side of all its edges. */
static bool in_triangle(const float c[3][2], float x, float y)
{
    int sides = 0;
    for (int i = 0; i < 3; i++) {
        const float *a = c[i], *b = c[(i + 1) % 3];
        sides += (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 0 ? 1 : -1;
    }
    return sides == 3 || sides == -3;
}

/* No pixel with any part of a triangle in it is left, however thin the triangle is. */
static void nothing_of_a_triangle_shows(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, 1);
    for (int n = 0; n < 200; n++) {
        float c[3][2];
        char text[256];
        int width = 16 + (int)rng_below(&r, 40), height = 16 + (int)rng_below(&r, 40);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 2; k++)
                c[i][k] = (float)rng_below(&r, 1001) / 1000;
        snprintf(text, sizeof text, " %g,%g  %g,%g %g,%g ;", (double)c[0][0], (double)c[0][1],
                 (double)c[1][0], (double)c[1][1], (double)c[2][0], (double)c[2][1]);
        parse(text);
        paint(width, height);
        for (int i = 0; i < width * height * SAMPLES * SAMPLES; i++) {
            int x = i % (width * SAMPLES), y = i / (width * SAMPLES);
            float at_x = ((float)x + 0.5F) / (float)(width * SAMPLES);
            float at_y = ((float)y + 0.5F) / (float)(height * SAMPLES);
            if (in_triangle(c, at_x, at_y))
                assert_true(hidden(x / SAMPLES, y / SAMPLES));
        }
    }
}

static void a_star_has_no_hole(void **state)
{
    (void)state;
    parse("0.5,0 0.8,1 0,0.4 1,0.4 0.2,1;0,0 0.1,0 0.1,0.1 0,0.1");
    paint(100, 100);
    assert_true(hidden(50, 50) && hidden(50, 5) && hidden(5, 5) && !hidden(5, 90));
    mask_clear(&mask);
    paint(10, 10);
    assert_false(hidden(5, 5));
}

static void refuse_many(const char *part, int count)
{
    char many[8 * (MASK_CORNERS_MAX + 2)];
    size_t filled = 0;
    for (int i = 0; i < count; i++)
        filled += (size_t)snprintf(many + filled, sizeof many - filled, "%s", part);
    assert_true(filled < sizeof many);
    assert_int_equal(mask_parse(many, &mask, &err), ST_INVALID);
    assert_non_null(strstr(err.message, "more than"));
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"0,0 1,1", "mask 1 has 2 corners"},
        {"0,0 1,0 1,1; 0,0 0.5", "mask 2, corner 2"},
        {"0,0 1.1,0 1,1", "mask 1, corner 2"},
        {"0,0 -1,0 1,1", "mask 1, corner 2"},
        {"0,0 nan,0 1,1", "mask 1, corner 2"},
        {"0,0 1,0x 1,1", "mask 1, corner 2"},
        {"0,0 1,0 1,1;;0,0 1,0 1,1", "mask 2 has 0 corners"},
        {"here", "mask 1, corner 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(mask_parse(rows[i][0], &mask, &err), ST_INVALID);
        assert_non_null(strstr(err.message, rows[i][1]));
    }
    refuse_many("0,0 ", MASK_CORNERS_MAX + 1);
    refuse_many("0,0 1,0 1,1;", MASK_POLYGONS_MAX + 1);
    assert_int_equal(mask_parse(NULL, &mask, &err), ST_OK);
    assert_int_equal(mask.polygons, 0);
}

int main(void)
{
    mask_init(&mask);
    frame_init(&frame);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rectangles_are_painted_with_their_margin),
        cmocka_unit_test(nothing_of_a_triangle_shows),
        cmocka_unit_test(a_star_has_no_hole),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mask_clear(&mask);
    frame_clear(&frame);
    return failed;
}
