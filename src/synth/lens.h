/* lens.h - what is wrong with a camera itself: dirt on its lens, blindness.
 *
 * Threads: pure functions but for the canvas.
 */
#ifndef ATTUNE_SYNTH_LENS_H
#define ATTUNE_SYNTH_LENS_H

#include "synth/shade.h"

/* The moment whose picture is seen at t_us: an earlier one while the picture is frozen. */
uint64_t lens_time(const struct scenario *s, int camera, uint64_t t_us);

/* Dirt, cover and glare of this moment, on light that the sensor has not seen yet. */
void lens_spoil(struct canvas *c, const struct scenario *s, int camera, uint64_t t_us);

#endif
