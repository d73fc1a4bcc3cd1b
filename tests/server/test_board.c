/* What the server wishes of a camera's uploads: defaults, groups, and when it is news. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "server/board.h"

static struct settings set;
static struct camera_list cameras;
static struct config *config;
static struct board *board;

static int start(void **state)
{
    (void)state;
    struct error err;
    settings_init(&set);
    set.cameras_max = 2;
    camera_list_init(&cameras);
    if (config_open(&set, &cameras, &config, &err) != ST_OK)
        return -1;
    return board_open(config, 2, 100, &board, &err) == ST_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    board_close(&board);
    config_close(&config);
    return 0;
}

static struct client_settings settings_of(const char *camera)
{
    struct client_settings s = {0};
    board_settings(board, camera, &s);
    return s;
}

static struct board_group group_of(const char *id, int members, double share)
{
    struct board_group g = {.members = members, .share = share, .weight = 0.5};
    snprintf(g.id, sizeof g.id, "%s", id);
    return g;
}

static void alone_until_somebody_says(void **state)
{
    (void)state;
    struct client_settings s = settings_of("gate");
    assert_string_equal(s.send.group, "");
    assert_true(s.send.members == 1 && s.send.group_share == 0 && s.send.weight == 1);
    assert_int_equal(s.send.law, GAIMD_PRICE);
    assert_true(s.send.scale_max == 1);
    set.gaimd = false;
    config_replace(config, &set, &cameras);
    assert_int_equal(settings_of("gate").send.law, 0);
}

static void a_group_is_news_once(void **state)
{
    (void)state;
    struct board_group g = group_of("north", 3, 0.6), back;
    uint64_t before = board_revision(board, "gate");
    assert_true(board_set_group(board, "gate", &g));
    assert_true(board_revision(board, "gate") > before);
    assert_int_equal(board_revision(board, "yard"), 100);
    struct client_settings s = settings_of("gate");
    assert_string_equal(s.send.group, "north");
    assert_true(s.send.members == 3 && s.send.group_share == 0.6 && s.send.weight == 0.5);
    before = board_revision(board, "gate");
    g.share = 0.62; /* every plan is a little different */
    assert_false(board_set_group(board, "gate", &g));
    assert_int_equal(board_revision(board, "gate"), before);
    g.members = 2;
    assert_true(board_set_group(board, "gate", &g));
    board_get_group(board, "gate", &back);
    assert_true(back.members == 2 && back.share == 0.62);
    set.transmission = false; /* then no controller, but groups and weights stay */
    config_replace(config, &set, &cameras);
    s = settings_of("gate");
    assert_true(s.send.group_share == 0 && s.send.members == 2);
}

static void report_timing(int runs, double run_s, uint64_t at_s, struct inference_timing *timing)
{
    struct inference_report r = {.running = {1, 1}};
    for (int i = 0; i < runs; i++) {
        durations_add(&timing->run, run_s);
        durations_add(&timing->age, 2 * run_s);
    }
    r.timing = *timing;
    board_report(board, "gate", &r, at_s * 1000000, NULL);
}

static double recent_p95_s(uint64_t *ret_count)
{
    struct inference_timing recent;
    board_timing(board, "gate", &recent);
    *ret_count = durations_count(&recent.run);
    assert_int_equal(durations_count(&recent.age), *ret_count);
    return durations_quantile(&recent.run, 0.95);
}

/* What was slow two minutes ago is forgotten; a camera that starts again counts from its start. */
static void timings_are_of_the_last_minutes(void **state)
{
    (void)state;
    struct inference_timing t = {0};
    uint64_t count;
    assert_true(isnan(recent_p95_s(&count)));
    assert_int_equal(count, 0);
    report_timing(100, 0.4, 1000, &t);
    assert_true(recent_p95_s(&count) > 0.3);
    assert_int_equal(count, 100);
    for (uint64_t at_s = 1010; at_s <= 1120; at_s += 10)
        report_timing(10, 0.004, at_s, &t);
    assert_true(recent_p95_s(&count) <= 0.005);
    assert_int_equal(count, 60); /* since 1060 */
    t = (struct inference_timing){0};
    report_timing(7, 0.04, 1130, &t);
    assert_true(recent_p95_s(&count) > 0.03);
    assert_int_equal(count, 7);
    report_timing(3, 0.04, 1140, &t);
    (void)recent_p95_s(&count);
    assert_int_equal(count, 10);
}

static void more_cameras_than_there_is_room_for(void **state)
{
    (void)state;
    struct board_group g = group_of("north", 3, 0.6), back;
    assert_true(board_set_group(board, "a", &g) && board_set_group(board, "b", &g));
    assert_false(board_set_group(board, "c", &g));
    board_get_group(board, "c", &back);
    assert_true(back.members == 1 && back.share == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(alone_until_somebody_says, start, stop),
        cmocka_unit_test_setup_teardown(a_group_is_news_once, start, stop),
        cmocka_unit_test_setup_teardown(timings_are_of_the_last_minutes, start, stop),
        cmocka_unit_test_setup_teardown(more_cameras_than_there_is_room_for, start, stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
