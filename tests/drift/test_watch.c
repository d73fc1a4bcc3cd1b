/* The monitor on made-up summaries, faults on pictures of the town, and that they do not take each
 * other's part. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "drift/watch.h"
#include "synth/town.h"
#include "video/frame.h"

#define SECOND_US 1000000ull

/* ---- the monitor ---- */

/* A street: shares and confidence that waver around what they are told. */
static struct drift_summary summary_of(struct rng *r, double road, double confidence, double luma)
{
    struct drift_summary s = {.confidence = (float)(confidence + 0.01 * (double)rng_normal(r))};
    float part = (float)(road + 0.02 * (double)rng_normal(r));
    const float weight[3] = {part, 0.7f * (1 - part), 0.3f * (1 - part)};
    drift_summary_shares(&s, weight, 3);
    s.feature[DRIFT_LUMA] = (float)(luma + 0.005 * (double)rng_normal(r));
    return s;
}

struct course {
    struct drift_monitor m;
    struct rng r;
    uint64_t t_us;
    int began, over;
    uint64_t began_us;
};

static void begin_course(struct course *c, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    drift_monitor_init(&c->m, NULL);
    rng_init(&c->r, seed, 0);
}

static void go(struct course *c, double seconds, double road, double confidence, double luma)
{
    uint64_t end_us = c->t_us + (uint64_t)(seconds * 1e6);
    for (; c->t_us < end_us; c->t_us += SECOND_US / 2) {
        struct drift_summary s = summary_of(&c->r, road, confidence, luma);
        enum drift_change change = drift_monitor_add(&c->m, &s, c->t_us);
        if (change == DRIFT_BEGAN && c->began++ == 0)
            c->began_us = c->t_us;
        c->over += change == DRIFT_OVER;
    }
}

static void test_nothing_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct course c;
        begin_course(&c, seed);
        go(&c, 28, 0.4, 0.8, 0.4);
        assert_false(c.m.watching);
        go(&c, 900, 0.4, 0.8, 0.4);
        assert_true(c.m.watching);
        assert_int_equal(c.began, 0);
    }
}

static void test_each_distance_alone(void **state)
{
    (void)state;
    static const struct {
        double road, confidence, luma;
        enum drift_distance by;
    } changes[] = {{0.15, 0.8, 0.4, DRIFT_BY_ANSWERS},
                   {0.4, 0.65, 0.4, DRIFT_BY_CONFIDENCE},
                   {0.4, 0.8, 0.05, DRIFT_BY_PICTURE}};
    for (int i = 0; i < 3; i++) {
        struct course c;
        begin_course(&c, (uint64_t)i);
        go(&c, 60, 0.4, 0.8, 0.4);
        go(&c, 60, changes[i].road, changes[i].confidence, changes[i].luma);
        assert_int_equal(c.began, 1);
        assert_int_equal(c.m.by, changes[i].by);
        assert_true(c.m.drifted && c.m.score > 1);
        /* Some of the window's five blocks of 2 s, and three checks. */
        assert_in_range(c.began_us / SECOND_US, 64, 76);
        assert_in_range(c.m.since_us / SECOND_US, 60, c.began_us / SECOND_US);
        go(&c, 60, 0.4, 0.8, 0.4);
        assert_int_equal(c.over, 1);
        assert_false(c.m.drifted);
    }
    /* More confident is no drift. */
    struct course c;
    begin_course(&c, 9);
    go(&c, 60, 0.4, 0.8, 0.4);
    go(&c, 60, 0.4, 0.97, 0.4);
    assert_int_equal(c.began, 0);
}

static void test_alarms_are_rare(void **state)
{
    (void)state;
    struct course c;
    begin_course(&c, 4);
    go(&c, 60, 0.4, 0.8, 0.4);
    for (int i = 0; i < 10; i++) { /* back and forth every 40 s */
        go(&c, 20, 0.1, 0.6, 0.4);
        go(&c, 20, 0.4, 0.8, 0.4);
    }
    assert_in_range(c.began, 2, 4); /* 400 s at one in 120 s */
}

