/* network_resnet.c - ResNet-18: He et al., "Deep Residual Learning for Image Recognition", table 1,
 * with projections where the size changes (option B). */
#include "bench/networks.h"

#define CLASSES 1000

/* Two 3x3 convolutions around which the input goes unchanged, or through a 1x1 convolution. */
static nn_value basic_block(struct nn_build *b, nn_value x, int channels, int stride, bool project)
{
    nn_value y = bench_layer(b, x, channels, 3, stride);
    y = nn_build_batch_norm(b, nn_build_conv(b, y, channels, 3, 1, 1, 1, false));
    if (project)
        x = nn_build_batch_norm(b, nn_build_conv(b, x, channels, 1, stride, 1, 1, false));
    return nn_build_relu(b, nn_build_add(b, y, x));
}

nn_value bench_wire_resnet18(struct nn_build *b, const struct bench_network *n)
{
    (void)n;
    static const int channels[] = {64, 128, 256, 512};
    nn_value x = bench_layer(b, nn_build_input(b), channels[0], 7, 2);
    x = nn_build_max_pool(b, x, 3, 2);
    for (int i = 0; i < 4; i++) {
        x = basic_block(b, x, channels[i], i ? 2 : 1, i > 0);
        x = basic_block(b, x, channels[i], 1, false);
    }
    return nn_build_linear(b, nn_build_global_average_pool(b, x), CLASSES);
}
