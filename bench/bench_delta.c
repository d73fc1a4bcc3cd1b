/* Bytes of a model update: ours against AMS's authors' encoding (bit mask packed tensor by tensor,
 * float16 values, gzip -9 of all) and against what the mask alone must cost if its bits were
 * independent.
 *
 * Cases: a random mask with random moves, the worst there is, at the paper's fractions; and real
 * training phases of a MobileNetV2 student (2.1 million parameters) on moving coloured shapes.
 *
 * bench_delta [--json] [--quick]     quick: the random cases only */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "nn/build.h"
#include "train/learner.h"

#define WIDTH 256
#define HEIGHT 128
#define CLASSES 6
#define CASES_MAX 64

struct row {
    char name[64];
    size_t params, values;
    size_t ours, ours_mask, ours_values, authors, raw;
    double mask_bound;
    double encode_ms, apply_ms;
};

static struct row rows[CASES_MAX];
static int row_count;

static void check(enum status st, const struct error *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "bench_delta: %s\n", err->message);
    exit(1);
}

static void *need(void *p)
{
    if (!p) {
        fprintf(stderr, "bench_delta: out of memory\n");
        exit(1);
    }
    return p;
}

/* ---- the authors' encoding ---- */

static void put_packed_mask(const struct delta_model *m, const uint8_t *mask, struct buf *out)
{
    size_t i = 0;
    for (int t = 0; t < m->tensor_count; t++) {
        uint8_t byte = 0;
        int filled = 0;
        for (; i < m->tensor_end[t]; i++) {
            byte = (uint8_t)(byte << 1 | mask_get(mask, i));
            if (++filled == 8) {
                buf_put_u8(out, byte);
                byte = 0;
                filled = 0;
            }
        }
        if (filled)
            buf_put_u8(out, (uint8_t)(byte << (8 - filled)));
    }
}

static size_t gzip9(const struct buf *in)
{
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        need(NULL);
    size_t room = deflateBound(&z, in->size_bytes);
    uint8_t *out = need(malloc(room));
    z.next_in = in->data;
    z.avail_in = (uInt)in->size_bytes;
    z.next_out = out;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    size_t n = z.total_out;
    deflateEnd(&z);
    free(out);
    return n;
}

static void measure_authors(const struct delta_model *m, const uint8_t *mask, const float *params,
                            struct row *r)
{
    struct buf b;
    buf_init(&b);
    put_packed_mask(m, mask, &b);
    for (size_t i = 0; i < m->trainable_count; i++)
        if (mask_get(mask, i))
            buf_put_u16(&b, half_from_float(params[i]));
    r->raw = b.size_bytes;
    r->authors = gzip9(&b);
    buf_clear(&b);
}

/* Bits that a mask of independent bits with this density costs, in bytes. */
static double mask_bound(size_t set, size_t count)
{
    double p = (double)set / (double)count;
    if (p <= 0 || p >= 1)
        return 0;
    return -(double)count * (p * log2(p) + (1 - p) * log2(1 - p)) / 8;
}

/* ---- measuring one update ---- */

static void measure(const char *name, const struct delta_model *m, const float *base,
                    const float *params, const uint8_t *mask, int step_log2)
{
    struct row *r = &rows[row_count++];
    struct error err;
    struct delta_versions v = {.base = 1, .new = 2};
    struct buf b;
    buf_init(&b);
    uint64_t t0 = clock_mono_us();
    check(delta_encode(m, v, base, params, mask, step_log2, false, &b, &err), &err);
    uint64_t t1 = clock_mono_us();
    size_t count = m->trainable_count + m->stat_count;
    float *camera = need(malloc(count * sizeof *camera));
    memcpy(camera, base, count * sizeof *camera);
    uint64_t version = 1;
    bool applied;
    check(delta_apply(m, b.data, b.size_bytes, &version, camera, NULL, &applied, &err), &err);
    uint64_t t2 = clock_mono_us();
    if (memcmp(camera, params, count * sizeof *camera) != 0) {
        fprintf(stderr, "bench_delta: camera and server differ\n");
        exit(1);
    }
    struct delta_info info;
    check(delta_info_read(b.data, b.size_bytes, &info, NULL, 0, &err), &err);
    snprintf(r->name, sizeof r->name, "%s", name);
    r->params = m->trainable_count;
    r->values = info.value_count;
    r->ours = info.bytes;
    r->ours_mask = info.mask_bytes + info.count_bytes;
    r->ours_values = info.value_bytes;
    r->mask_bound = mask_bound(info.value_count, m->trainable_count);
    r->encode_ms = (double)(t1 - t0) / 1e3;
    r->apply_ms = (double)(t2 - t1) / 1e3;
    measure_authors(m, mask, params, r);
    buf_clear(&b);
    free(camera);
}

