/* The screen of attune top: a pure function, so what it shows is compared with what it should show,
 * and whatever the server says it neither leaves the screen nor commands the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cmd/plain.h"
#include "cmd/top_view.h"

#define NOW_US 1000000000

static const char state[] =
    "{\"server\":\"http://127.0.0.1:8080\",\"sharing\":\"attune\",\"health\":{\"uptime_s\":300,"
    "\"worker\":\"running\",\"phases\":12,\"phases_failed\":1,\"backlog_chunks\":3,\"state_bytes\":"
    "10485760,\"adapt\":true},\"cameras\":["
    "{\"id\":\"gate\",\"group\":\"gate\",\"state\":\"running\",\"accuracy\":0.8,"
    "\"accuracy_unadapted\":0.5,\"version\":7,\"camera_version\":7,\"sampling_fps\":0.4,"
    "\"up_kbps\":100,\"down_kbps\":10,\"seen_us\":999000000,\"paused\":false},"
    "{\"id\":\"yard\",\"group\":\"gate\",\"state\":\"running\",\"accuracy\":0.9,"
    "\"accuracy_unadapted\":0.95,\"version\":7,\"camera_version\":6,\"sampling_fps\":1,"
    "\"up_kbps\":20,\"down_kbps\":0,\"seen_us\":999000000,\"paused\":true},"
    "{\"id\":\"dock\",\"group\":\"dock\",\"state\":\"running\",\"accuracy\":null,\"version\":0,"
    "\"camera_version\":0,\"sampling_fps\":0.1,\"up_kbps\":0,\"down_kbps\":0,\"seen_us\":700000000,"
    "\"paused\":false}],"
    "\"groups\":[{\"id\":\"gate\",\"share\":0.75,\"trains\":true},{\"id\":\"dock\",\"share\":0.25}]"
    ","
    "\"requests\":[],\"history\":{\"gate\":[0.5,0.6,0.7,0.8],\"yard\":[0.9]},"
    "\"compute\":{\"capacity\":2,\"window_s\":60,\"account\":[{\"kind\":\"train\",\"used_s\":60},"
    "{\"kind\":\"label\",\"used_s\":12}]},"
    "\"events\":[{\"kind\":\"labelled\",\"camera\":\"gate\",\"reason\":\"x\"},"
    "{\"kind\":\"accepted\",\"camera\":\"gate\",\"reason\":\"better by 3 points\"}]}";

static char *render(const json_t *all, struct top_view *view, int columns, int rows)
{
    struct buf out;
    buf_init(&out);
    top_render(all, view, columns, rows, NOW_US, &out);
    buf_put_u8(&out, 0);
    assert_false(out.failed);
    return (char *)out.data;
}

static json_t *parse(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

/* Line n of the text, without the blanks at its end. */
static void expect_line(const char *text, int n, const char *want)
{
    char line[512];
    for (; n > 0 && text; n--) {
        text = strchr(text, '\n');
        text += text != NULL;
    }
    assert_non_null(text);
    size_t length = strcspn(text, "\n");
    while (length > 0 && text[length - 1] == ' ')
        length--;
    snprintf(line, sizeof line, "%.*s", (int)length, text);
    assert_string_equal(line, want);
}

static void a_wide_screen(void **context)
{
    (void)context;
    json_t *all = parse(state);
    struct top_view view = {.sort = TOP_CAMERA};
    char *text = render(all, &view, 120, 12);
    expect_line(text, 0,
                "attune http://127.0.0.1:8080  up 5 min  3 cameras in 2 groups  sharing attune  "
                "accuracy 85.0 % (+12.5)");
    expect_line(text, 1, "workers running, 12 trainings, 1 failed  backlog 3  state 10 MB");
    expect_line(text, 2,
                "infer ................   0%  label ||..............  10%  profile ................"
                "   0%  train ||||||||........  50%");
    expect_line(
        text, 3,
        "camera▼           state            now %    gain  trend         version  group     "
        "      share %  frames/s  up kb/s");
    expect_line(
        text, 4,
        "dock              silent 5 min         -       -                      0  dock      "
        "         25.0      0.10        0");
    expect_line(
        text, 5,
        "gate              running           80.0   +30.0  ▁▃▆█                7  gate      "
        "         75.0      0.40      100");
    expect_line(
        text, 6,
        "yard              paused            90.0    -5.0  ▄                   7  gate      "
        "         75.0      1.00       20");
    assert_non_null(strstr(text, "gate accepted: better by 3 points"));
    assert_null(strstr(text, "labelled"));
    free(text);
    json_decref(all);
}

