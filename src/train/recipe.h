/* recipe.h - how and when one camera learns, as one value with named settings.
 *
 * learner_options say how a phase learns, pace_options when; a recipe is both, filled by a preset
 * and changed by name, so that a study ("what do soft labels bring?") is a flag and not a build.
 *
 * Threads: pure functions.
 * Errors:  ST_INVALID with the nearest name or the range.
 */
#ifndef ATTUNE_TRAIN_RECIPE_H
#define ATTUNE_TRAIN_RECIPE_H

#include "base/buf.h"
#include "train/pace.h"

struct recipe {
    struct learner_options learning;
    struct pace_options pace;
};

void recipe_preset(enum learner_preset preset, struct recipe *ret);

/* "name=value[,name=value...]"; on failure *r is as before. */
enum status recipe_set(struct recipe *r, const char *assignments, struct error *err);

/* The names with their ranges and meaning, a line each. */
void recipe_write_help(struct buf *out);

#endif