/* ---- the student: MobileNetV2 with DeepLabV3's pooled head ---- */

static nn_value conv_bn(struct nn_build *b, nn_value x, int channels, int kernel, int stride,
                        int dilation, int groups, bool relu)
{
    x = nn_build_conv(b, x, channels, kernel, stride, dilation, groups, false);
    x = nn_build_batch_norm(b, x);
    return relu ? nn_build_relu(b, x) : x;
}

static nn_value inverted_residual(struct nn_build *b, nn_value x, int in, int out, int expand,
                                  int stride, int dilation)
{
    nn_value y = expand > 1 ? conv_bn(b, x, in * expand, 1, 1, 1, 1, true) : x;
    y = conv_bn(b, y, in * expand, 3, stride, dilation, in * expand, true);
    y = conv_bn(b, y, out, 1, 1, 1, 1, false);
    return stride == 1 && in == out ? nn_build_add(b, x, y) : y;
}

static nn_value backbone(struct nn_build *b)
{
    /* expand, channels, repeats, stride, dilation: output stride 16 */
    static const int block[7][5] = {{1, 16, 1, 1, 1}, {6, 24, 2, 2, 1}, {6, 32, 3, 2, 1},
                                    {6, 64, 4, 2, 1}, {6, 96, 3, 1, 1}, {6, 160, 3, 1, 2},
                                    {6, 320, 1, 1, 2}};
    nn_value x = conv_bn(b, nn_build_input(b), 32, 3, 2, 1, 1, true);
    int in = 32;
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < block[i][2]; k++) {
            x = inverted_residual(b, x, in, block[i][1], block[i][0], k ? 1 : block[i][3],
                                  block[i][4]);
            in = block[i][1];
        }
    return x;
}

static struct nn_model *student(void)
{
    struct nn_build *b;
    struct error err;
    check(nn_build_open(HEIGHT, WIDTH, 1, &b, &err), &err);
    nn_value x = backbone(b);
    nn_value pooled = nn_build_global_average_pool(b, x);
    pooled = conv_bn(b, pooled, 256, 1, 1, 1, 1, true);
    pooled = nn_build_resize(b, pooled, HEIGHT / 16, WIDTH / 16);
    nn_value both[2] = {pooled, conv_bn(b, x, 256, 1, 1, 1, 1, true)};
    x = conv_bn(b, nn_build_concat(b, both, 2), 256, 1, 1, 1, 1, true);
    x = nn_build_conv(b, x, CLASSES, 1, 1, 1, 1, true);
    x = nn_build_resize(b, x, HEIGHT / 4, WIDTH / 4);
    struct buf file;
    buf_init(&file);
    check(nn_build_finish(b, x, &file, &err), &err);
    struct nn_model *m;
    check(nn_model_read(file.data, file.size_bytes, NULL, &m, &err), &err);
    nn_build_close(&b);
    buf_clear(&file);
    return m;
}

/* ---- random masks ---- */