static void test_a_lively_street_needs_more(void **state)
{
    (void)state;
    struct course calm, lively;
    begin_course(&calm, 2);
    begin_course(&lively, 2);
    go(&calm, 34, 0.4, 0.8, 0.4);
    for (int i = 0; i < 17; i++)
        go(&lively, 2, i % 2 ? 0.2 : 0.6, 0.8, 0.4);
    assert_true(calm.m.watching && lively.m.watching);
    assert_true(calm.m.threshold[DRIFT_BY_ANSWERS] == calm.m.options.floor[DRIFT_BY_ANSWERS]);
    assert_true(lively.m.threshold[DRIFT_BY_ANSWERS] > 1.2 * calm.m.threshold[DRIFT_BY_ANSWERS]);
    go(&calm, 40, 0.22, 0.8, 0.4);
    go(&lively, 40, 0.22, 0.8, 0.4);
    assert_int_equal(calm.began, 1);
    assert_int_equal(lively.began, 0);
}

static void test_models_are_taken_over(void **state)
{
    (void)state;
    struct course c;
    begin_course(&c, 6);
    go(&c, 60, 0.4, 0.8, 0.4);
    /* Updates every 5 s: the old reference stays in force while the new one is collected. */
    go(&c, 2, 0.1, 0.6, 0.4);
    for (int i = 0; i < 5; i++) {
        drift_monitor_swapped(&c.m);
        go(&c, 5, 0.1, 0.6, 0.4);
    }
    assert_int_equal(c.began, 1);
    go(&c, 40, 0.1, 0.6, 0.4); /* the new one is complete, and this is the world that it knows */
    assert_false(c.m.drifted);
    assert_int_equal(c.over, 1);
    assert_true(c.m.score < 1);
}

static void test_hold_and_move(void **state)
{
    (void)state;
    struct course c;
    struct signature s;
    begin_course(&c, 7);
    assert_false(drift_monitor_signature(&c.m, &s));
    go(&c, 60, 0.4, 0.8, 0.4);
    drift_monitor_hold(&c.m, true);
    go(&c, 60, 0.1, 0.6, 0.4);
    assert_int_equal(c.began, 0);
    drift_monitor_hold(&c.m, false);
    go(&c, 5, 0.1, 0.6, 0.4);
    assert_int_equal(c.began, 1);
    drift_monitor_moved(&c.m);
    assert_false(c.m.drifted || c.m.watching);
    go(&c, 100, 0.1, 0.6, 0.4);
    assert_int_equal(c.began, 1);
    assert_true(drift_monitor_signature(&c.m, &s) && signature_is_valid(&s));
}

static void test_text(void **state)
{
    (void)state;
    static const char names[3][CLASS_NAME_CHARS_MAX + 1] = {"road", "sky", "car"};
    struct course c;
    char text[DRIFT_TEXT_CHARS_MAX + 1], small[20];
    begin_course(&c, 8);
    go(&c, 60, 0.4, 0.8, 0.4);
    go(&c, 30, 0.2, 0.62, 0.2);
    drift_monitor_text(&c.m, names, 3, text, sizeof text);
    assert_non_null(strstr(text, "confidence fell from 0.80 to 0.62, road 40 % -> 20 %"));
    assert_non_null(strstr(text, "brightness 0.40 -> 0.20"));
    drift_monitor_text(&c.m, NULL, 0, small, sizeof small);
    assert_true(strlen(small) < sizeof small);
}

/* ---- pictures of the town ---- */

#define W 320
#define H 192
#define CHANGE_S 40

struct trial {
    int notices[DRIFT_KIND_COUNT], over[DRIFT_KIND_COUNT];
    double first_s[DRIFT_KIND_COUNT];
    char text[DRIFT_KIND_COUNT][DRIFT_TEXT_CHARS_MAX + 1];
};

