/* encode.h - a few sampled frames as one H.264 clip that fits a byte budget.
 *
 * As AMS's uplink: libx264, yuv420p, two passes with the whole budget as the clip's bits (authors'
 * code). We differ: the budget is kept, not aimed at; one thread, no B-frames (one packet a frame,
 * in order), a preset that a small camera can afford.
 *
 * When a clip comes out too large it is encoded again with fewer bits, CLIP_TRIES_MAX times in
 * all, the last at the coarsest quantiser; what is still over is cut after the last frame that
 * fits, and the caller learns how many frames are in.
 *
 * Threads: no shared state; runs in the calling thread.
 * Memory:  the encoder's own during the call; the clip's bytes are the caller's.
 * Determinism: the same frames and options give the same bytes on one machine.
 */
#ifndef ATTUNE_VIDEO_ENCODE_H
#define ATTUNE_VIDEO_ENCODE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "flow/records.h"

#define CLIP_FRAMES_MAX 256
#define CLIP_TRIES_MAX 4

struct clip_options {
    size_t bytes_max;   /* the budget, 64..2^28; no default */
    const char *preset; /* x264's name, default "veryfast" */
    bool two_pass;      /* default true; false: one pass, average bit rate */
    int quality;        /* coarsest-to-finest bound: x264's lowest quantiser, default 18, 0..51;
                           bits that would only go below it are not spent */
};

void clip_options_init(struct clip_options *o);

struct clip {
    struct buf bytes; /* H.264, Annex B, starts with an IDR frame */
    int width, height;
    int count;                             /* frames in it: the first `count` that were given */
    uint32_t frame_bytes[CLIP_FRAMES_MAX]; /* sums to bytes.size_bytes */
};

void clip_init(struct clip *c);
void clip_clear(struct clip *c);

/* frames[count], 1..CLIP_FRAMES_MAX, all of one size (16 pixels a side or more); t_us is not
 * used. ret (clip_init'ed) is overwritten. ST_LIMIT: not even one frame fits the budget. */
enum status clip_encode(const struct frame *frames, int count, const struct clip_options *options,
                        struct clip *ret, struct error *err);

#endif
