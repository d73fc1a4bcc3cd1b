/* encode.h - a few sampled frames as one H.264 clip that fits a byte budget.
 *
 * As AMS's uplink: libx264, yuv420p, the whole budget as the clip's bits (authors' code, two
 * passes). We differ: the budget is kept, not aimed at, and instead of x264's two passes, which
 * need files, the rate factor (x264's CRF) is searched: each try predicts the next from the size
 * that came out (6 steps halve the bits), until 80 to 100 % of the budget is used or the finest
 * wanted quality fits. A camera that gives the last clip's rate factor as the start needs one
 * or two tries. No B-frames (one packet a frame, in order), one thread.
 *
 * When CLIP_TRIES_MAX tries, the last at the coarsest rate factor, are all too large, the clip is
 * cut after the last frame that fits, and the caller learns how many frames are in.
 *
 * Odd sides are encoded with the last column or row repeated; a clip_decoder takes it off.
 *
 * Threads: no shared state; runs in the calling thread.
 * Memory:  the encoder's own during the call; the clip's bytes are the caller's.
 * Determinism: the same frames and options give the same bytes on one machine.
 */
#ifndef ATTUNE_VIDEO_ENCODE_H
#define ATTUNE_VIDEO_ENCODE_H

#include "base/buf.h"
#include "base/error.h"
#include "flow/records.h"

#define CLIP_FRAMES_MAX 256
#define CLIP_TRIES_MAX 4

struct clip_options {
    size_t bytes_max;     /* the budget, 64..2^28; default 250000 (200 kbit/s for 10 s) */
    const char *preset;   /* x264's name, default "veryfast" */
    double finest_factor; /* bits that would only go below it are not spent; default 18, 0..51 */
    double start_factor;  /* of the first try; default 26, 0..51 */
};

void clip_options_init(struct clip_options *o);

struct clip {
    struct buf bytes; /* H.264, Annex B, starts with an IDR frame */
    int width, height;
    int count;                             /* frames in it: the first `count` that were given */
    int tries;                             /* encodings it took */
    double rate_factor;                    /* of the last: the next clip's start_factor */
    uint32_t frame_bytes[CLIP_FRAMES_MAX]; /* sums to bytes.size_bytes */
};

void clip_init(struct clip *c);
void clip_clear(struct clip *c);

/* frames[count], 1..CLIP_FRAMES_MAX, all of one size (16 pixels a side or more); t_us is not
 * used. ret (clip_init'ed) is overwritten. ST_LIMIT: not even one frame fits the budget. */
enum status clip_encode(const struct frame *frames, int count, const struct clip_options *options,
                        struct clip *ret, struct error *err);

#endif
