/* networks.c - the table of reference networks, and the smallest of them. */
#include "bench/networks.h"

#include <string.h>

#define WEIGHTS_SEED 1

static const struct bench_network networks[] = {
    {"tiny", 160, 160, 32, 0, bench_wire_tiny},
    {"seg", 256, 512, 4, 0, bench_wire_seg},
    {"segr", 256, 512, 4, 0, bench_wire_segr},
    {"resnet18", 224, 224, 16, 8, bench_wire_resnet18},
};
#define NETWORK_COUNT ((int)(sizeof networks / sizeof *networks))

const struct bench_network *bench_networks(int *ret_count)
{
    *ret_count = NETWORK_COUNT;
    return networks;
}

const struct bench_network *bench_network_find(const char *name)
{
    for (int i = 0; i < NETWORK_COUNT; i++)
        if (strcmp(networks[i].name, name) == 0)
            return &networks[i];
    return NULL;
}

nn_value bench_layer(struct nn_build *b, nn_value x, int channels, int kernel, int stride)
{
    x = nn_build_conv(b, x, channels, kernel, stride, 1, 1, false);
    return nn_build_relu(b, nn_build_batch_norm(b, x));
}

nn_value bench_wire_tiny(struct nn_build *b, const struct bench_network *n)
{
    (void)n;
    static const int channels[] = {32, 48, 64, 96, 128, 160, 192, 192};
    static const int stride[] = {2, 1, 2, 1, 2, 1, 2, 1};
    nn_value x = nn_build_input(b);
    for (int i = 0; i < 8; i++)
        x = bench_layer(b, x, channels[i], 3, stride[i]);
    return nn_build_linear(b, nn_build_global_average_pool(b, x), 10);
}

enum status bench_network_build(const struct bench_network *n, struct buf *out, struct error *err)
{
    struct nn_build *b = NULL;
    enum status st = nn_build_open(n->height, n->width, WEIGHTS_SEED, &b, err);
    if (st)
        return st;
    st = nn_build_finish(b, n->wire(b, n), out, err);
    nn_build_close(&b);
    return st;
}
