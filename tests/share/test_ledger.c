/* The account against sums over a list of all that was ever said to it. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "share/ledger.h"

#define WINDOW_US 6400000
#define STEPS 4000
#define CAMERAS 3

static struct error err;

struct entries {
    struct ledger_entry e[CAMERAS * LEDGER_KINDS + LEDGER_KINDS];
    int count;
};

static void take(const struct ledger_entry *e, void *context)
{
    struct entries *all = context;
    assert_true(all->count < (int)(sizeof all->e / sizeof *all->e));
    all->e[all->count++] = *e;
}

static struct entries read_all(struct ledger *l, uint64_t now_us, uint64_t *ret_window_us)
{
    struct entries all = {.count = 0};
    ledger_read(l, now_us, ret_window_us, take, &all);
    return all;
}

/* What happened: compute used at t_us, or a share planned from t_us on. */
struct said {
    uint64_t t_us, used_us;
    double share;
    bool plan;
    int camera, kind;
};

static const char *name(int camera)
{
    static const char *const names[] = {"a", "b", ""};
    return names[camera];
}

static struct ledger_entry expected(const struct said *s, int count, int camera, int kind,
                                    uint64_t from_us, uint64_t now_us)
{
    struct ledger_entry e = {.kind = (enum ledger_kind)kind};
    uint64_t since_us = 0;
    for (int i = 0; i <= count; i++) {
        bool end = i == count, own = !end && s[i].camera == camera && s[i].kind == kind;
        if (end || (own && s[i].plan)) {
            uint64_t until_us = end ? now_us : s[i].t_us;
            uint64_t start_us = since_us > from_us ? since_us : from_us;
            e.planned_total_us += e.share * (double)(until_us - since_us);
            if (until_us > start_us)
                e.planned_us += e.share * (double)(until_us - start_us);
            since_us = until_us;
            if (!end)
                e.share = s[i].share;
        } else if (own) {
            e.used_total_us += (double)s[i].used_us;
            e.used_us += s[i].t_us >= from_us ? (double)s[i].used_us : 0;
        }
    }
    return e;
}

static void compare(struct ledger *l, const struct said *s, int count, uint64_t start_us,
                    uint64_t now_us)
{
    uint64_t window_us;
    struct entries all = read_all(l, now_us, &window_us);
    uint64_t oldest_us =
        (now_us / (WINDOW_US / LEDGER_BUCKETS) - LEDGER_BUCKETS + 1) * (WINDOW_US / LEDGER_BUCKETS);
    assert_int_equal(window_us, now_us - (oldest_us > start_us ? oldest_us : start_us));
    for (int i = 0; i < all.count; i++) {
        const struct ledger_entry *e = &all.e[i];
        int camera = 0;
        while (strcmp(name(camera), e->camera) != 0)
            camera++;
        struct ledger_entry want =
            expected(s, count, camera, (int)e->kind, now_us - window_us, now_us);
        assert_true(fabs(e->used_us - want.used_us) < 1e-3);
        assert_true(fabs(e->planned_us - want.planned_us) < 1e-3);
        assert_true(fabs(e->used_total_us - want.used_total_us) < 1e-3);
        assert_true(fabs(e->planned_total_us - want.planned_total_us) < 1e-2);
        assert_true(e->share == want.share);
    }
}

static void it_agrees_with_a_list(void **state)
{
    (void)state;
    static struct said said[STEPS];
    struct ledger *l;
    struct rng rng;
    uint64_t start_us = 987654321, t_us = start_us;
    rng_init(&rng, 11, 0);
    assert_int_equal(ledger_open(WINDOW_US, CAMERAS, t_us, &l, &err), ST_OK);
    for (int i = 0; i < STEPS; i++) {
        struct said *s = &said[i];
        t_us += rng_below(&rng, 50) == 0 ? rng_below(&rng, 3 * WINDOW_US) : rng_below(&rng, 200000);
        *s = (struct said){.t_us = t_us,
                           .used_us = rng_below(&rng, 100000),
                           .share = (double)rng_below(&rng, 8) / 4,
                           .plan = rng_below(&rng, 3) == 0,
                           .camera = (int)rng_below(&rng, CAMERAS),
                           .kind = (int)rng_below(&rng, LEDGER_KINDS)};
        enum ledger_kind kind = (enum ledger_kind)s->kind;
        assert_int_equal(s->plan ? ledger_plan(l, name(s->camera), kind, s->share, t_us, &err)
                                 : ledger_charge(l, name(s->camera), kind, s->used_us, t_us, &err),
                         ST_OK);
        if (i % 7 == 0)
            compare(l, said, i + 1, start_us, t_us + rng_below(&rng, 1000));
        t_us += 1000; /* time that compare has told */
    }
    ledger_close(&l);
    ledger_close(&l);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct ledger *l;
    char id[80];
    assert_int_equal(ledger_open(WINDOW_US, 0, 0, &l, &err), ST_INVALID);
    assert_int_equal(ledger_open(1, 1, 0, &l, &err), ST_INVALID);
    assert_int_equal(ledger_open(WINDOW_US, 10, 0, &l, &err), ST_OK);
    assert_int_equal(ledger_charge(l, "", LEDGER_LABEL, 5, 1, &err), ST_OK);
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "c%d", i);
        assert_int_equal(ledger_charge(l, id, LEDGER_TRAIN, 5, 1, &err), i < 10 ? ST_OK : ST_LIMIT);
    }
    memset(id, 'x', sizeof id);
    id[sizeof id - 1] = '\0';
    assert_int_equal(ledger_charge(l, id, LEDGER_TRAIN, 5, 1, &err), ST_LIMIT);
    /* A time of the past counts as the latest. */
    assert_int_equal(ledger_charge(l, "c1", LEDGER_TRAIN, 5, 9000000, &err), ST_OK);
    assert_int_equal(ledger_charge(l, "c1", LEDGER_TRAIN, 7, 1, &err), ST_OK);
    ledger_close(&l);
    assert_string_equal(ledger_kind_name(LEDGER_PROFILE), "profile");
}

#define THREADS 4
#define CHARGES 5000

static void *charge_many(void *context)
{
    for (int i = 0; i < CHARGES; i++)
        ledger_charge(context, i % 2 ? "a" : "b", LEDGER_TRAIN, 3, (uint64_t)i * 10, NULL);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct ledger *l;
    pthread_t t[THREADS];
    assert_int_equal(ledger_open(WINDOW_US, 2, 0, &l, &err), ST_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, charge_many, l), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    struct entries all = read_all(l, CHARGES * 10, NULL);
    assert_int_equal(all.count, 2);
    for (int i = 0; i < 2; i++)
        assert_true(all.e[i].used_us == THREADS * CHARGES / 2 * 3.0);
    ledger_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_list),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
