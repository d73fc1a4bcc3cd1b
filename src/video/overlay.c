/* Colours, blending and boxes: plain loops over packed pixels. The MP4 writer is overlay_writer.c.
 */
#include "video/overlay.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define BOX_LINE_PIXELS 2

/* The colours of the Cityscapes data set's published label table, and words other sets use for
 * the same things. */
static const struct {
    const char *name;
    uint8_t rgb[3];
} customary[] = {
    {"road", {128, 64, 128}},        {"sidewalk", {244, 35, 232}},
    {"pavement", {244, 35, 232}},    {"building", {70, 70, 70}},
    {"wall", {102, 102, 156}},       {"fence", {190, 153, 153}},
    {"pole", {153, 153, 153}},       {"traffic light", {250, 170, 30}},
    {"traffic sign", {220, 220, 0}}, {"sign", {220, 220, 0}},
    {"vegetation", {107, 142, 35}},  {"tree", {107, 142, 35}},
    {"terrain", {152, 251, 152}},    {"grass", {152, 251, 152}},
    {"sky", {70, 130, 180}},         {"person", {220, 20, 60}},
    {"pedestrian", {220, 20, 60}},   {"rider", {255, 0, 0}},
    {"bicyclist", {255, 0, 0}},      {"car", {0, 0, 142}},
    {"vehicle", {0, 0, 142}},        {"truck", {0, 0, 70}},
    {"bus", {0, 60, 100}},           {"train", {0, 80, 100}},
    {"motorcycle", {0, 0, 230}},     {"bicycle", {119, 11, 32}},
    {"water", {45, 60, 150}},        {"marking", {255, 255, 255}},
    {"background", {0, 0, 0}},
};

static uint8_t channel(double hue, double value)
{
    double h = fmod(hue, 6);
    double level = fmin(fmax(fabs(h - 3) - 1, 0), 1);
    return (uint8_t)lround(255 * value * (0.2 + 0.8 * level));
}

void palette_init(struct palette *p)
{
    for (int i = 0; i < CLASSES_MAX; i++) {
        /* Steps of the golden ratio keep neighbours far apart; rounds differ in brightness. */
        double hue = 6 * fmod(i * 0.61803398875, 1);
        double value = i % 3 == 1 ? 0.65 : 1;
        p->rgb[i][0] = channel(hue, value);
        p->rgb[i][1] = channel(hue + 4, value);
        p->rgb[i][2] = channel(hue + 2, value);
    }
}

void palette_name(struct palette *p, int class_id, const char *name)
{
    if (class_id < 0 || class_id >= CLASSES_MAX)
        return;
    for (size_t i = 0; i < sizeof customary / sizeof customary[0]; i++)
        if (strcasecmp(customary[i].name, name) == 0)
            memcpy(p->rgb[class_id], customary[i].rgb, 3);
}

static uint8_t blend(int below, int above, int opacity)
{
    return (uint8_t)((below * (255 - opacity) + above * opacity + 127) / 255);
}

/* The part that the class of a whole picture leaves clear. */
static bool is_inside(const struct frame *f, int x, int y)
{
    int margin = (f->width < f->height ? f->width : f->height) / 16 + 1;
    return x >= margin && y >= margin && x < f->width - margin && y < f->height - margin;
}

void overlay_labels(struct frame *f, const struct label_map *labels, const struct palette *p,
                    int opacity)
{
    opacity = opacity < 0 ? 0 : opacity > 255 ? 255 : opacity;
    bool one = labels->width == 1 && labels->height == 1;
    for (int y = 0; y < f->height; y++) {
        int from_y = (int)((int64_t)y * labels->height / f->height);
        const uint8_t *row = labels->classes + (size_t)from_y * (size_t)labels->width;
        uint8_t *pixel = f->pixels + (size_t)y * (size_t)f->width * 3;
        for (int x = 0; x < f->width; x++, pixel += 3) {
            uint8_t class_id = row[(int64_t)x * labels->width / f->width];
            if (class_id >= CLASSES_MAX || (one && is_inside(f, x, y)))
                continue;
            for (int i = 0; i < 3; i++)
                pixel[i] = blend(pixel[i], p->rgb[class_id][i], opacity);
        }
    }
}

/* Clips a coordinate, NaN and infinities too, to 0..max. */
static int clip(float v, int max)
{
    if (!(v > 0))
        return 0;
    return v >= (float)max ? max : (int)v;
}

static void fill(struct frame *f, int x0, int y0, int x1, int y1, const uint8_t rgb[3])
{
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            memcpy(f->pixels + 3 * ((size_t)y * (size_t)f->width + (size_t)x), rgb, 3);
}

static int min_of(int a, int b)
{
    return a < b ? a : b;
}

static int max_of(int a, int b)
{
    return a > b ? a : b;
}

void overlay_boxes(struct frame *f, const struct box *boxes, int count, const struct palette *p)
{
    const int line = BOX_LINE_PIXELS;
    for (int i = 0; i < count; i++) {
        const struct box *b = &boxes[i];
        if (b->class_id < 0 || b->class_id >= CLASSES_MAX)
            continue;
        const uint8_t *rgb = p->rgb[b->class_id];
        int x0 = clip(b->x0, f->width), x1 = clip(b->x1, f->width);
        int y0 = clip(b->y0, f->height), y1 = clip(b->y1, f->height);
        fill(f, x0, y0, x1, min_of(y0 + line, y1), rgb);
        fill(f, x0, max_of(y1 - line, y0), x1, y1, rgb);
        fill(f, x0, y0, min_of(x0 + line, x1), y1, rgb);
        fill(f, max_of(x1 - line, x0), y0, x1, y1, rgb);
    }
}
