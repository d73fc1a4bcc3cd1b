/* agent_encode.c - gathers sampled frames and closes a chunk of H.264 every chunk_s.
 *
 * The budget of a chunk is the uplink's rate times the time since the last chunk, so late chunks do
 * not cost bits and the rate holds over any span. Frame buffers are taken at their first use and
 * kept.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "edge/agent_internal.h"
#include "uplink/chunk.h"
#include "video/encode.h"
#include "video/frame.h"
#include "video/scale.h"

#define GATHER_BYTES_MAX ((size_t)128 << 20)
#define FRAME_OVERHEAD_BYTES 24  /* time and version of a frame in the chunk */
#define CHUNK_OVERHEAD_BYTES 512 /* the chunk's head, HTTP's headers */
#define CLIP_BYTES_MIN 64.0
#define CLIP_BYTES_MAX 268435456.0

struct encoder {
    struct agent *agent;
    struct frame frames[CHUNK_FRAMES_MAX];
    struct scaler scaler;
    struct chunk chunk; /* t_us and version are filled as frames come */
    int count, count_max;
    struct clip clip;
    struct buf bytes;
    uint64_t opened_us; /* monotonic: end of the last chunk */
};

static void gather(struct encoder *e, const struct agent_sample *s)
{
    const struct task_spec *spec = &e->agent->spec;
    struct frame *to = &e->frames[e->count];
    const struct frame lent = {.width = spec->width,
                               .height = spec->height,
                               .t_us = s->t_us,
                               .pixels = (uint8_t *)(uintptr_t)(s + 1)};
    struct error err;
    const struct controller_choice *c = &e->agent->transmit.choice;
    enum status st = frame_resize(to, c->width > 0 ? c->width : spec->width,
                                  c->width > 0 ? c->height : spec->height, &err);
    if (st == ST_OK)
        st = scaler_run(&e->scaler, &lent, to, &err);
    if (st != ST_OK) {
        e->agent->samples_dropped_encoder++;
        return;
    }
    e->chunk.t_us[e->count] = s->t_us;
    e->chunk.version[e->count] = s->version;
    e->count++;
}

static enum status encode_clip(struct encoder *e, double kbps, double elapsed_s, struct error *err)
{
    double budget =
        kbps * 125 * elapsed_s - CHUNK_OVERHEAD_BYTES - (double)FRAME_OVERHEAD_BYTES * e->count;
    struct clip_options o;
    clip_options_init(&o);
    o.finest_factor = agent_transmit_finest(e->agent, o.finest_factor);
    o.start_factor = fmax(o.start_factor, o.finest_factor);
    o.bytes_max = (size_t)(budget < CLIP_BYTES_MIN   ? CLIP_BYTES_MIN
                           : budget > CLIP_BYTES_MAX ? CLIP_BYTES_MAX
                                                     : budget);
    return clip_encode(e->frames, e->count, &o, &e->clip, err);
}

static enum status spool_clip(struct encoder *e, double sampling_fps, struct error *err)
{
    struct agent *a = e->agent;
    struct chunk *c = &e->chunk;
    snprintf(c->camera, sizeof c->camera, "%s", a->options.camera_id);
    c->seq = spool_reserve(a->spool);
    c->width = e->clip.width;
    c->height = e->clip.height;
    c->count = e->clip.count;
    c->sampling_fps = (float)sampling_fps;
    c->codec = CHUNK_H264;
    c->payload = e->clip.bytes.data;
    c->payload_bytes = e->clip.bytes.size_bytes;
    e->bytes.size_bytes = 0;
    enum status st = chunk_encode(c, &e->bytes, err);
    if (st == ST_OK)
        st = spool_append(a->spool, c->seq, e->bytes.data, e->bytes.size_bytes, err);
    if (st != ST_OK)
        return st;
    pthread_mutex_lock(&a->mutex);
    a->chunks_spooled++;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->mutex);
    return ST_OK;
}

/* last: the agent ends, the frames so far get a whole chunk's bits. */
static void close_chunk(struct encoder *e, uint64_t now_us, bool last)
{
    struct agent *a = e->agent;
    struct client_settings settings = agent_settings(a);
    double elapsed_s = last ? settings.chunk_s : (double)(now_us - e->opened_us) / 1e6;
    e->opened_us = now_us;
    if (e->count == 0) {
        agent_transmit_choose(a);
        return;
    }
    struct error err = {0};
    enum status st = encode_clip(e, agent_transmit_kbps(a), elapsed_s, &err);
    int encoded = st == ST_OK ? e->clip.count : 0;
    if (st == ST_OK)
        agent_transmit_learn(a, encoded, e->clip.bytes.size_bytes, elapsed_s,
                             e->clip.rate_factor <= agent_transmit_finest(a, 0) + 1);
    if (st == ST_OK)
        st = spool_clip(e, settings.sampling_fps, &err);
    if (st != ST_OK) {
        log_write(LOG_WARN, "chunk lost", "frames=%d reason=\"%s\"", e->count, err.message);
        a->chunks_lost++;
        encoded = 0;
    }
    a->samples_encoded += (uint64_t)encoded;
    a->samples_dropped_encoder += (uint64_t)(e->count - encoded);
    e->count = 0;
    agent_transmit_choose(a); /* for the next one: the frames of a chunk have one size */
}

static int frames_of_memory(const struct agent *a)
{
    size_t one = (size_t)3 * (size_t)a->spec.width * (size_t)a->spec.height;
    size_t fit = GATHER_BYTES_MAX / one;
    return fit < 1 ? 1 : fit > CHUNK_FRAMES_MAX ? CHUNK_FRAMES_MAX : (int)fit;
}

static void gather_until_stopped(struct encoder *e)
{
    struct handoff *samples = e->agent->samples;
    for (;;) {
        uint64_t chunk_us = (uint64_t)(agent_settings(e->agent).chunk_s * 1e6);
        const struct agent_sample *s = handoff_take(samples, e->opened_us + chunk_us);
        bool over = !s && handoff_stopped(samples);
        if (s) {
            gather(e, s);
            handoff_release(samples);
        }
        uint64_t now_us = clock_mono_us();
        bool urgent = s && atomic_exchange(&e->agent->urgent, false);
        if (over || urgent || e->count == e->count_max || now_us >= e->opened_us + chunk_us)
            close_chunk(e, now_us, over);
        if (over)
            return;
    }
}

void *agent_encode_thread(void *context)
{
    struct agent *a = context;
    agent_thread_background("attune-encode");
    struct encoder *e = calloc(1, sizeof *e);
    if (!e) {
        log_write(LOG_ERROR, "encoder stopped", "reason=\"out of memory\"");
        return NULL;
    }
    e->agent = a;
    e->count_max = frames_of_memory(a);
    e->opened_us = clock_mono_us();
    for (int i = 0; i < CHUNK_FRAMES_MAX; i++)
        frame_init(&e->frames[i]);
    clip_init(&e->clip);
    scaler_init(&e->scaler);
    buf_init(&e->bytes);
    gather_until_stopped(e);
    for (int i = 0; i < CHUNK_FRAMES_MAX; i++)
        frame_clear(&e->frames[i]);
    clip_clear(&e->clip);
    scaler_clear(&e->scaler);
    buf_clear(&e->bytes);
    free(e);
    return NULL;
}
