#include "train/augment.h"

#include <math.h>
#include <string.h>

void augment_mirror(struct frame *f, struct label_map *labels)
{
    for (int y = 0; y < f->height; y++) {
        uint8_t *row = f->pixels + (size_t)y * (size_t)f->width * 3;
        uint8_t *classes = labels->classes + (size_t)y * (size_t)f->width;
        for (int a = 0, b = f->width - 1; a < b; a++, b--) {
            uint8_t pixel[3], c = classes[a];
            memcpy(pixel, row + 3 * a, 3);
            memcpy(row + 3 * a, row + 3 * b, 3);
            memcpy(row + 3 * b, pixel, 3);
            classes[a] = classes[b];
            classes[b] = c;
        }
    }
}

static float between(struct rng *r, float low, float high)
{
    return low + (high - low) * rng_float(r);
}

void augment_colors(struct frame *f, struct rng *r, float amount)
{
    uint8_t table[3][256];
    float gain = expf(amount * between(r, -1.2f, 0.3f)),
          gamma = expf(amount * between(r, -0.5f, 0.5f));
    float contrast = 1 - amount * between(r, 0, 0.6f), gray = between(r, 0.2f, 0.7f) * gain;
    for (int c = 0; c < 3; c++) {
        float tint = expf(amount * between(r, -0.25f, 0.25f));
        for (int v = 0; v < 256; v++) {
            float x = gain * tint * powf((float)v / 255.0f, gamma);
            x = gray + (x - gray) * contrast;
            table[c][v] = (uint8_t)(fminf(fmaxf(x, 0), 1) * 255.0f + 0.5f);
        }
    }
    size_t n = (size_t)f->width * (size_t)f->height;
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            f->pixels[3 * i + (size_t)c] = table[c][f->pixels[3 * i + (size_t)c]];
}
