/* sampler.h - which frames of the stream are kept for the server, evenly spaced.
 *
 * Source: AMS (Khani et al., ICCV 2021) samples at a rate that the server sets; the authors' code
 * takes frames evenly spaced within an update interval. Here the choice is made frame by frame,
 * since the end of the interval is not known yet.
 *
 * Owns:    a plain value.  Threads: one at a time.  Time: now_us is an argument, any clock.
 */
#ifndef ATTUNE_EDGE_SAMPLER_H
#define ATTUNE_EDGE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

/* What a camera accepts as a rate; others are brought to the nearest end. */
#define SAMPLER_FPS_MIN 0.01
#define SAMPLER_FPS_MAX 30.0

struct sampler {
    double rate_fps;
    uint64_t taken_us; /* the slot of the last frame taken */
    uint64_t last_us;  /* its own time */
    bool started;
};

/* The first frame is always taken. A rate that is not a number becomes SAMPLER_FPS_MIN. */
void sampler_init(struct sampler *s, double rate_fps);

/* From the next frame on; the spacing continues from the last frame that was taken. */
void sampler_set_rate(struct sampler *s, double rate_fps);

/* True when the frame captured at now_us is to be kept. Over a long run frames are taken at
 * exactly the rate (slots are a period apart, they do not drift with the frames' jitter); after a
 * gap the missed slots are not made up for. Frames of the same time (crops of one picture) go with
 * the first of them. */
bool sampler_take(struct sampler *s, uint64_t now_us);

#endif
