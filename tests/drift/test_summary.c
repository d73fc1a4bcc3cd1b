/* Summaries of pictures and answers against values worked out otherwise; signatures on the town. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "drift/signature.h"
#include "synth/town.h"
#include "video/frame.h"

#define NEAR(a, b, by) assert_true(fabs((double)(a) - (double)(b)) <= (by))

static struct frame make_frame(int width, int height)
{
    struct frame f;
    struct error err;
    frame_init(&f);
    assert_int_equal(frame_resize(&f, width, height, &err), ST_OK);
    return f;
}

static void fill(struct frame *f, int r, int g, int b)
{
    for (int i = 0; i < f->width * f->height; i++) {
        f->pixels[3 * i] = (uint8_t)r;
        f->pixels[3 * i + 1] = (uint8_t)g;
        f->pixels[3 * i + 2] = (uint8_t)b;
    }
}

static void test_flat_pictures(void **state)
{
    (void)state;
    static const int sides[][2] = {{8, 8}, {64, 40}, {37, 91}, {320, 192}, {1001, 333}};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        struct frame f = make_frame(sides[i][0], sides[i][1]);
        struct drift_picture p;
        fill(&f, 255, 0, 51);
        drift_picture_measure(&f, &p);
        double luma = 0.299 + 0.114 * 0.2;
        NEAR(p.feature[DRIFT_LUMA], luma, 0.003);
        NEAR(p.feature[DRIFT_UPPER_LUMA], luma, 0.003);
        NEAR(p.feature[DRIFT_LOWER_LUMA], luma, 0.003);
        NEAR(p.feature[DRIFT_CONTRAST], 0, 1e-4);
        NEAR(p.feature[DRIFT_RED_GREEN], 1, 1e-6);
        NEAR(p.feature[DRIFT_BLUE_GREEN], 0.2, 1e-6);
        NEAR(p.feature[DRIFT_SATURATION], 1, 1e-6);
        NEAR(p.feature[DRIFT_EDGES], 0, 0);
        NEAR(p.feature[DRIFT_SHARPNESS], 0, 0);
        fill(&f, 255, 255, 255);
        drift_picture_measure(&f, &p);
        NEAR(p.feature[DRIFT_LUMA], 1, 1e-6);
        NEAR(p.feature[DRIFT_BRIGHT], 1, 0);
        NEAR(p.feature[DRIFT_DARK], 0, 0);
        frame_clear(&f);
    }
}

/* Every pixel is taken of a picture with 2 x 2 pixels a cell: the definitions, plainly. */
static void test_features_are_their_definitions(void **state)
{
    (void)state;
    const int w = 128, h = 80;
    struct frame f = make_frame(w, h);
    struct rng rng;
    rng_init(&rng, 5, 0);
    for (int i = 0; i < 3 * w * h; i++)
        f.pixels[i] = (uint8_t)rng_below(&rng, 256);
    double *luma = malloc((size_t)(w * h) * sizeof *luma), sum = 0, squares = 0;
    for (int i = 0; i < w * h; i++) {
        const uint8_t *p = f.pixels + 3 * i;
        luma[i] = (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]) / 255;
        sum += luma[i];
        squares += luma[i] * luma[i];
    }
    double fine = 0, coarse = 0, n = (double)w * h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int at = y * w + x;
            fine += fabs(luma[x + 1 < w ? at + 1 : at - 1] - luma[at]) +
                    fabs(luma[y + 1 < h ? at + w : at - w] - luma[at]);
            coarse += fabs(luma[x + 4 < w ? at + 4 : at - 4] - luma[at]) +
                      fabs(luma[y + 4 < h ? at + 4 * w : at - 4 * w] - luma[at]);
        }
    struct drift_picture p;
    drift_picture_measure(&f, &p);
    NEAR(p.feature[DRIFT_LUMA], sum / n, 0.003);
    NEAR(p.feature[DRIFT_CONTRAST], sqrt(squares / n - sum / n * sum / n), 0.003);
    NEAR(p.feature[DRIFT_EDGES], coarse / (2 * n), 0.003);
    NEAR(p.feature[DRIFT_SHARPNESS], fine / coarse, 0.003);
    double cell = 0;
    for (int i = 0; i < 4; i++)
        cell += luma[(4 + i / 2) * w + 10 + i % 2] / 4;
    NEAR(p.luma[2][5], cell, 0.003);
    free(luma);
    frame_clear(&f);
}

