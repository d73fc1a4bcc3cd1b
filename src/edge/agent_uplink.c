/* agent_uplink.c - sends the spooled chunks in order and waits out whatever goes wrong.
 *
 * Three outcomes: the server has the chunk (forget it), it will never take it (drop and count), or
 * anything else (say hello again after a wait). A backlog is sent a little faster than it would
 * have come, not as fast as the link allows: other cameras share it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "edge/agent_internal.h"

#define BACKOFF_FIRST_US 500000
#define BACKOFF_MAX_US 30000000
#define IDLE_US 1000000
#define BACKLOG_SPEED 1.25
#define REPORT_US 10000000

struct uploader {
    struct agent *agent;
    struct buf chunk;
    struct backoff backoff;
    struct rng rng;
    uint64_t next_us; /* not before: keeps the uplink's rate */
    struct inference_report told;
    uint64_t told_us;
};

/* Until a chunk is spooled, the agent ends, or a second is over. */
static void wait_for_chunk(struct agent *a, uint64_t seen)
{
    uint64_t until_us = clock_mono_us() + IDLE_US;
    pthread_mutex_lock(&a->mutex);
    while (a->chunks_spooled == seen && !atomic_load(&a->ending))
        if (clock_cond_wait(&a->changed, &a->mutex, until_us) != 0)
            break;
    pthread_mutex_unlock(&a->mutex);
}

static void retry_later(struct uploader *u, const struct error *err)
{
    uint64_t wait_us = backoff_next_us(&u->backoff, &u->rng);
    if (!atomic_load(&u->agent->ending))
        log_write(LOG_WARN, "upload waits", "retry_s=%.1f reason=\"%s\"", (double)wait_us / 1e6,
                  err->message);
    atomic_store(&u->agent->greeted, false);
    agent_pause(u->agent, wait_us);
}

/* Says hello and takes the server's wishes over. */
static enum status say_hello(struct agent *a, struct client_settings *ret, struct error *err)
{
    const struct client_hello hello = {.student_identity_hex = nn_model_identity_hex(a->model),
                                       .task = task_name(a->spec.task),
                                       .width = a->spec.width,
                                       .height = a->spec.height,
                                       .fps = feed_fps(a->feed),
                                       .version = slot_version(a->slot),
                                       .state = "running",
                                       .latitude_deg = a->options.latitude_deg,
                                       .longitude_deg = a->options.longitude_deg};
    enum status st = client_say_hello(a->upload_client, &hello, ret, err);
    if (st == ST_OK)
        st = spool_skip_to(a->spool, ret->next_seq, err);
    if (st != ST_OK)
        return st;
    agent_take_settings(a, ret);
    /* Compared with what was said: the update thread may have got further meanwhile. */
    if (ret->version < hello.version)
        atomic_store(&a->server_lost, true);
    atomic_store(&a->greeted, true);
    return ST_OK;
}

static void greet(struct uploader *u)
{
    struct client_settings settings;
    struct error err;
    if (say_hello(u->agent, &settings, &err) != ST_OK) {
        retry_later(u, &err);
        return;
    }
    backoff_reset(&u->backoff);
    log_write(LOG_INFO, "server greeted",
              "server_version=%lu sampling_fps=%.2f chunk_s=%.1f uplink_kbps=%.0f next_seq=%lu",
              (unsigned long)settings.version, settings.sampling_fps, settings.chunk_s,
              settings.uplink_kbps, (unsigned long)settings.next_seq);
}

/* What the server cannot see by itself: how this camera infers, and what it thinks of its world.
 * Every REPORT_US, sooner when another configuration runs, the source comes or goes or an alarm
 * does. One that is lost is followed by the next.
 */
