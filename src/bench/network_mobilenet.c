/* network_mobilenet.c - MobileNetV2 with the LR-ASPP head: inverted residuals down to 1/32 with 320
 * channels, gated by the picture's average, upsampled and added to a skip at 1/8. */
#include "bench/networks.h"

#define CLASSES 19
#define HEAD_CHANNELS 128

typedef nn_value (*activation)(struct nn_build *b, nn_value x);

struct stage {
    int expansion, channels, blocks, stride; /* stride: of its first block */
};

/* Table 2 of the paper; the first three reach 1/8 of the input's size. */
static const struct stage stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
#define STAGE_COUNT ((int)(sizeof stages / sizeof *stages))
#define STAGES_TO_SKIP 3

static nn_value convolve(struct nn_build *b, nn_value x, int channels, int kernel, int stride,
                         int groups)
{
    x = nn_build_conv(b, x, channels, kernel, stride, 1, groups, false);
    return nn_build_batch_norm(b, x);
}

/* Wide, depthwise, narrow again; the input is added where it has the same size. */
static nn_value inverted_residual(struct nn_build *b, nn_value x, int in, const struct stage *s,
                                  int stride, activation act)
{
    int wide = in * s->expansion;
    nn_value y = x;
    if (s->expansion != 1)
        y = act(b, convolve(b, y, wide, 1, 1, 1));
    y = act(b, convolve(b, y, wide, 3, stride, wide));
    y = convolve(b, y, s->channels, 1, 1, 1);
    return stride == 1 && in == s->channels ? nn_build_add(b, x, y) : y;
}

/* Stages from..to of the backbone; *channels follows. */
static nn_value run_stages(struct nn_build *b, nn_value x, int from, int to, int *channels,
                           activation act)
{
    for (int i = from; i < to; i++)
        for (int k = 0; k < stages[i].blocks; k++) {
            int stride = k ? 1 : stages[i].stride;
            x = inverted_residual(b, x, *channels, &stages[i], stride, act);
            *channels = stages[i].channels;
        }
    return x;
}

static nn_value wire(struct nn_build *b, const struct bench_network *n, activation act)
{
    int channels = 32;
    nn_value x = act(b, convolve(b, nn_build_input(b), channels, 3, 2, 1));
    nn_value low = run_stages(b, x, 0, STAGES_TO_SKIP, &channels, act);
    nn_value high = run_stages(b, low, STAGES_TO_SKIP, STAGE_COUNT, &channels, act);
    nn_value gate = nn_build_global_average_pool(b, high);
    gate = nn_build_sigmoid(b, nn_build_conv(b, gate, HEAD_CHANNELS, 1, 1, 1, 1, false));
    high = nn_build_mul(b, bench_layer(b, high, HEAD_CHANNELS, 1, 1), gate);
    high = nn_build_resize(b, high, n->height / 8, n->width / 8);
    low = nn_build_conv(b, low, CLASSES, 1, 1, 1, 1, true);
    high = nn_build_conv(b, high, CLASSES, 1, 1, 1, 1, true);
    return nn_build_resize(b, nn_build_add(b, low, high), n->height, n->width);
}

nn_value bench_wire_seg(struct nn_build *b, const struct bench_network *n)
{
    return wire(b, n, nn_build_relu6);
}

nn_value bench_wire_segr(struct nn_build *b, const struct bench_network *n)
{
    return wire(b, n, nn_build_relu);
}