/* With the exact labels as answers. */
static void watch_town(const struct scenario *s, uint64_t seed, double seconds, struct trial *ret)
{
    struct town_options o;
    struct town *t;
    struct error err;
    struct frame f;
    struct label_map l;
    static struct drift_watch w;
    memset(ret, 0, sizeof *ret);
    town_options_init(&o);
    o.seed = seed;
    o.cameras = 1;
    o.scenario = s;
    assert_int_equal(town_open(&o, &t, &err), ST_OK);
    frame_init(&f);
    label_map_init(&l);
    assert_int_equal(frame_resize(&f, W, H, &err), ST_OK);
    assert_int_equal(label_map_resize(&l, W, H, &err), ST_OK);
    drift_watch_init(&w, NULL, NULL, 0);
    for (uint64_t t_us = 0; t_us < (uint64_t)(seconds * 1e6); t_us += SECOND_US / 2) {
        struct drift_picture p;
        struct drift_summary summary = {.confidence = NAN};
        struct drift_notice n;
        assert_int_equal(town_render(t, 0, t_us, &f, &l, NULL, 0, NULL, &err), ST_OK);
        drift_picture_measure(&f, &p);
        drift_summary_labels(&summary, l.classes, (size_t)W * H, TOWN_CLASS_COUNT);
        if (!drift_watch_see(&w, &p, &summary, t_us, &n))
            continue;
        assert_in_range(n.kind, DRIFT_SCENE, DRIFT_KIND_COUNT - 1);
        if (!n.over && ret->notices[n.kind]++ == 0) {
            ret->first_s[n.kind] = (double)t_us * 1e-6;
            memcpy(ret->text[n.kind], n.text, sizeof n.text);
        }
        ret->over[n.kind] += n.over;
    }
    frame_clear(&f);
    label_map_clear(&l);
    town_close(&t);
}

static struct scenario day(void)
{
    struct scenario s;
    struct error err;
    assert_int_equal(scenario_preset("clear", &s, &err), ST_OK);
    return s;
}

static void expect_only(const struct trial *t, enum drift_kind kind, double from_s, double to_s)
{
    for (int k = DRIFT_SCENE; k < DRIFT_KIND_COUNT; k++)
        if (t->notices[k] != (k == (int)kind))
            fail_msg("%d notices of %s, first at %.1f s: %s", t->notices[k],
                     drift_kind_name((enum drift_kind)k), t->first_s[k], t->text[k]);
    if (kind != DRIFT_NONE)
        assert_true(t->first_s[kind] >= from_s && t->first_s[kind] <= to_s);
}

static void test_blind(void **state)
{
    (void)state;
    static const enum scenario_look looks[] = {LOOK_BLACK, LOOK_WHITE, LOOK_FROZEN};
    for (int i = 0; i < 3; i++) {
        struct scenario s = day();
        struct trial t;
        s.blind_count = 1;
        s.blind[0] = (struct scenario_blind){0, CHANGE_S, CHANGE_S + 30, looks[i]};
        watch_town(&s, 3, 100, &t);
        expect_only(&t, DRIFT_BLIND, CHANGE_S + 2, CHANGE_S + 12);
        assert_int_equal(t.over[DRIFT_BLIND], 1);
        assert_non_null(
            strstr(t.text[DRIFT_BLIND], looks[i] == LOOK_FROZEN ? "restart" : "uncover the lens"));
    }
}

static void test_dirty(void **state)
{
    (void)state;
    struct scenario s = day();
    struct trial t;
    s.dirt_count = 1;
    s.dirt[0] = (struct scenario_dirt){0, CHANGE_S, CHANGE_S + 50, 0.4f, 0.4f, 0.2f, 0.9f};
    watch_town(&s, 3, 125, &t);
    expect_only(&t, DRIFT_DIRTY, CHANGE_S + 8, CHANGE_S + 40);
    assert_int_equal(t.over[DRIFT_DIRTY], 1);
    assert_non_null(strstr(t.text[DRIFT_DIRTY], "clean the lens"));
}

/* Seed 13 has a street whose windows go dark one after the other, and headlights. */
static void test_dirty_at_night(void **state)
{
    (void)state;
    struct scenario s = day();
    struct trial t;
    s.town.keyframe_count = 1;
    s.town.keyframes[0] =
        (struct scenario_keyframe){0, {.traffic = 0.5f, .dusk = 1, .night = 0.9f}};
    watch_town(&s, 13, 110, &t);
    assert_int_equal(t.notices[DRIFT_DIRTY], 0);
    s.dirt_count = 1;
    s.dirt[0] = (struct scenario_dirt){0, 100, 150, 0.7f, 0.4f, 0.2f, 0.9f};
    watch_town(&s, 4, 125, &t);
    assert_int_equal(t.notices[DRIFT_DIRTY], 1);
    assert_true(t.first_s[DRIFT_DIRTY] > 100);
}

