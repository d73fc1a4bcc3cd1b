/* The zoo: what is chosen, what goes, and its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "group/zoo.h"

#define HOUR_US ((uint64_t)3600 * 1000000)

static const struct zoo_units units = {2, 2000};

static struct zoo_entry entry(const char *model, float looks, double hour, double accuracy)
{
    struct zoo_entry e = {.accuracy = accuracy, .size_bytes = 1000};
    group_conditions_init(&e.conditions);
    e.conditions.looks_known = true;
    e.conditions.signature.value[3] = looks;
    e.conditions.time_us = (uint64_t)(hour * (double)HOUR_US);
    e.conditions.place = group_place_of_map(0, 0);
    snprintf(e.model, sizeof e.model, "%s", model);
    return e;
}

static uint64_t add(struct zoo *z, struct zoo_entry e, uint64_t now_us, uint64_t *ret_evicted)
{
    struct zoo_entry evicted;
    struct error err;
    uint64_t id;
    assert_int_equal(zoo_add(z, &e, now_us, &id, &evicted, &err), ST_OK);
    if (ret_evicted)
        *ret_evicted = evicted.id;
    return id;
}

static struct zoo *open_zoo(int capacity)
{
    struct zoo *z;
    struct error err;
    assert_int_equal(zoo_open(capacity, &z, &err), ST_OK);
    return z;
}

/* Last night's model tonight: the same looks a day later at the same hour. */
static void last_nights_model_tonight(void **state)
{
    (void)state;
    struct zoo *z = open_zoo(8);
    uint64_t ids[4];
    uint64_t day = add(z, entry("day", 0, 12, 0.8), 1, NULL);
    uint64_t night = add(z, entry("night", 6, 23, 0.7), 2, NULL);
    uint64_t dusk = add(z, entry("dusk", 3, 18, 0.7), 3, NULL);
    struct zoo_entry now = entry("", 5.5f, 24 + 22.5, 0);
    assert_int_equal(zoo_select(z, &now.conditions, &units, 2, ids), 2);
    assert_int_equal(ids[0], night);
    assert_int_equal(ids[1], dusk);
    now = entry("", 0.2f, 48 + 11, 0);
    assert_int_equal(zoo_select(z, &now.conditions, &units, 4, ids), 3);
    assert_int_equal(ids[0], day);
    /* Nothing known but the time: over midnight 23 h is nearer to 1 h than 18 h is. */
    now.conditions.looks_known = false;
    now.conditions.place = group_place_unknown();
    now.conditions.time_us = 25 * HOUR_US;
    assert_int_equal(zoo_select(z, &now.conditions, &units, 1, ids), 1);
    assert_int_equal(ids[0], night);
    /* A name for the weather counts where both have one. */
    zoo_close(&z);
    z = open_zoo(8);
    struct zoo_entry rain = entry("rain", 0, 12, 0.7), sun = entry("sun", 1.5f, 12, 0.7);
    snprintf(rain.conditions.weather, sizeof rain.conditions.weather, "rain");
    snprintf(sun.conditions.weather, sizeof sun.conditions.weather, "sun");
    uint64_t rain_id = add(z, rain, 1, NULL), sun_id = add(z, sun, 1, NULL);
    now = entry("", 0.6f, 12, 0);
    assert_int_equal(zoo_select(z, &now.conditions, &units, 1, ids), 1);
    assert_int_equal(ids[0], rain_id);
    snprintf(now.conditions.weather, sizeof now.conditions.weather, "sun");
    assert_int_equal(zoo_select(z, &now.conditions, &units, 1, ids), 1);
    assert_int_equal(ids[0], sun_id);
    zoo_close(&z);
}

static void duplicates_give_way(void **state)
{
    (void)state;
    struct zoo *z = open_zoo(4);
    uint64_t gone, first = add(z, entry("a", 1, 12, 0.7), 1, &gone);
    assert_int_equal(gone, 0);
    uint64_t better = add(z, entry("b", 1.1f, 12, 0.75), 2, &gone);
    assert_int_equal(gone, first);
    uint64_t worse = add(z, entry("c", 1.2f, 12, 0.6), 3, &gone);
    assert_int_equal(gone, worse);
    assert_int_equal(zoo_count(z), 1);
    assert_string_equal(zoo_find(z, better)->model, "b");
    assert_null(zoo_find(z, first));
    /* Used often, it is worth more than a little accuracy. */
    for (int i = 0; i < 8; i++)
        zoo_use(z, better, 4);
    uint64_t later = add(z, entry("d", 1.1f, 12, 0.8), 5, &gone);
    assert_int_equal(gone, later);
    later = add(z, entry("e", 1.1f, 12, 0.9), 5, &gone);
    assert_int_equal(gone, better);
    assert_non_null(zoo_find(z, later));
    zoo_close(&z);
}

