#include "train/augment.h"

#include <math.h>
#include <string.h>

/* Elements of `bytes` (at most 3) bytes of a row, back to front. */
static void mirror_row(uint8_t *row, int width, size_t bytes)
{
    uint8_t kept[3];
    for (int a = 0, b = width - 1; a < b; a++, b--) {
        memcpy(kept, row + (size_t)a * bytes, bytes);
        memcpy(row + (size_t)a * bytes, row + (size_t)b * bytes, bytes);
        memcpy(row + (size_t)b * bytes, kept, bytes);
    }
}

static void mirror(uint8_t *grid, int width, int height, size_t bytes)
{
    for (int y = 0; y < height; y++)
        mirror_row(grid + (size_t)y * (size_t)width * bytes, width, bytes);
}

void augment_mirror(enum task_kind task, struct frame *f, struct label_map *labels)
{
    static const struct detect_window mirrored = {.side = 1, .mirrored = true};
    mirror(f->pixels, f->width, f->height, 3);
    if (task == TASK_DETECT)
        detect_move(&mirrored, labels->classes, labels->classes);
    else
        mirror(labels->classes, labels->width, labels->height, 1);
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
