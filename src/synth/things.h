/* things.h - the town for a detector: what moves, in boxes.
 */
#ifndef ATTUNE_SYNTH_THINGS_H
#define ATTUNE_SYNTH_THINGS_H

#include "synth/town.h"

/* Classes of the town's boxes: thing k is town class TOWN_THING_FIRST + k. */
#define TOWN_THING_FIRST TOWN_CAR
#define TOWN_THING_COUNT (TOWN_CLASS_COUNT - TOWN_THING_FIRST)

/* Things of which less than this is to be seen, on either side, need not be found. */
#define TOWN_THING_SIDE_MIN 7.0f /* pixels */

extern const char *const town_thing_names[TOWN_THING_COUNT];

#endif