/* A night of lit windows, which go dark one after the other, and of streets where headlights pass,
 * later no more. */
#define NIGHT_S 300
#define NIGHT_NOISE 0.025f
struct night {
    struct rng rng;
    double dark_s[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X]; /* 0: no window */
    float detail[DRIFT_BLOCKS_Y][DRIFT_BLOCKS_X];
    double passing_until_s;
    int smeared_x, smeared_y; /* first of 4 x 4 blocks */
    double smeared_s;
};

static void begin_night(struct night *n, uint64_t seed, double smeared_s)
{
    *n = (struct night){.smeared_s = smeared_s};
    rng_init(&n->rng, seed, 0);
    n->smeared_x = (int)rng_below(&n->rng, DRIFT_BLOCKS_X - 4);
    n->smeared_y = (int)rng_below(&n->rng, DRIFT_BLOCKS_Y - 4);
    for (int y = 0; y < DRIFT_BLOCKS_Y; y++)
        for (int x = 0; x < DRIFT_BLOCKS_X; x++) {
            bool window = y < DRIFT_BLOCKS_Y / 2 && rng_below(&n->rng, 5) == 0;
            n->detail[y][x] = 0.02f + 0.03f * rng_float(&n->rng);
            n->dark_s[y][x] = window ? 30 + (double)rng_below(&n->rng, NIGHT_S) : 0;
        }
}

static float light_of(struct night *n, int x, int y, double t_s, float *ret_detail)
{
    bool lit = n->dark_s[y][x] > t_s, street = y >= DRIFT_BLOCKS_Y - 2 && x < 8;
    bool headlights = street && t_s < n->passing_until_s;
    float luma = lit ? 0.32f : headlights ? 0.2f : 0.12f;
    *ret_detail = lit ? 0.06f : headlights ? 0.07f : n->detail[y][x] * (street ? 0.5f : 1);
    bool smeared = n->smeared_s > 0 && t_s >= n->smeared_s && x >= n->smeared_x &&
                   x < n->smeared_x + 4 && y >= n->smeared_y && y < n->smeared_y + 4;
    if (smeared)
        *ret_detail *= 0.1f;
    return smeared ? luma * 0.9f : luma;
}

static void picture_of(struct night *n, double t_s, struct drift_picture *p)
{
    memset(p, 0, sizeof *p);
    if (t_s < NIGHT_S / 2.0 && rng_below(&n->rng, 16) == 0)
        n->passing_until_s = t_s + 3 + (double)rng_below(&n->rng, 10);
    for (int y = 0; y < DRIFT_BLOCKS_Y; y++)
        for (int x = 0; x < DRIFT_BLOCKS_X; x++) {
            float detail, luma = light_of(n, x, y, t_s, &detail);
            float fine = sqrtf(detail * detail + NIGHT_NOISE * NIGHT_NOISE);
            bool flat = (x + y) % 5 == 0; /* where the noise is seen */
            p->fine[y][x] = (flat ? NIGHT_NOISE : fine) * (0.97f + 0.06f * rng_float(&n->rng));
            for (int i = 0; i < 16; i++)
                p->luma[4 * y + i / 4][4 * x + i % 4] = luma + ((x * 7 + y * 3 + i) % 4 ? 0 : 0.2f);
        }
    p->luma[0][0] += 0.002f * rng_float(&n->rng); /* no two pictures are the same */
}

/* Alarms of dirt; *ret_s: when the first came. */
static int dirt_in(struct night *n, double *ret_s)
{
    static struct drift_faults f;
    struct drift_picture p;
    struct drift_fault_event e;
    int alarms = 0;
    drift_faults_init(&f);
    for (int t_s = 0; t_s < NIGHT_S; t_s++) {
        picture_of(n, t_s, &p);
        if (!drift_faults_add(&f, &p, (uint64_t)t_s * SECOND_US, &e) || e.kind != DRIFT_DIRTY)
            continue;
        if (!e.over && alarms++ == 0)
            *ret_s = t_s;
    }
    return alarms;
}

