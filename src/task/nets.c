/* nets.c - of each task one plan, two sets of widths. The student of the segmentation spends its
 * time at 1/8 and above, where people are still some pixels wide; the teacher its parameters at
 * 1/16. */
#include "task/nets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "flow/records.h"
#include "nn/build.h"

#define BLOCKS_MAX 8

struct plan {
    const char *name;
    int half, quarter, eighth, sixteenth; /* channels of the encoder at 1/2, 1/4, 1/8, 1/16 */
    int quarter_blocks, eighth_blocks;    /* residual blocks there */
    int dilation[BLOCKS_MAX];             /* of each residual block at 1/16, 0 ends */
    int up_eighth, up_quarter, up_half;   /* channels of the decoder */
};

static const struct plan plans[] = {
    [NET_STUDENT] = {"student", 16, 24, 48, 64, 0, 2, {1, 2}, 48, 32, 16},
    [NET_TEACHER] = {"teacher", 32, 64, 128, 192, 1, 2, {1, 2, 4, 1}, 128, 64, 32},
};
#define PLAN_COUNT (sizeof plans / sizeof *plans)

const char *net_name(enum net_kind kind)
{
    return kind > 0 && kind < PLAN_COUNT ? plans[kind].name : NULL;
}

enum net_kind net_parse(const char *name)
{
    for (size_t i = 1; i < PLAN_COUNT; i++)
        if (strcmp(name, plans[i].name) == 0)
            return (enum net_kind)i;
    return 0;
}

/* Convolution, batch-norm, ReLU. */
static nn_value layer(struct nn_build *b, nn_value x, int channels, int kernel, int stride,
                      int dilation)
{
    x = nn_build_conv(b, x, channels, kernel, stride, dilation, 1, false);
    return nn_build_relu(b, nn_build_batch_norm(b, x));
}

/* x + what one 3 x 3 convolution makes of it. */
static nn_value residual(struct nn_build *b, nn_value x, int channels, int dilation)
{
    nn_value y = nn_build_conv(b, x, channels, 3, 1, dilation, 1, false);
    return nn_build_relu(b, nn_build_add(b, nn_build_batch_norm(b, y), x));
}

/* Channels weighed by what the whole picture looks like. */
static nn_value gate(struct nn_build *b, nn_value x, int channels)
{
    nn_value g = nn_build_global_average_pool(b, x);
    g = nn_build_conv(b, g, channels, 1, 1, 1, 1, true);
    return nn_build_mul(b, x, nn_build_sigmoid(b, g));
}

/* x at twice its size, plus the encoder's answer there. */
static nn_value merge(struct nn_build *b, nn_value x, nn_value skip, int channels, int height,
                      int width)
{
    x = nn_build_conv(b, x, channels, 1, 1, 1, 1, false);
    x = nn_build_resize(b, nn_build_batch_norm(b, x), height, width);
    skip = nn_build_conv(b, skip, channels, 1, 1, 1, 1, false);
    return nn_build_relu(b, nn_build_add(b, x, nn_build_batch_norm(b, skip)));
}

static nn_value wire(struct nn_build *b, const struct plan *p, const struct net_options *o)
{
    int h = o->height, w = o->width;
    nn_value half = layer(b, nn_build_input(b), p->half, 3, 2, 1);
    nn_value quarter = layer(b, half, p->quarter, 3, 2, 1);
    for (int i = 0; i < p->quarter_blocks; i++)
        quarter = residual(b, quarter, p->quarter, 1);
    nn_value eighth = layer(b, quarter, p->eighth, 3, 2, 1);
    for (int i = 0; i < p->eighth_blocks; i++)
        eighth = residual(b, eighth, p->eighth, 1);
    nn_value x = layer(b, eighth, p->sixteenth, 3, 2, 1);
    for (int i = 0; i < BLOCKS_MAX && p->dilation[i]; i++)
        x = residual(b, x, p->sixteenth, p->dilation[i]);
    x = gate(b, x, p->sixteenth);
    x = merge(b, x, eighth, p->up_eighth, h / 8, w / 8);
    x = layer(b, x, p->up_eighth, 3, 1, 1);
    x = merge(b, x, quarter, p->up_quarter, h / 4, w / 4);
    x = layer(b, x, p->up_quarter, 3, 1, 1);
    x = merge(b, x, half, p->up_half, h / 2, w / 2);
    x = nn_build_conv(b, x, o->class_count, 3, 1, 1, 1, true);
    return nn_build_resize(b, x, h, w);
}

/* Of a classification: channels at 1/2, 1/4 and 1/8 of the size, and the residual blocks there. */
static const struct {
    int channels[3], blocks[3];
} classifiers[] = {
    [NET_STUDENT] = {{16, 24, 48}, {0, 1, 1}},
    [NET_TEACHER] = {{32, 64, 128}, {0, 1, 2}},
};

