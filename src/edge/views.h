/* views.h - what the network takes at once of a frame: all of it, or one region after the other.
 *
 * Owns:    views the crops, until views_clear; a whole frame is lent as it came.
 * Threads: one at a time.
 * Memory:  one crop of the network's size a region; nothing is allocated after the first frame.
 */
#ifndef ATTUNE_EDGE_VIEWS_H
#define ATTUNE_EDGE_VIEWS_H

#include "task/regions.h"
#include "task/task.h"
#include "video/crop.h"

struct views {
    struct regions regions;
    struct cropper croppers[REGIONS_MAX]; /* one a region: no size ever changes */
    struct frame crops[REGIONS_MAX];
    struct frame whole;
};

/* All zero before. regions: task/regions.h, NULL for whole frames. ST_INVALID; ST_UNSUPPORTED:
 * regions for a network that does not classify. */
enum status views_init(struct views *v, const char *regions, const struct task_spec *spec,
                       struct error *err);
void views_clear(struct views *v);

/* Views of a frame: 1, or the number of regions. */
static inline int views_count(const struct views *v)
{
    return v->regions.count ? v->regions.count : 1;
}

/* Of frames of any size; a whole frame must have the network's. */
enum status views_cut(struct views *v, const struct frame *frame, struct error *err);

/* View i of the frame that was cut last. */
static inline const struct frame *views_at(const struct views *v, int i)
{
    return v->regions.count ? &v->crops[i] : &v->whole;
}

#endif