static void random_case(const struct nn_model *model, double fraction, int step_log2)
{
    struct delta_model m;
    struct error err;
    check(delta_model_init(model, &m, &err), &err);
    size_t count = m.trainable_count + m.stat_count;
    float *base = need(malloc(count * sizeof *base)), *params = need(malloc(count * sizeof *base));
    uint8_t *mask = need(malloc(mask_bytes(m.trainable_count)));
    struct rng rng;
    rng_init(&rng, 5, 0);
    for (size_t i = 0; i < count; i++)
        base[i] = 0.05f * rng_normal(&rng);
    select_mask(fraction < 1 ? SELECT_RANDOM : SELECT_FULL,
                select_count(fraction, m.trainable_count), m.trainable_count, &rng, mask);
    for (size_t i = 0; i < count; i++)
        params[i] =
            base[i] + (i < m.trainable_count && mask_get(mask, i) ? 0.005f * rng_normal(&rng) : 0);
    check(delta_round(&m, mask, step_log2, false, params, &err), &err);
    char name[64];
    snprintf(name, sizeof name, "random mask %g%%, step 2^-%d", fraction * 100, step_log2);
    measure(name, &m, base, params, mask, step_log2);
    delta_model_clear(&m);
    free(base);
    free(params);
    free(mask);
}

/* ---- real training ---- */

