#include "synth/crops.h"

#define BACKGROUND_TRIES 12 /* a frame full of things may have none */
#define SIDE_MAX_SHARE 3    /* backgrounds are at most a third of the frame's height */

const char *const town_crop_class_names[TOWN_CROP_CLASS_COUNT] = {
    "background", "car", "lorry", "bus", "person", "cyclist"};

static enum town_crop_class crop_class(int town_class)
{
    switch (town_class) {
    case TOWN_CAR:
        return TOWN_CROP_CAR;
    case TOWN_LORRY:
        return TOWN_CROP_LORRY;
    case TOWN_BUS:
        return TOWN_CROP_BUS;
    case TOWN_PERSON:
        return TOWN_CROP_PERSON;
    case TOWN_CYCLIST:
        return TOWN_CROP_CYCLIST;
    default:
        return TOWN_CROP_BACKGROUND;
    }
}

static bool is_large(const struct box *b)
{
    return b->x1 - b->x0 >= TOWN_CROP_SIDE_MIN && b->y1 - b->y0 >= TOWN_CROP_SIDE_MIN;
}

static bool overlap(const struct box *a, const struct box *b)
{
    return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1;
}

static size_t add_things(const struct box *boxes, size_t count, struct box *crops)
{
    size_t n = 0;
    int of_class[TOWN_CROP_CLASS_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        enum town_crop_class c = crop_class(boxes[i].class_id);
        if (c == TOWN_CROP_BACKGROUND || !is_large(&boxes[i]) ||
            of_class[c] == TOWN_CROPS_OF_A_CLASS)
            continue;
        of_class[c]++;
        crops[n] = boxes[i];
        crops[n++].class_id = (int)c;
    }
    return n;
}

/* Somewhere, upright or lying. */
static struct box somewhere(int width, int height, struct rng *r)
{
    float longest = (float)(height / SIDE_MAX_SHARE), w = 0, h = 0;
    w = TOWN_CROP_SIDE_MIN + (longest - TOWN_CROP_SIDE_MIN) * rng_float(r);
    h = TOWN_CROP_SIDE_MIN + (longest - TOWN_CROP_SIDE_MIN) * rng_float(r);
    float x = ((float)width - w) * rng_float(r), y = ((float)height - h) * rng_float(r);
    return (struct box){x, y, x + w, y + h, TOWN_CROP_BACKGROUND, 1};
}

static bool is_free(const struct box *place, const struct box *boxes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (overlap(place, &boxes[i]))
            return false;
    return true;
}

size_t town_crops(const struct box *boxes, size_t count, int width, int height, struct rng *r,
                  struct box crops[TOWN_CROPS_MAX])
{
    size_t n = add_things(boxes, count, crops), backgrounds = 0;
    for (int i = 0; i < BACKGROUND_TRIES && backgrounds < TOWN_CROPS_BACKGROUND; i++) {
        struct box place = somewhere(width, height, r);
        if (!is_free(&place, boxes, count))
            continue;
        crops[n++] = place;
        backgrounds++;
    }
    return n;
}
