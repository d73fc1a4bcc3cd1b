/* Lists of processors, plans for made-up machines, and a thread that stays where it was put. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cores.h"
#include "base/rng.h"

static struct error err;

static struct cores list(const char *text)
{
    struct cores c;
    assert_int_equal(cores_parse(text, &c, &err), ST_OK);
    return c;
}

static void expect(const struct cores *c, const char *want)
{
    char text[CORES_TEXT_BYTES];
    cores_write(c, text);
    assert_string_equal(text, want);
}

static void lists_are_read_and_written(void **state)
{
    (void)state;
    static const char *const same[] = {"0", "7", "0-3,8", "0-1023", "1,3,5", "62-65", "1023"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct cores c = list(same[i]);
        expect(&c, same[i]);
    }
    struct cores c = list("0,1,2,4-4,6-7");
    expect(&c, "0-2,4,6-7");
    assert_int_equal(cores_count(&c), 6);
    assert_true(cores_has(&c, 4) && !cores_has(&c, 3) && !cores_has(&c, 1023));
    c = (struct cores){{0}};
    expect(&c, "none");
    /* The longest texts that there are. */
    for (int run = 1; run <= 2; run++) {
        c = (struct cores){{0}};
        for (int cpu = 0; cpu < CORES_MAX; cpu++)
            if (cpu % (run + 1) < run)
                cores_add(&c, cpu);
        char text[CORES_TEXT_BYTES];
        cores_write(&c, text);
        struct cores again = list(text);
        assert_memory_equal(&again, &c, sizeof c);
    }
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "-",    ",",  "0,",  ",0",   "1-",   "-1",   "3-1",    "0,0",         "2,1",
        "0-3,3", "1 2",  " 1", "1 ",  "a",    "0x1",  "1024", "0-1024", "99999999999", "1--2",
        "1-2-3", "0,,1", "+1", "0.5", "auto", "none", "1;2",  "0-",     "4294967296",  "1\n"};
    struct cores c = list("5");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.message[0] = '\0';
        assert_int_equal(cores_parse(bad[i], &c, &err), ST_INVALID);
        assert_true(err.message[0]);
        expect(&c, "5");
    }
}

/* What is read from any text of these characters is written as a text that reads the same. */
static void any_text(void **state)
{
    (void)state;
    static const char letters[] = "0123456789,,--";
    struct rng rng;
    rng_init(&rng, 5, 0);
    int good = 0;
    for (int i = 0; i < 200000; i++) {
        char text[12], again[CORES_TEXT_BYTES];
        uint32_t n = rng_below(&rng, sizeof text);
        for (uint32_t k = 0; k < n; k++)
            text[k] = letters[rng_below(&rng, sizeof letters - 1)];
        text[n] = '\0';
        struct cores c, d;
        if (cores_parse(text, &c, &err) != ST_OK)
            continue;
        good++;
        assert_true(cores_count(&c) > 0);
        cores_write(&c, again);
        d = list(again);
        assert_memory_equal(&c, &d, sizeof c);
    }
    assert_true(good > 1000);
}

/* Processors 0 .. count - 1; with `siblings`, i and i + count / 2 are of one core. */
static struct cores_machine machine(int count, bool siblings)
{
    static struct cores_machine m;
    m = (struct cores_machine){0};
    for (int cpu = 0; cpu < count; cpu++) {
        cores_add(&m.usable, cpu);
        m.core_of[cpu] = siblings ? cpu % (count / 2) : cpu;
    }
    return m;
}

static void different_cores_first(void **state)
{
    (void)state;
    struct cores_machine m = machine(8, true);
    struct cores left = m.usable, got;
    assert_int_equal(cores_take(&m, &left, 3, &got, &err), ST_OK);
    expect(&got, "0-2");
    expect(&left, "3-7");
    assert_int_equal(cores_take(&m, &left, 5, &got, &err), ST_OK); /* 4-6: beside 0-2, but free */
    expect(&got, "3-7");
    left = list("0,4,5");
    assert_int_equal(cores_take(&m, &left, 2, &got, &err), ST_OK);
    expect(&got, "0,5");
    expect(&left, "4");
    assert_int_equal(cores_take(&m, &left, 2, &got, &err), ST_LIMIT);
    expect(&got, "0,5");
    expect(&left, "4");
}

