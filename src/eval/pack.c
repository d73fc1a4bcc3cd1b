/* pack.c - H.264, then the chunk around it. */
#include "eval/pack.h"

#include "uplink/chunk.h"
#include "video/encode.h"

static enum status wrap(const struct clip *clip, const struct frame *frames,
                        const struct packing *how, struct buf *out, struct error *err)
{
    struct chunk c = {.camera = "eval",
                      .seq = how->seq,
                      .width = clip->width,
                      .height = clip->height,
                      .count = clip->count,
                      .sampling_fps = (float)how->sampling_fps,
                      .codec = CHUNK_H264,
                      .payload = clip->bytes.data,
                      .payload_bytes = clip->bytes.size_bytes};
    for (int i = 0; i < clip->count; i++) {
        c.t_us[i] = frames[i].t_us;
        c.version[i] = how->version;
    }
    return chunk_encode(&c, out, err);
}

enum status pack_frames(const struct frame *frames, int count, const struct packing *how,
                        struct buf *out, struct error *err)
{
    struct clip_options o;
    struct clip clip;
    clip_options_init(&o);
    o.bytes_max = how->bytes_max;
    clip_init(&clip);
    enum status st = clip_encode(frames, count, &o, &clip, err);
    if (st == ST_OK)
        st = wrap(&clip, frames, how, out, err);
    clip_clear(&clip);
    return st;
}