/* The ratio tells blur from low contrast. */
static void test_sharpness_is_not_contrast(void **state)
{
    (void)state;
    struct frame f = make_frame(320, 192), pale = make_frame(320, 192), soft = make_frame(320, 192);
    for (int y = 0; y < 192; y++)
        for (int x = 0; x < 320; x++) {
            int sharp = (x / 7 + y / 7) % 2 ? 200 : 40;
            int phase = x % 16 < 8 ? x % 16 : 16 - x % 16;
            memset(f.pixels + 3 * (y * 320 + x), sharp, 3);
            memset(pale.pixels + 3 * (y * 320 + x), 100 + (sharp - 100) / 8, 3);
            memset(soft.pixels + 3 * (y * 320 + x), 40 + 20 * phase, 3);
        }
    struct drift_picture p, q, r;
    drift_picture_measure(&f, &p);
    drift_picture_measure(&pale, &q);
    drift_picture_measure(&soft, &r);
    assert_true(q.feature[DRIFT_EDGES] < p.feature[DRIFT_EDGES] / 6);
    NEAR(q.feature[DRIFT_SHARPNESS], p.feature[DRIFT_SHARPNESS], 0.02);
    assert_true(r.feature[DRIFT_SHARPNESS] < 0.6f);
    NEAR(p.feature[DRIFT_SHARPNESS], 0.25, 0.02); /* an edge 1 wide counts once in 4 */
    frame_clear(&f);
    frame_clear(&pale);
    frame_clear(&soft);
}

static void test_shares(void **state)
{
    (void)state;
    struct drift_summary s;
    const uint8_t classes[] = {0, 0, 1, 20, 255, 21, 40, 9};
    drift_summary_labels(&s, classes, 8, 40); /* 255 and 40 are none; 20 and 21 share bins */
    NEAR(s.share[0], 3.0 / 6, 1e-6);
    NEAR(s.share[1], 2.0 / 6, 1e-6);
    NEAR(s.share[9], 1.0 / 6, 1e-6);
    drift_summary_labels(&s, classes + 4, 1, 40);
    for (int i = 0; i < DRIFT_SHARES; i++)
        assert_true(s.share[i] == 0);
}

static void test_confidence(void **state)
{
    (void)state;
    /* Three cells with known probabilities, channels last. */
    float data[3 * 2], p[3] = {0.9f, 0.5f, 0.7f};
    for (int i = 0; i < 3; i++) {
        data[2 * i] = 40 + logf(p[i]);
        data[2 * i + 1] = 40 + logf(1 - p[i]);
    }
    struct nn_view v = {.data = data, .rank = 4, .dim = {1, 2, 1, 3}, .stride = {6, 1, 6, 2}};
    NEAR(drift_confidence(&v, 16), 0.7, 1e-4);
    NEAR(drift_confidence(&v, 1), 0.5, 1e-4); /* the middle one */
    struct nn_view one = {.data = data, .rank = 2, .dim = {1, 2}, .stride = {2, 1}};
    NEAR(drift_confidence(&one, 16), 0.9, 1e-4);
}

static void test_mean(void **state)
{
    (void)state;
    struct drift_summary a = {.share = {1}, .confidence = 0.5f, .feature = {0.2f}},
                         b = {.share = {0, 1}, .confidence = NAN, .feature = {0.4f}},
                         none = {.confidence = NAN}, got = a;
    struct drift_mean m;
    drift_mean_init(&m);
    assert_false(drift_mean_get(&m, &got));
    drift_mean_add(&m, &a);
    drift_mean_add(&m, &b);
    drift_mean_add(&m, &none); /* a detector that found nothing has no histogram */
    assert_true(drift_mean_get(&m, &got));
    NEAR(got.share[0], 0.5, 1e-6);
    NEAR(got.share[1], 0.5, 1e-6);
    NEAR(got.confidence, 0.5, 1e-6);
    NEAR(got.feature[0], 0.2, 1e-6);
}

/* ---- signatures ---- */

#define W 160
#define H 96
#define CAMERAS 6

static const struct town_condition conditions[] = {
    {.traffic = 0.5f, .crowd = 0.5f},
    {.dusk = 1, .traffic = 0.5f, .crowd = 0.5f},
    {.dusk = 1, .night = 0.9f, .traffic = 0.5f, .crowd = 0.5f},
    {.dusk = 1, .night = 0.9f, .rain = 0.8f, .traffic = 0.5f, .crowd = 0.5f},
    {.rain = 0.8f, .traffic = 0.5f, .crowd = 0.5f},
    {.fog = 0.8f, .traffic = 0.5f, .crowd = 0.5f},
    {.snow = 0.8f, .traffic = 0.5f, .crowd = 0.5f}};