static const struct plan_case {
    int processors;
    struct {
        const char *wish;
        int threads;
    } role[3];
    const char *want; /* NULL: refused with `why` in the message */
    const char *why;
    bool pinned, fewer;
} plans[] = {
    /* one thread each, no lists: the system's */
    {4,
     {{"auto", 1}, {"auto", 1}},
     "a 0-3 (1 thread), b 0-3 (1 thread), rest 0-3",
     NULL,
     false,
     false},
    {1, {{"auto", 1}, {"auto", 1}}, "a 0 (1 thread), b 0 (1 thread), rest 0", NULL, false, false},
    /* teams that fit */
    {4, {{"auto", 2}, {"auto", 1}}, "a 0-1 (2 threads), b 2 (1 thread), rest 3", NULL, true, false},
    {4,
     {{"auto", 2}, {"auto", 2}},
     "a 0-1 (2 threads), b 2-3 (2 threads), rest 0-3",
     NULL,
     true,
     false},
    {2, {{"auto", 2}}, "a 0-1 (2 threads), rest 0-1", NULL, true, false},
    {8,
     {{"auto", 1}, {"auto", 3}, {"auto", 2}},
     "a 0 (1 thread), b 1-3 (3 threads), c 4-5 (2 threads), rest 6-7",
     NULL,
     true,
     false},
    /* teams that do not */
    {2,
     {{"auto", 2}, {"auto", 2}},
     "a 0-1 (1 thread), b 0-1 (1 thread), rest 0-1",
     NULL,
     false,
     true},
    {2,
     {{"auto", 2}, {"auto", 1}},
     "a 0-1 (1 thread), b 0-1 (1 thread), rest 0-1",
     NULL,
     false,
     true},
    {1, {{"auto", 4}}, "a 0 (1 thread), rest 0", NULL, false, true},
    /* lists */
    {4, {{"3", 1}, {"auto", 1}}, "a 3 (1 thread), b 0-2 (1 thread), rest 0-2", NULL, true, false},
    {4, {{"0-2", 2}, {"3", 1}}, "a 0-2 (2 threads), b 3 (1 thread), rest 0-3", NULL, true, false},
    {4,
     {{"2-3", 2}, {"auto", 2}},
     "a 2-3 (2 threads), b 0-1 (2 threads), rest 0-3",
     NULL,
     true,
     false},
    {4, {{"1-3", 2}, {"auto", 2}}, "a 1-3 (2 threads), b 0 (1 thread), rest 0", NULL, true, true},
    {2,
     {{"0-1", 2}, {"auto", 1}},
     "a 0-1 (2 threads), b 0-1 (1 thread), rest 0-1",
     NULL,
     true,
     false},
    {4, {{"0-1", 2}, {"1-2", 2}}, NULL, "b: processor 1 is another role's already", false, false},
    {4, {{"2-4", 2}}, NULL, "a: processor 4 is not one that may be used here", false, false},
    {4, {{"2", 2}}, NULL, "a has 2 threads, the list 2 has 1 processors", false, false},
    {4, {{"auto", 1}, {"some", 2}}, NULL, "b: 'some' is no list", false, false},
};

