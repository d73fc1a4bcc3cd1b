/* The learner's state as bytes. The container's CRC-32 covers everything, so what is read behind it
 * is either ours or a forgery; bounds are checked all the same. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "train/learner_internal.h"

#define STATE_FORMAT 1
static const uint8_t magic[4] = {'A', 'T', 'L', 'S'};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "parameters are written as they are");

enum status learner_save(const struct learner *l, struct buf *out, struct error *err)
{
    const struct rng *rng = l->phase.open ? &l->phase.rng_before : &l->rng;
    size_t begin = out->size_bytes;
    buf_put(out, magic, 4);
    buf_put_u32(out, STATE_FORMAT);
    buf_put(out, l->delta.identity, 32);
    buf_put_u64(out, l->version);
    buf_put_u64(out, l->accepted);
    buf_put_u64(out, l->seen_us);
    buf_put_u8(out, (uint8_t)l->finest_step);
    for (int i = 0; i < 4; i++)
        buf_put_u64(out, rng->s[i]);
    delta_history_save(&l->history, out);
    buf_put_u64(out, l->count);
    buf_put(out, l->params, l->count * sizeof *l->params);
    if (l->phase.open)
        buf_put(out, l->optimizer_before.data, l->optimizer_before.size_bytes);
    else
        nn_optimizer_save(l->optimizer, out);
    if (!out->failed)
        buf_put_u32(out, file_crc32(out->data + begin, out->size_bytes - begin));
    if (!out->failed)
        return ST_OK;
    out->size_bytes = begin;
    return error_set(err, ST_NOMEM, "no memory to save a learner's state");
}

static enum status damaged(struct error *err)
{
    return error_set(err, ST_FORMAT, "the learner's state is damaged or cut: start it anew");
}

/* What a state says before the optimiser's part. */
struct state {
    uint64_t version, accepted, seen_us;
    int finest_step;
    struct rng rng;
    struct delta_history history;
    const uint8_t *params;
};

static enum status check_container(const void *bytes, size_t n, struct cursor *in,
                                   struct error *err)
{
    cursor_init(in, bytes, n);
    const uint8_t *begin = cursor_take(in, 4);
    if (!begin || memcmp(begin, magic, 4) != 0 || n < 12)
        return error_set(err, ST_FORMAT, "this is not a learner's state");
    struct cursor trailer;
    cursor_init(&trailer, begin + n - 4, 4);
    if (cursor_u32(&trailer) != file_crc32(bytes, n - 4))
        return damaged(err);
    in->left_bytes -= 4;
    uint32_t format = cursor_u32(in);
    if (format != STATE_FORMAT)
        return error_set(err, ST_UNSUPPORTED, "the learner's state has format %u, expected %u",
                         format, STATE_FORMAT);
    return ST_OK;
}

static enum status read_state(const struct learner *l, struct cursor *in, struct state *s,
                              struct error *err)
{
    const uint8_t *identity = cursor_take(in, 32);
    if (identity && memcmp(identity, l->delta.identity, 32) != 0)
        return error_set(err, ST_CONFLICT, "the learner's state is of another student model");
    s->version = cursor_u64(in);
    s->accepted = cursor_u64(in);
    s->seen_us = cursor_u64(in);
    s->finest_step = cursor_u8(in);
    for (int i = 0; i < 4; i++)
        s->rng.s[i] = cursor_u64(in);
    if (in->failed || s->finest_step < DELTA_STEP_MIN || s->finest_step > DELTA_STEP_FLOAT16)
        return damaged(err);
    enum status st = delta_history_load(&s->history, in, err);
    if (st != ST_OK)
        return st;
    if (cursor_u64(in) != l->count)
        return damaged(err);
    s->params = cursor_take(in, l->count * sizeof(float));
    return s->params ? ST_OK : damaged(err);
}

/* The optimiser's own loader may have written when it fails: it is put back then. */
static enum status read_optimizer(struct learner *l, struct cursor *in, struct error *err)
{
    l->optimizer_before.size_bytes = 0;
    nn_optimizer_save(l->optimizer, &l->optimizer_before);
    if (l->optimizer_before.failed)
        return error_set(err, ST_NOMEM, "no memory to load an optimiser's state");
    enum status st = nn_optimizer_load(l->optimizer, in, err);
    if (st == ST_OK && in->left_bytes != 0)
        st = damaged(err);
    if (st == ST_OK)
        return ST_OK;
    struct cursor back;
    cursor_init(&back, l->optimizer_before.data, l->optimizer_before.size_bytes);
    nn_optimizer_load(l->optimizer, &back, NULL);
    return st;
}

static void commit(struct learner *l, const struct state *s)
{
    memcpy(l->params, s->params, l->count * sizeof *l->params);
    learner_reset_candidate(l);
    memcpy(l->history.mask, s->history.mask, mask_bytes(l->trainable));
    l->history.statistics = s->history.statistics;
    l->version = s->version;
    l->accepted = s->accepted;
    l->seen_us = s->seen_us;
    l->finest_step = s->finest_step > l->finest_step ? s->finest_step : l->finest_step;
    l->rng = s->rng;
}

enum status learner_load(struct learner *l, const void *bytes, size_t n, struct error *err)
{
    if (l->phase.open)
        return error_set(err, ST_CONFLICT, "a phase is under way: load between phases");
    struct cursor in;
    enum status st = check_container(bytes, n, &in, err);
    if (st != ST_OK)
        return st;
    struct state s = {0};
    st = delta_history_init(l->trainable, &s.history, err);
    if (st == ST_OK)
        st = read_state(l, &in, &s, err);
    if (st == ST_OK)
        st = read_optimizer(l, &in, err);
    if (st == ST_OK)
        commit(l, &s);
    delta_history_clear(&s.history);
    return st;
}

enum status learner_save_file(const struct learner *l, const char *path, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = learner_save(l, &b, err);
    if (st == ST_OK)
        st = file_write(path, b.data, b.size_bytes, err);
    buf_clear(&b);
    return st;
}

enum status learner_load_file(struct learner *l, const char *path, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, BUF_BYTES_MAX, &b, err);
    if (st == ST_OK) {
        st = learner_load(l, b.data, b.size_bytes, err);
        if (st != ST_OK)
            error_prefix(err, "%s", path);
    }
    buf_clear(&b);
    return st;
}
