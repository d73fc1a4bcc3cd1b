/* crops.h - the town for a classifier: what is in a box.
 *
 * Classes are the town's that move, and the background. A frame's crops are its largest share of
 * variety within a bound: of every class the nearest few, then places where nothing moves.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_SYNTH_CROPS_H
#define ATTUNE_SYNTH_CROPS_H

#include "base/rng.h"
#include "synth/town.h"

enum town_crop_class {
    TOWN_CROP_BACKGROUND,
    TOWN_CROP_CAR,
    TOWN_CROP_LORRY,
    TOWN_CROP_BUS,
    TOWN_CROP_PERSON,
    TOWN_CROP_CYCLIST,
    TOWN_CROP_CLASS_COUNT
};

extern const char *const town_crop_class_names[TOWN_CROP_CLASS_COUNT];

#define TOWN_CROPS_OF_A_CLASS 3
#define TOWN_CROPS_BACKGROUND 2
#define TOWN_CROPS_MAX ((TOWN_CROP_CLASS_COUNT - 1) * TOWN_CROPS_OF_A_CLASS + TOWN_CROPS_BACKGROUND)
#define TOWN_CROP_SIDE_MIN 8 /* pixels on either side: smaller boxes are left out */

/* Crops of a width x height frame with these boxes (nearest first, as town_render gives them);
 * class_id is a town_crop_class. Returns how many; r decides where the background is taken. */
size_t town_crops(const struct box *boxes, size_t count, int width, int height, struct rng *r,
                  struct box crops[TOWN_CROPS_MAX]);

#endif