#define CONDITIONS ((int)(sizeof conditions / sizeof conditions[0]))

static void sign(struct town *t, int camera, struct frame *f, struct label_map *l,
                 struct signature *ret)
{
    struct drift_mean m;
    struct error err;
    drift_mean_init(&m);
    for (int i = 0; i < 4; i++) {
        struct drift_summary s = {.confidence = NAN};
        struct drift_picture p;
        assert_int_equal(
            town_render(t, camera, (uint64_t)(1 + 3 * i) * 1000000, f, l, NULL, 0, NULL, &err),
            ST_OK);
        drift_picture_measure(f, &p);
        memcpy(s.feature, p.feature, sizeof s.feature);
        drift_summary_labels(&s, l->classes, (size_t)W * H, TOWN_CLASS_COUNT);
        drift_mean_add(&m, &s);
    }
    struct drift_summary mean;
    assert_true(drift_mean_get(&m, &mean));
    signature_of(&mean, ret);
}

static void sign_all(struct signature ret[CONDITIONS][CAMERAS])
{
    struct frame f = make_frame(W, H);
    struct label_map l;
    struct error err;
    label_map_init(&l);
    assert_int_equal(label_map_resize(&l, W, H, &err), ST_OK);
    for (int c = 0; c < CONDITIONS; c++) {
        struct scenario scenario;
        struct town_options o;
        struct town *t;
        town_options_init(&o);
        assert_int_equal(scenario_preset("clear", &scenario, &err), ST_OK);
        scenario.town.keyframes[0].condition = conditions[c];
        o.cameras = CAMERAS;
        o.width = W;
        o.height = H;
        o.scenario = &scenario;
        assert_int_equal(town_open(&o, &t, &err), ST_OK);
        for (int i = 0; i < CAMERAS; i++)
            sign(t, i, &f, &l, &ret[c][i]);
        town_close(&t);
    }
    frame_clear(&f);
    label_map_clear(&l);
}

/* The condition of the nearest signature of another camera. */
static int recognise(struct signature all[CONDITIONS][CAMERAS], int condition, int camera)
{
    double best = INFINITY;
    int found = -1;
    for (int c = 0; c < CONDITIONS; c++)
        for (int i = 0; i < CAMERAS; i++) {
            double d = signature_distance(&all[condition][camera], &all[c][i]);
            if (i != camera && d < best) {
                best = d;
                found = c;
            }
        }
    return found;
}

static void test_signatures_know_conditions(void **state)
{
    (void)state;
    static struct signature all[CONDITIONS][CAMERAS];
    sign_all(all);
    int right = 0;
    for (int c = 0; c < CONDITIONS; c++)
        for (int i = 0; i < CAMERAS; i++)
            right += recognise(all, c, i) == c;
    print_message("%d of %d conditions known by another camera's signature\n", right,
                  CONDITIONS * CAMERAS);
    assert_true(right * 10 >= CONDITIONS * CAMERAS * 9);
}

static void test_signature_is_a_metric(void **state)
{
    (void)state;
    struct rng rng;
    struct signature s[3];
    rng_init(&rng, 9, 0);
    for (int k = 0; k < 200; k++) {
        for (int i = 0; i < 3; i++) {
            struct drift_summary m = {.confidence = rng_float(&rng)};
            float weight[7];
            for (int j = 0; j < 7; j++)
                weight[j] = rng_float(&rng);
            for (int j = 0; j < DRIFT_FEATURES; j++)
                m.feature[j] = rng_float(&rng);
            drift_summary_shares(&m, weight, 7);
            signature_of(&m, &s[i]);
            assert_true(signature_is_valid(&s[i]));
        }
        double ab = signature_distance(&s[0], &s[1]), bc = signature_distance(&s[1], &s[2]);
        assert_true(signature_distance(&s[0], &s[2]) <= ab + bc + 1e-9);
        NEAR(signature_distance(&s[1], &s[0]), ab, 0);
        NEAR(signature_distance(&s[0], &s[0]), 0, 0);
    }
    s[0].value[3] = NAN;
    assert_false(signature_is_valid(&s[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat_pictures),
        cmocka_unit_test(test_features_are_their_definitions),
        cmocka_unit_test(test_sharpness_is_not_contrast),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_confidence),
        cmocka_unit_test(test_mean),
        cmocka_unit_test(test_signatures_know_conditions),
        cmocka_unit_test(test_signature_is_a_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