static void keys_sort(void **context)
{
    (void)context;
    json_t *all = parse(state);
    struct top_view view = {.sort = TOP_CAMERA};
    assert_true(top_sort_key(&view, 'a'));
    char *text = render(all, &view, 60, 12);
    assert_true(strstr(text, "yard") < strstr(text, "gate  ") && strstr(text, "now %▼"));
    free(text);
    assert_true(top_sort_key(&view, 'a') && view.reversed);
    assert_false(top_sort_key(&view, 'z'));
    text = render(all, &view, 60, 12);
    assert_true(strstr(text, "gate  ") < strstr(text, "yard"));
    free(text);
    json_decref(all);
}

static void a_narrow_screen_keeps_what_matters(void **context)
{
    (void)context;
    json_t *all = parse(state);
    struct top_view view = {.sort = TOP_CAMERA, .scroll = 99};
    char *text = render(all, &view, 26, 7);
    expect_line(text, 3, "camera▼            now %");
    expect_line(text, 5, "yard                90.0"); /* scrolled to the end */
    assert_int_equal(view.scroll, 1);
    free(text);
    json_decref(all);
}

/* Lines no wider and no more than the screen; nothing but SGR, and that only with colours. */
static void expect_inside(const char *text, int columns, int rows, bool color)
{
    int at = 0, lines = 1;
    while (*text) {
        if (*text == '\n') {
            lines++;
            at = 0;
            text++;
        } else if (*text == '\x1b') {
            assert_true(color && text[1] == '[');
            text += 2 + strspn(text + 2, "0123456789;");
            assert_int_equal(*text++, 'm');
        } else {
            int wide;
            assert_true((unsigned char)*text >= ' ');
            plain_next(&text, &wide);
            at += wide;
        }
        assert_true(at <= columns);
    }
    assert_true(lines <= rows);
}

static void nothing_leaves_the_screen(void **context)
{
    (void)context;
    static const char *const bad[] = {"\x1b[2J\x1b[31mred",
                                      "\x1b]0;title\x07",
                                      "a\nb\rc",
                                      "\xc2\x9b"
                                      "2J",
                                      "\xe2\x80\xae rtl",
                                      "\xe6\x9d\xb1\xe6\x9d\xb1\xe6\x9d\xb1\xe6\x9d\xb1\xe6\x9d\xb1"
                                      "\xe6\x9d\xb1\xe6\x9d\xb1\xe6\x9d\xb1\xe6\x9d\xb1",
                                      "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
                                      ""};
    struct rng r;
    rng_init(&r, 3, 0);
    for (int round = 0; round < 2000; round++) {
        const char *text = bad[rng_below(&r, sizeof bad / sizeof bad[0])];
        json_t *all =
            json_pack("{s:s,s:s,s:[{s:s,s:s,s:s,s:f}],s:[{s:s}],s:[{s:s,s:s,s:s}],s:s}", "server",
                      text, "sharing", text, "cameras", "id", text, "group", text, "state", text,
                      "accuracy", 0.5, "groups", "id", text, "events", "camera", text, "kind", text,
                      "reason", text, "health", text);
        struct top_view view = {.sort = (enum top_sort)rng_below(&r, TOP_UP + 1),
                                .reversed = rng_below(&r, 2),
                                .scroll = (int)rng_below(&r, 5) - 2,
                                .color = rng_below(&r, 2)};
        int columns = TOP_COLUMNS_MIN + (int)rng_below(&r, 150),
            rows = TOP_ROWS_MIN + (int)rng_below(&r, 30);
        char *shown = render(all, &view, columns, rows);
        expect_inside(shown, columns, rows, view.color);
        free(shown);
        json_decref(all);
    }
    struct top_view view = {.color = true};
    json_t *none = parse("{}");
    char *shown = render(none, &view, 40, 10);
    expect_inside(shown, 40, 10, true);
    free(shown);
    json_decref(none);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_wide_screen), cmocka_unit_test(keys_sort),
                                       cmocka_unit_test(a_narrow_screen_keeps_what_matters),
                                       cmocka_unit_test(nothing_leaves_the_screen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
