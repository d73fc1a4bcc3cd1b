/* fleet_transmit.c - a fleet's camera and the uplink: frames are sampled, leave as chunks over the
 * link that all share (shared_link.h), and are labelled when they arrive. */
#include <math.h>

#include "eval/fleet_camera.h"
#include "eval/pack.h"
#include "video/frame.h"

#define SAVED_CHUNKS_MAX 4 /* of the uplink that was not used */

enum status fleet_camera_sample(struct fleet_camera *c, const struct frame *frame,
                                struct error *err)
{
    if (c->shared->options->scenario->uplink_kbps <= 0 || c->sampled_count == CHUNK_FRAMES_MAX ||
        !sampler_take(&c->sampler, frame->t_us))
        return ST_OK;
    struct frame *to = &c->sampled[c->sampled_count];
    enum status st = frame_resize(to, c->sending.width, c->sending.height, err);
    if (st == ST_OK)
        st = scaler_run(&c->shrinker, frame, to, err);
    to->t_us = frame->t_us;
    c->sampled_count += st == ST_OK;
    return st;
}

void fleet_camera_send_as(struct fleet_camera *c, const struct fleet_sending *how)
{
    if (c->sending.fps <= 0)
        sampler_init(&c->sampler, how->fps);
    else
        sampler_set_rate(&c->sampler, how->fps);
    if (how->width != c->sending.width || how->height != c->sending.height)
        c->sampled_count = 0; /* of another size */
    c->sending = *how;
    c->link.weight = how->kbps;
}

/* Frames that the link is behind with are not sent on top. */
static void drop_late(struct fleet_camera *c)
{
    if (c->parcel_count < FLEET_PARCELS_MAX)
        return;
    c->link.sent = fmax(c->link.sent, c->parcels[0].end_bits);
    parcels_drop_first(c->parcels, &c->parcel_count);
    c->lost++;
}

/* What its part of the uplink comes to since the last chunk: who sends rarely sends better. */
static size_t affordable_bytes(const struct fleet_camera *c, double now_s)
{
    double chunk_s = c->shared->options->scenario->chunk_s;
    double saved_s = fmin(fmax(now_s - c->packed_s, chunk_s), SAVED_CHUNKS_MAX * chunk_s);
    return (size_t)(c->sending.kbps * saved_s * 125);
}

static enum status send_chunk(struct fleet_camera *c, double now_s, struct error *err)
{
    drop_late(c);
    struct parcel *p = &c->parcels[c->parcel_count];
    const struct packing how = {.bytes_max = affordable_bytes(c, now_s),
                                .seq = c->chunks++,
                                .sampling_fps = c->sending.fps};
    buf_init(&p->bytes);
    enum status st = pack_frames(c->sampled, c->sampled_count, &how, &p->bytes, err);
    if (st == ST_LIMIT) { /* not even one frame fits */
        c->lost++;
        st = ST_OK;
    } else if (st == ST_OK) {
        c->link.offered += 8.0 * (double)p->bytes.size_bytes;
        p->end_bits = c->link.offered;
        c->packed_s = now_s;
        c->parcel_count++;
        c->frames_sent += (uint64_t)c->sampled_count;
    }
    c->sampled_count = 0;
    return st;
}

static enum status receive(struct fleet_camera *c, double used_s[FLEET_USES], struct error *err)
{
    const struct taught *frames;
    int count;
    const struct buf *b = &c->parcels[0].bytes;
    enum status st = teach_chunk(c->shared->teach, b->data, b->size_bytes, &frames, &count, err);
    for (int i = 0; st == ST_OK && i < count; i++)
        st = fleet_camera_take_labelled(c, &frames[i].frame, false, &frames[i].labels, used_s, err);
    parcels_drop_first(c->parcels, &c->parcel_count);
    return st;
}

enum status fleet_camera_exchange(struct fleet_camera *c, double now_s, double used_s[FLEET_USES],
                                  struct error *err)
{
    enum status st = ST_OK;
    if (now_s + 1e-9 >= c->chunk_due_s) {
        c->chunk_due_s += c->shared->options->scenario->chunk_s;
        if (c->sampled_count > 0)
            st = send_chunk(c, now_s, err);
    }
    while (st == ST_OK && c->parcel_count > 0 && c->parcels[0].end_bits <= c->link.sent + 1)
        st = receive(c, used_s, err);
    return st;
}