static void the_least_used_goes(void **state)
{
    (void)state;
    struct zoo *z = open_zoo(3);
    uint64_t ids[3], gone;
    for (int i = 0; i < 3; i++)
        ids[i] = add(z, entry("m", (float)(3 * i), 12, 0.7), 1, NULL);
    zoo_use(z, ids[0], HOUR_US);
    zoo_use(z, ids[2], HOUR_US);
    uint64_t fourth = add(z, entry("m", 20, 12, 0.7), 10 * HOUR_US, &gone);
    assert_int_equal(gone, ids[1]);
    assert_int_equal(zoo_count(z), 3);
    assert_non_null(zoo_find(z, fourth));
    assert_true(zoo_remove(z, ids[0]));
    assert_false(zoo_remove(z, ids[0]));
    assert_int_equal(zoo_at(z, 0)->id, ids[2]);
    zoo_close(&z);
}

static void bytes_and_back(void **state)
{
    (void)state;
    struct zoo *z = open_zoo(5), *y = NULL;
    struct error err;
    struct buf a, b;
    for (int i = 0; i < 5; i++)
        add(z, entry("snapshots/7", (float)(4 * i), i, 0.5), (uint64_t)i, NULL);
    zoo_use(z, 3, 99);
    zoo_remove(z, 2);
    buf_init(&a);
    buf_init(&b);
    assert_int_equal(zoo_save(z, &a, &err), ST_OK);
    assert_int_equal(zoo_load(a.data, a.size_bytes, &y, &err), ST_OK);
    assert_int_equal(zoo_save(y, &b, &err), ST_OK);
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.data, b.data, a.size_bytes);
    assert_int_equal(zoo_find(y, 3)->uses, 1);
    zoo_close(&y);
    for (size_t n = 0; n < a.size_bytes; n++)
        assert_int_equal(zoo_load(a.data, n, &y, &err), ST_FORMAT);
    for (size_t i = 0; i < 8 * a.size_bytes; i++) {
        a.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(zoo_load(a.data, a.size_bytes, &y, &err), ST_FORMAT);
        a.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_null(y);
    buf_clear(&a);
    buf_clear(&b);
    zoo_close(&z);
}

static void bad_entries_are_refused(void **state)
{
    (void)state;
    struct zoo *z = open_zoo(2), *none = NULL;
    struct zoo_entry e = entry("m", 0, 1, 1.5), gone;
    struct error err;
    uint64_t id;
    assert_int_equal(zoo_add(z, &e, 1, &id, &gone, &err), ST_INVALID);
    e = entry("", 0, 1, 0.5);
    assert_int_equal(zoo_add(z, &e, 1, &id, &gone, &err), ST_INVALID);
    e = entry("m", 1.0f / 0.0f, 1, 0.5);
    assert_int_equal(zoo_add(z, &e, 1, &id, &gone, &err), ST_INVALID);
    assert_int_equal(zoo_open(0, &none, &err), ST_INVALID);
    assert_int_equal(zoo_count(z), 0);
    zoo_close(&z);
}

/* Singapore's two causeway cameras are 400 m apart; a degree of latitude is 111.2 km. */
static void places_are_in_metres(void **state)
{
    (void)state;
    struct group_place a = group_place_of_degrees(10, 20), b = group_place_of_degrees(11, 20),
                       c = group_place_of_map(3, 4), o = group_place_of_map(0, 0),
                       bad = group_place_of_degrees(91, 0);
    double d = group_place_distance_m(&a, &b);
    assert_true(d > 111100 && d < 111300);
    assert_true(group_place_distance_m(&c, &o) == 5);
    assert_false(group_place_known(&bad));
    d = group_place_distance_m(&bad, &a);
    assert_true(d != d);
    assert_true(group_day_distance_s(23 * HOUR_US, 49 * HOUR_US) == 2 * 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_nights_model_tonight), cmocka_unit_test(duplicates_give_way),
        cmocka_unit_test(the_least_used_goes),       cmocka_unit_test(bytes_and_back),
        cmocka_unit_test(bad_entries_are_refused),   cmocka_unit_test(places_are_in_metres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
