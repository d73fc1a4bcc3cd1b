/* pack.h - sampled frames become one chunk, as a camera of an eval sends it. */
#ifndef ATTUNE_EVAL_PACK_H
#define ATTUNE_EVAL_PACK_H

#include "base/buf.h"
#include "base/error.h"
#include "flow/records.h"

struct packing {
    size_t bytes_max; /* of the video in it */
    uint64_t seq;
    uint64_t version; /* that the camera ran when it took the frames */
    double sampling_fps;
};

/* frames[count], 1..CHUNK_FRAMES_MAX, of one size; the chunk's bytes are appended to *out, nothing
 * on failure. Errors: of clip_encode and chunk_encode. */
enum status pack_frames(const struct frame *frames, int count, const struct packing *how,
                        struct buf *out, struct error *err);

#endif