static void report(struct uploader *u)
{
    struct agent *a = u->agent;
    struct inference_report r;
    uint64_t now_us = clock_mono_us();
    pthread_mutex_lock(&a->mutex);
    r = a->told;
    pthread_mutex_unlock(&a->mutex);
    bool changed = r.running.stride != u->told.running.stride ||
                   r.running.scale != u->told.running.scale || r.drift.kind != u->told.drift.kind ||
                   r.drift.since_us != u->told.drift.since_us ||
                   strcmp(r.source, u->told.source) != 0;
    if (r.running.stride == 0 || (!changed && now_us - u->told_us < REPORT_US))
        return;
    struct error err;
    if (client_put_report(a->upload_client, &r, &err) != ST_OK)
        log_write(LOG_DEBUG, "report lost", "reason=\"%s\"", err.message);
    u->told = r;
    u->told_us = now_us;
}

static void acknowledged(struct uploader *u, uint64_t seq, const struct client_put *put)
{
    struct agent *a = u->agent;
    char hex[65];
    file_sha256_hex(u->chunk.data, u->chunk.size_bytes, hex);
    log_write(LOG_INFO, "chunk acknowledged", "seq=%lu bytes=%zu sha256=%s", (unsigned long)seq,
              u->chunk.size_bytes, hex);
    struct error err;
    if (spool_acknowledge(a->spool, seq, &err) != ST_OK)
        retry_later(u, &err); /* it is sent again: the server knows it */
    else
        backoff_reset(&u->backoff);
    if (put->sampling_fps > 0)
        atomic_store(&a->asr_fps, put->sampling_fps);
    double kbps = agent_settings(a).uplink_kbps * BACKLOG_SPEED;
    u->next_us = clock_mono_us() + (uint64_t)((double)u->chunk.size_bytes * 8e3 / kbps);
}

static void refused(struct uploader *u, uint64_t seq, const struct error *err)
{
    log_write(LOG_ERROR, "chunk refused", "seq=%lu reason=\"%s\"", (unsigned long)seq,
              err->message);
    struct error drop_err;
    if (spool_drop(u->agent->spool, seq, &drop_err) != ST_OK)
        retry_later(u, &drop_err);
    atomic_store(&u->agent->greeted, false); /* its next number is worth knowing */
}

static void send_chunk(struct uploader *u, uint64_t seq)
{
    struct client_put put = {0};
    struct error err;
    enum status st = client_put_chunk(u->agent->upload_client, seq, u->chunk.data,
                                      u->chunk.size_bytes, &put, &err);
    switch (st) {
    case ST_OK:
        acknowledged(u, seq, &put);
        break;
    case ST_INVALID:
    case ST_CONFLICT:
    case ST_LIMIT:
        refused(u, seq, &err);
        break;
    case ST_AGAIN:
        log_write(LOG_INFO, "upload waits", "retry_s=%.1f reason=\"%s\"", put.retry_after_s,
                  err.message);
        agent_pause(u->agent, (uint64_t)(put.retry_after_s * 1e6));
        break;
    default:
        retry_later(u, &err);
    }
}

static void upload_next(struct uploader *u)
{
    struct agent *a = u->agent;
    agent_transmit_pace(a);
    report(u);
    agent_judge_ask(a, &u->chunk);
    pthread_mutex_lock(&a->mutex);
    uint64_t seen = a->chunks_spooled;
    pthread_mutex_unlock(&a->mutex);
    uint64_t now_us = clock_mono_us();
    if (now_us < u->next_us) {
        agent_pause(a, u->next_us - now_us);
        return;
    }
    uint64_t seq;
    struct error err;
    u->chunk.size_bytes = 0;
    enum status st = spool_peek(a->spool, &seq, &u->chunk, &err);
    if (st == ST_OK)
        send_chunk(u, seq);
    else if (st == ST_AGAIN)
        wait_for_chunk(a, seen);
    else
        retry_later(u, &err);
}

void *agent_upload_thread(void *context)
{
    struct agent *a = context;
    agent_thread_background("attune-upload");
    struct uploader u = {.agent = a};
    buf_init(&u.chunk);
    backoff_init(&u.backoff, BACKOFF_FIRST_US, BACKOFF_MAX_US);
    rng_init(&u.rng, a->options.seed, 0);
    while (!atomic_load(&a->ending)) {
        if (!atomic_load(&a->greeted))
            greet(&u);
        else
            upload_next(&u);
    }
    buf_clear(&u.chunk);
    return NULL;
}
