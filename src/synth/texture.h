/* texture.h - colours of the ground, of house fronts and of leaves at a point.
 *
 * Each fills albedo, top, ground and window of *s; p, n and class_id are there (the ground's class
 * is decided here). Threads: pure functions.
 */
#ifndef ATTUNE_SYNTH_TEXTURE_H
#define ATTUNE_SYNTH_TEXTURE_H

#include "synth/trace.h"

void texture_ground(const struct scene *scene, struct surface *s);
void texture_block(const struct block *b, struct surface *s);
void texture_crown(const struct crown *c, struct surface *s);
void texture_post(const struct post *p, struct surface *s);

#endif