static nn_value wire_classifier(struct nn_build *b, enum net_kind kind, int class_count)
{
    nn_value x = nn_build_input(b);
    for (int i = 0; i < 3; i++) {
        x = layer(b, x, classifiers[kind].channels[i], 3, 2, 1);
        for (int k = 0; k < classifiers[kind].blocks[i]; k++)
            x = residual(b, x, classifiers[kind].channels[i], 1);
    }
    return nn_build_linear(b, nn_build_global_average_pool(b, x), class_count);
}

/* Of a detection: channels at 1/2, 1/4, 1/8, 1/16, residual blocks at 1/8 and (dilations) at 1/16,
 * channels of the grid at 1/8. */
static const struct {
    int half, quarter, eighth, sixteenth, eighth_blocks;
    int dilation[BLOCKS_MAX];
    int grid;
} detectors[] = {
    [NET_STUDENT] = {12, 24, 40, 64, 1, {1, 2}, 40},
    [NET_TEACHER] = {24, 48, 96, 128, 2, {1, 2, 4}, 96},
};

/* Box and objectness need edges, classes need surfaces: a branch each. */
static nn_value wire_detector(struct nn_build *b, const struct net_options *o)
{
    int h = o->height, w = o->width, k = (int)o->kind, grid = detectors[k].grid;
    nn_value quarter = layer(b, layer(b, nn_build_input(b), detectors[k].half, 3, 2, 1),
                             detectors[k].quarter, 3, 2, 1);
    nn_value eighth = layer(b, quarter, detectors[k].eighth, 3, 2, 1);
    for (int i = 0; i < detectors[k].eighth_blocks; i++)
        eighth = residual(b, eighth, detectors[k].eighth, 1);
    nn_value x = layer(b, eighth, detectors[k].sixteenth, 3, 2, 1);
    for (int i = 0; i < BLOCKS_MAX && detectors[k].dilation[i]; i++)
        x = residual(b, x, detectors[k].sixteenth, detectors[k].dilation[i]);
    x = gate(b, x, detectors[k].sixteenth);
    x = merge(b, x, eighth, grid, h / 8, w / 8);
    nn_value boxes = layer(b, x, grid, 3, 1, 1), classes = layer(b, x, grid, 3, 1, 1);
    const nn_value heads[] = {nn_build_conv(b, boxes, 5, 1, 1, 1, 1, true),
                              nn_build_conv(b, classes, o->class_count, 1, 1, 1, 1, true)};
    return nn_build_concat(b, heads, 2);
}

static void describe(struct nn_build *b, const struct net_options *o)
{
    char names[CLASSES_MAX * 33] = "", seed[24];
    size_t used = 0;
    for (int i = 0; i < o->class_count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? "," : "",
                                 o->class_names[i]);
    snprintf(seed, sizeof seed, "%" PRIu64, o->seed);
    nn_build_metadata(b, "attune.task", task_name(o->task));
    nn_build_metadata(b, "attune.classes", names);
    nn_build_metadata(b, "attune.mean", "0.4,0.4,0.4");
    nn_build_metadata(b, "attune.std", "0.25,0.25,0.25");
    nn_build_metadata(b, "attune.seed", seed);
    nn_build_metadata(b, "attune.trained_on", o->trained_on);
    if (o->task != TASK_DETECT)
        return;
    nn_build_metadata(b, "attune.detect.head", "grid");
    nn_build_metadata(b, "attune.detect.threshold", "0.45");
    nn_build_metadata(b, "attune.detect.unsure", "0.1");
}

enum status net_build(const struct net_options *options, struct buf *out, struct error *err)
{
    const struct net_options *o = options;
    if (!task_name(o->task) || !net_name(o->kind) || o->width < NET_SIZE_MULTIPLE ||
        o->height < NET_SIZE_MULTIPLE || o->width % NET_SIZE_MULTIPLE ||
        o->height % NET_SIZE_MULTIPLE || o->class_count < 2 || o->class_count > CLASSES_MAX)
        return error_set(err, ST_INVALID,
                         "a network has an input of multiples of %d pixels (not %dx%d) and 2 to %d "
                         "classes",
                         NET_SIZE_MULTIPLE, o->width, o->height, CLASSES_MAX);
    struct nn_build *b = NULL;
    enum status st = nn_build_open(o->height, o->width, o->seed, &b, err);
    if (st != ST_OK)
        return st;
    nn_value logits = o->task == TASK_CLASSIFY ? wire_classifier(b, o->kind, o->class_count)
                      : o->task == TASK_DETECT ? wire_detector(b, o)
                                               : wire(b, &plans[o->kind], o);
    describe(b, o);
    st = nn_build_finish(b, logits, out, err);
    nn_build_close(&b);
    return st;
}