static void draw_scene(uint64_t t, float drift, uint8_t *pixels, uint8_t *classes)
{
    memset(classes, 0, WIDTH * HEIGHT);
    for (int k = 1; k < CLASSES; k++) {
        int cx = (int)(t * (uint64_t)k * 3 % WIDTH), cy = (int)(t * (uint64_t)k * 2 % HEIGHT);
        int radius = 12 + 4 * k;
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                if ((x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius)
                    classes[y * WIDTH + x] = (uint8_t)k;
    }
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        for (int c = 0; c < 3; c++) {
            uint64_t noise = rng_hash(t, (uint64_t)i, (uint64_t)c, 0) & 31;
            float wave = sinf((float)(classes[i] * 2 + c) * 1.7f + drift);
            float texture = 10 * sinf((float)(i % WIDTH) * 0.2f * (float)(classes[i] + 1));
            pixels[3 * i + c] = (uint8_t)(112 + 70 * wave + texture + (float)noise);
        }
}

static void feed(struct learner *l, int phase)
{
    uint8_t *pixels = need(malloc(WIDTH * HEIGHT * 3)), *classes = need(malloc(WIDTH * HEIGHT));
    struct error err;
    for (int i = 0; i < 10; i++) {
        uint64_t t = (uint64_t)phase * 10 + (uint64_t)i;
        draw_scene(t, 0.15f * (float)phase, pixels, classes);
        struct frame f = {WIDTH, HEIGHT, t * 1000000, pixels};
        struct label_map labels = {WIDTH, HEIGHT, classes};
        check(learner_add(l, &f, &labels, NULL, 0, &err), &err);
    }
    free(pixels);
    free(classes);
}

/* The student after a first full training, as the file that both sides start from. */
static struct nn_model *pretrained(const struct nn_model *m)
{
    struct learner_options o;
    learner_preset(LEARNER_FULL, &o);
    o.batch = 4;
    o.steps = 60;
    o.frames_max = 64;
    o.bn_mode = NN_BN_BATCH;
    struct learner *l;
    struct error err;
    struct learner_result r;
    struct buf file;
    buf_init(&file);
    check(learner_open(m, &o, 1, &l, &err), &err);
    feed(l, 0);
    check(learner_phase(l, NULL, NULL, &r, &file, &err), &err);
    file.size_bytes = 0;
    check(nn_model_write(m, learner_params(l), &file, &err), &err);
    struct nn_model *trained;
    check(nn_model_read(file.data, file.size_bytes, NULL, &trained, &err), &err);
    buf_clear(&file);
    learner_close(&l);
    return trained;
}

/* Phases of AMS's settings; the last two are measured. */
static void training_case(const struct nn_model *m, enum select_strategy strategy, double fraction,
                          int step_log2, int steps)
{
    struct learner_options o;
    learner_preset(LEARNER_AMS, &o);
    o.strategy = strategy;
    o.fraction = fraction;
    o.step_log2 = step_log2;
    o.batch = 4;
    o.steps = steps;
    o.frames_max = 64;
    struct learner *l;
    struct delta_model dm;
    struct error err;
    check(learner_open(m, &o, 1, &l, &err), &err);
    check(delta_model_init(m, &dm, &err), &err);
    size_t count = nn_model_param_count(m);
    float *base = need(malloc(count * sizeof *base));
    for (int phase = 1; phase <= 4; phase++) {
        feed(l, phase);
        memcpy(base, learner_params(l), count * sizeof *base);
        struct buf b;
        buf_init(&b);
        struct learner_result r;
        check(learner_phase(l, NULL, NULL, &r, &b, &err), &err);
        struct delta_history sent;
        check(delta_history_init(dm.trainable_count, &sent, &err), &err);
        uint64_t version = r.version - 1;
        float *camera = need(malloc(count * sizeof *camera));
        memcpy(camera, base, count * sizeof *camera);
        bool applied;
        check(delta_apply(&dm, b.data, b.size_bytes, &version, camera, &sent, &applied, &err),
              &err);
        if (phase > 2) {
            char name[64];
            snprintf(name, sizeof name, "%s %g%%, K %d, step 2^-%d, phase %d",
                     select_strategy_name(strategy), fraction * 100, steps, step_log2, phase);
            measure(name, &dm, base, learner_params(l), sent.mask, step_log2);
        }
        free(camera);
        delta_history_clear(&sent);
        buf_clear(&b);
    }
    free(base);
    delta_model_clear(&dm);
    learner_close(&l);
}

/* ---- report ---- */

static void print_table(void)
{
    printf("%-44s %9s %9s %9s %9s %9s %9s %9s %6s %7s %7s\n", "update", "values", "raw", "authors",
           "ours", "mask", "(bound)", "values", "ratio", "enc ms", "app ms");
    for (int i = 0; i < row_count; i++) {
        const struct row *r = &rows[i];
        printf("%-44s %9zu %9zu %9zu %9zu %9zu %9.0f %9zu %6.3f %7.1f %7.1f\n", r->name, r->values,
               r->raw, r->authors, r->ours, r->ours_mask, r->mask_bound, r->ours_values,
               (double)r->ours / (double)r->authors, r->encode_ms, r->apply_ms);
    }
}

static void print_json(void)
{
    printf("{\"unit\": \"bytes\", \"parameters\": %zu, \"updates\": [", rows[0].params);
    for (int i = 0; i < row_count; i++) {
        const struct row *r = &rows[i];
        printf("%s\n  {\"name\": \"%s\", \"values\": %zu, \"raw\": %zu, \"authors\": %zu, "
               "\"ours\": %zu, \"ours_mask\": %zu, \"mask_bound\": %.0f, \"ours_values\": %zu, "
               "\"encode_ms\": %.2f, \"apply_ms\": %.2f}",
               i ? "," : "", r->name, r->values, r->raw, r->authors, r->ours, r->ours_mask,
               r->mask_bound, r->ours_values, r->encode_ms, r->apply_ms);
    }
    printf("\n]}\n");
}

int main(int argc, char **argv)
{
    bool json = false, quick = false;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        quick |= strcmp(argv[i], "--quick") == 0;
    }
    struct nn_model *m = student();
    static const double fraction[] = {0.01, 0.05, 0.1, 0.2, 1};
    for (size_t i = 0; i < sizeof fraction / sizeof *fraction; i++)
        random_case(m, fraction[i], 24);
    random_case(m, 0.05, 14);
    if (!quick) {
        struct nn_model *trained = pretrained(m);
        training_case(trained, SELECT_GRADIENT, 0.05, 24, 20);
        training_case(trained, SELECT_GRADIENT, 0.05, 14, 20);
        training_case(trained, SELECT_PREVIOUS, 0.05, 24, 20);
        training_case(trained, SELECT_FULL, 1, 24, 20);
        nn_model_close(&trained);
    }
    if (json)
        print_json();
    else
        print_table();
    nn_model_close(&m);
    return 0;
}
