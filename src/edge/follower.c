/* follower.c - what becomes of an answer, and how long to wait after one that was of no use. */
#include "edge/follower.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define BACKOFF_FIRST_US 500000
#define BACKOFF_MAX_US 30000000
#define WAIT_FOR_FRAME_US 5000
#define DETAILS_CHARS_MAX 640

void follower_init(struct follower *f, struct slot *slot, struct client *client,
                   const struct follower_host *host, uint64_t seed)
{
    *f = (struct follower){.slot = slot, .client = client, .host = *host};
    buf_init(&f->update.delta);
    backoff_init(&f->backoff, BACKOFF_FIRST_US, BACKOFF_MAX_US);
    rng_init(&f->rng, seed, 1);
}

void follower_clear(struct follower *f)
{
    buf_clear(&f->update.delta);
}

static void say(struct follower *f, enum log_level level, const char *event, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

static void say(struct follower *f, enum log_level level, const char *event, const char *format,
                ...)
{
    char details[DETAILS_CHARS_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(details, sizeof details, format, args);
    va_end(args);
    f->host.say(f->host.context, level, event, details);
}

static bool pause_us(struct follower *f, uint64_t us)
{
    return f->host.pause(f->host.context, us);
}

void follower_retry_later(struct follower *f, const char *event, const struct error *err)
{
    uint64_t wait_us = backoff_next_us(&f->backoff, &f->rng);
    if (pause_us(f, 0))
        say(f, LOG_WARN, event, "retry_s=%.1f reason=\"%s\"", (double)wait_us / 1e6, err->message);
    pause_us(f, wait_us);
}

static void save(struct follower *f)
{
    struct error err;
    if (f->params_path && slot_save(f->slot, f->params_path, &err) != ST_OK)
        say(f, LOG_WARN, "model not saved", "version=%" PRIu64 " reason=\"%s\"",
            slot_version(f->slot), err.message);
}

/* Waits for the frame that takes the offer. ST_AGAIN: the node ends before one came. */
static enum status wait_for_frame(struct follower *f, struct error *err)
{
    enum status st;
    do
        st = slot_settle(f->slot, err);
    while (st == ST_AGAIN && pause_us(f, WAIT_FOR_FRAME_US));
    return st;
}

void follower_go_back(struct follower *f)
{
    say(f, LOG_WARN, "model reset", "version=%" PRIu64 " reason=\"the server does not know it\"",
        slot_version(f->slot));
    struct error err;
    enum status st = slot_offer_reset(f->slot, &err);
    if (st == ST_OK)
        st = wait_for_frame(f, &err);
    if (st == ST_OK) {
        f->own = 0;
        save(f);
    } else
        follower_retry_later(f, "model not reset", &err);
}

/* The camera's own differences as the server wants them: new ones, or none. */
static enum status take_own(struct follower *f, const void *delta, size_t n, uint64_t number,
                            struct error *err)
{
    bool offered = false;
    enum status st = slot_offer_personal(f->slot, delta, n, &offered, err);
    if (st == ST_OK && offered)
        st = wait_for_frame(f, err);
    if (st != ST_OK)
        return st;
    f->own = slot_is_personal(f->slot) ? number : 0;
    if (offered)
        say(f, LOG_INFO, n ? "own delta applied" : "own delta dropped",
            "version=%" PRIu64 " number=%" PRIu64 " bytes=%zu", slot_version(f->slot), number, n);
    return ST_OK;
}

static void apply_own(struct follower *f)
{
    struct error err;
    const struct buf *delta = &f->update.delta;
    if (take_own(f, delta->data, delta->size_bytes, f->update.own, &err) == ST_OK)
        backoff_reset(&f->backoff);
    else
        follower_retry_later(f, "own delta refused", &err);
}

static void apply(struct follower *f)
{
    struct error err;
    bool offered = false;
    const struct buf *delta = &f->update.delta;
    enum status st = ST_OK;
    if (f->own != f->update.own) /* what comes may be of another group */
        st = take_own(f, NULL, 0, 0, &err);
    if (st == ST_OK)
        st = slot_offer(f->slot, delta->data, delta->size_bytes, &offered, &err);
    if (st == ST_OK && offered)
        st = wait_for_frame(f, &err);
    if (st != ST_OK) {
        f->want_snapshot = true;
        follower_retry_later(f, "update refused", &err);
        return;
    }
    f->want_snapshot = false;
    if (!offered) { /* the server repeats itself: no hurry */
        pause_us(f, BACKOFF_FIRST_US);
        return;
    }
    backoff_reset(&f->backoff);
    f->applied++;
    save(f);
    say(f, LOG_INFO, "version applied",
        "version=%" PRIu64 " base=%" PRIu64 " bytes=%zu params_crc32=%08x", slot_version(f->slot),
        f->update.base, delta->size_bytes, slot_params_crc32(f->slot));
}

/* The answer is about the camera's own differences, not a step or a snapshot. */
static bool is_own(const struct follower *f, const struct client_have *have)
{
    return f->update.version == have->version && f->update.base == have->version;
}

/* Nothing new, or "not now". */
static void rest(struct follower *f)
{
    if (f->update.retry_after_s > 0) {
        pause_us(f, (uint64_t)(f->update.retry_after_s * 1e6));
        return;
    }
    backoff_reset(&f->backoff);
    f->want_snapshot = false;
}

enum status follower_poll(struct follower *f, uint64_t revision, int wait_s, struct error *err)
{
    const struct client_have have = {.version = f->want_snapshot ? 0 : slot_version(f->slot),
                                     .own = f->own,
                                     .revision = revision};
    struct error why;
    f->update.retry_after_s = 0;
    f->update.revision = 0;
    enum status st = client_get_update(f->client, &have, wait_s, &f->update, err);
    if (f->host.renew && f->update.revision > 0 && f->update.revision != have.revision &&
        f->host.renew(f->host.context, &why) != ST_OK)
        follower_retry_later(f, "settings wait", &why);
    if (st == ST_OK && is_own(f, &have))
        apply_own(f);
    else if (st == ST_OK)
        apply(f);
    else if (st == ST_AGAIN)
        rest(f);
    return st;
}