static void test_lights_are_no_dirt(void **state)
{
    (void)state;
    int found = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct night n;
        double first_s = 0;
        begin_night(&n, seed, 0);
        if (dirt_in(&n, &first_s) != 0)
            fail_msg("seed %llu: dirty at %.1f s", (unsigned long long)seed, first_s);
        begin_night(&n, seed, 200);
        found += dirt_in(&n, &first_s) == 1 && first_s > 200 && first_s < 230;
    }
    assert_true(found >= 36);
}

static void test_bumped(void **state)
{
    (void)state;
    struct scenario s = day();
    struct trial t;
    s.bump_count = 1;
    s.bumps[0] = (struct scenario_bump){0, CHANGE_S, 7, -3, 2};
    watch_town(&s, 3, 80, &t);
    expect_only(&t, DRIFT_VIEW, CHANGE_S + 3, CHANGE_S + 10);
}

static void test_weather_is_no_fault(void **state)
{
    (void)state;
    static const struct town_condition to[] = {
        {.dusk = 1, .night = 0.9f}, {.rain = 0.8f}, {.fog = 0.8f}, {.snow = 0.8f}};
    for (int i = 0; i < 4; i++) {
        struct scenario s = day();
        struct trial t;
        s.town.keyframe_count = 2;
        s.town.keyframes[0] = (struct scenario_keyframe){CHANGE_S, {.traffic = 0.5f}};
        s.town.keyframes[1] = (struct scenario_keyframe){CHANGE_S + 15, to[i]};
        watch_town(&s, 5, 100, &t);
        for (int k = DRIFT_VIEW; k < DRIFT_KIND_COUNT; k++)
            assert_int_equal(t.notices[k], 0);
        assert_true(t.notices[DRIFT_SCENE] >= 1 && t.first_s[DRIFT_SCENE] >= CHANGE_S);
    }
}

static void test_a_gap_starts_anew(void **state)
{
    (void)state;
    static struct drift_faults f;
    static struct drift_picture p;
    struct drift_fault_event e;
    struct rng r;
    rng_init(&r, 1, 0);
    drift_faults_init(&f);
    for (int i = 0; i < 400; i++) {
        /* Another scene after a gap of a minute is no bump. */
        uint64_t t_us = (uint64_t)i * SECOND_US / 2 + (i >= 200 ? 60 * SECOND_US : 0);
        for (int c = 0; c < DRIFT_CELLS_X * DRIFT_CELLS_Y; c++)
            (&p.luma[0][0])[c] =
                0.5f + 0.3f * sinf((float)c * (i < 200 ? 0.7f : 0.11f)) + 0.01f * rng_float(&r);
        for (int b = 0; b < DRIFT_BLOCKS_X * DRIFT_BLOCKS_Y; b++)
            (&p.fine[0][0])[b] = (float)(b % 7) * 0.01f + 0.01f;
        assert_false(drift_faults_add(&f, &p, t_us, &e));
    }
    assert_true(f.now.match > 0.9);
}

static void test_kind_names(void **state)
{
    (void)state;
    for (int k = DRIFT_SCENE; k < DRIFT_KIND_COUNT; k++)
        assert_int_equal(drift_kind_parse(drift_kind_name((enum drift_kind)k)), k);
    assert_int_equal(drift_kind_parse("tired"), DRIFT_NONE);
    assert_string_equal(drift_kind_name((enum drift_kind)99), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_happens),
        cmocka_unit_test(test_each_distance_alone),
        cmocka_unit_test(test_alarms_are_rare),
        cmocka_unit_test(test_a_lively_street_needs_more),
        cmocka_unit_test(test_models_are_taken_over),
        cmocka_unit_test(test_hold_and_move),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_blind),
        cmocka_unit_test(test_dirty),
        cmocka_unit_test(test_dirty_at_night),
        cmocka_unit_test(test_lights_are_no_dirt),
        cmocka_unit_test(test_bumped),
        cmocka_unit_test(test_weather_is_no_fault),
        cmocka_unit_test(test_a_gap_starts_anew),
        cmocka_unit_test(test_kind_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