static void plans_keep_roles_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        const struct plan_case *p = &plans[i];
        struct cores_machine m = machine(p->processors, false);
        struct cores_role roles[3] = {0};
        struct cores_plan plan;
        int count = 0;
        for (; count < 3 && p->role[count].wish; count++)
            roles[count] = (struct cores_role){.name = (const char *[]){"a", "b", "c"}[count],
                                               .wish = p->role[count].wish,
                                               .threads = p->role[count].threads};
        enum status st = cores_plan(&m, roles, count, &plan, &err);
        if (!p->want) {
            assert_int_equal(st, ST_INVALID);
            assert_non_null(strstr(err.message, p->why));
            continue;
        }
        char text[3 * CORES_TEXT_BYTES];
        assert_int_equal(st, ST_OK);
        cores_plan_write(&plan, roles, count, text, sizeof text);
        assert_string_equal(text, p->want);
        assert_int_equal(plan.pinned, p->pinned);
        assert_int_equal(plan.fewer, p->fewer);
    }
    char small[10];
    struct cores_machine m = machine(4, false);
    struct cores_role role = {.name = "inference", .wish = CORES_AUTO, .threads = 2};
    struct cores_plan plan;
    assert_int_equal(cores_plan(&m, &role, 1, &plan, &err), ST_OK);
    cores_plan_write(&plan, &role, 1, small, sizeof small);
    assert_string_equal(small, "inference");
}

/* Whatever the roles want: two that both have a team or a list share no processor, each has one for
 * each thread, and nothing outside the machine is given. */
static void any_plan(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 9, 0);
    for (int i = 0; i < 20000; i++) {
        struct cores_machine m = machine(2 + 2 * (int)rng_below(&rng, 6), rng_below(&rng, 2));
        struct cores_role roles[4] = {0};
        char wish[4][16];
        int count = 1 + (int)rng_below(&rng, 4);
        for (int k = 0; k < count; k++) {
            snprintf(wish[k], sizeof wish[k], "%u", rng_below(&rng, 14));
            roles[k] = (struct cores_role){.name = "r",
                                           .wish = rng_below(&rng, 4) ? CORES_AUTO : wish[k],
                                           .threads = 1 + (int)rng_below(&rng, 4)};
        }
        struct cores_plan plan;
        if (cores_plan(&m, roles, count, &plan, &err) != ST_OK)
            continue;
        int given[CORES_MAX] = {0}, teams[CORES_MAX] = {0};
        for (int k = 0; k < count; k++)
            for (int cpu = 0; cpu < CORES_MAX; cpu++) {
                given[cpu] += cores_has(&roles[k].own, cpu);
                teams[cpu] += cores_has(&roles[k].own, cpu) && roles[k].threads > 1;
                assert_true(!cores_has(&roles[k].own, cpu) || cores_has(&m.usable, cpu));
            }
        for (int k = 0; k < count; k++)
            assert_true(roles[k].threads >= 1 && cores_count(&roles[k].own) >= roles[k].threads);
        for (int cpu = 0; cpu < CORES_MAX; cpu++)
            assert_true(teams[cpu] <= 1);
    }
}

static void *where(void *context)
{
    *(int *)context = sched_getcpu();
    return NULL;
}

/* On each processor that may be used: a thread that was put there runs there, and so do those that
 * it starts. */
static void a_pinned_thread_stays(void **state)
{
    (void)state;
    struct cores_machine m, after;
    assert_int_equal(cores_machine_read(&m, &err), ST_OK);
    assert_int_equal(cores_count(&m.usable), cores_usable_count());
    for (int cpu = 0; cpu < CORES_MAX; cpu++) {
        if (!cores_has(&m.usable, cpu))
            continue;
        struct cores one = {{0}};
        cores_add(&one, cpu);
        assert_int_equal(cores_pin(&one, &err), ST_OK);
        assert_int_equal(sched_getcpu(), cpu);
        pthread_t thread;
        int at = -1;
        assert_int_equal(pthread_create(&thread, NULL, where, &at), 0);
        pthread_join(thread, NULL);
        assert_int_equal(at, cpu);
        assert_int_equal(cores_machine_read(&after, &err), ST_OK);
        assert_memory_equal(&after.usable, &one, sizeof one);
        assert_int_equal(cores_pin_some(2, &err), ST_LIMIT);
        assert_int_equal(cores_pin(&m.usable, &err), ST_OK);
    }
    assert_int_equal(cores_pin(&(struct cores){{0}}, &err), ST_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_and_written),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(any_text),
        cmocka_unit_test(different_cores_first),
        cmocka_unit_test(plans_keep_roles_apart),
        cmocka_unit_test(any_plan),
        cmocka_unit_test(a_pinned_thread_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
