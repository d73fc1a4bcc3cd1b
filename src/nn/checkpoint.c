/* checkpoint.c - writes and reads docs/formats.md, "checkpoint".
 *
 * A file is read whole and its CRC-32 checked before a field is believed; then the identity, then
 * the sizes. The caller's arrays are touched only when everything has been found right.
 */
#include "nn/checkpoint.h"

#include <string.h>

#include "base/file.h"
#include "nn/floats.h"

#define MAGIC "ATCP"
#define VERSION 1
#define IDENTITY_BYTES 64
#define HAS_OPTIMIZER 1u
#define HAS_RUN 2u

enum status nn_checkpoint_write(const char *path, const struct nn_model *m, const float *params,
                                const struct nn_optimizer *optimizer, uint64_t step,
                                const char *run, struct error *err)
{
    enum status st;
    struct buf b;
    size_t run_chars = run ? strlen(run) : 0;
    if (run_chars > NN_CHECKPOINT_RUN_CHARS_MAX)
        return error_set(err, ST_LIMIT, "a run that takes %zu characters to describe", run_chars);
    buf_init(&b);
    buf_put(&b, MAGIC, 4);
    buf_put_u16(&b, VERSION);
    buf_put_u16(&b, (uint16_t)((optimizer ? HAS_OPTIMIZER : 0) | (run ? HAS_RUN : 0)));
    buf_put(&b, nn_model_identity_hex(m), IDENTITY_BYTES);
    buf_put_u64(&b, step);
    buf_put_u64(&b, nn_model_param_count(m));
    if (run) {
        buf_put_u16(&b, (uint16_t)run_chars);
        buf_put(&b, run, run_chars);
    }
    floats_put(&b, params, nn_model_param_count(m));
    if (optimizer)
        nn_optimizer_save(optimizer, &b);
    if (!b.failed)
        buf_put_u32(&b, file_crc32(b.data, b.size_bytes));
    if (b.failed)
        st = error_set(err, ST_NOMEM, "no memory for the checkpoint %s", path);
    else
        st = file_write(path, b.data, b.size_bytes, err);
    buf_clear(&b);
    return st;
}

struct header {
    uint16_t flags;
    uint64_t step;
    const char *run; /* NULL for none, not terminated */
    size_t run_chars;
    const uint8_t *params;
};

static enum status check_crc(struct cursor *c, struct error *err)
{
    if (c->left_bytes < 4)
        return error_set(err, ST_FORMAT, "cut short: %zu bytes are no checkpoint", c->left_bytes);
    size_t body = c->left_bytes - 4;
    struct cursor tail;
    cursor_init(&tail, c->data + body, 4);
    if (file_crc32(c->data, body) != cursor_u32(&tail))
        return error_set(err, ST_FORMAT, "damaged or cut short: the checksum does not match");
    c->left_bytes = body;
    return ST_OK;
}

static enum status read_header(struct cursor *c, const struct nn_model *m, struct header *ret,
                               struct error *err)
{
    const uint8_t *magic = cursor_take(c, 4);
    uint16_t version = cursor_u16(c), flags = cursor_u16(c);
    const uint8_t *identity = cursor_take(c, IDENTITY_BYTES);
    uint64_t step = cursor_u64(c), count = cursor_u64(c);
    if (c->failed || memcmp(magic, MAGIC, 4) != 0)
        return error_set(err, ST_FORMAT, "not a checkpoint of attune");
    if (version != VERSION || (flags & ~(HAS_OPTIMIZER | HAS_RUN)) != 0)
        return error_set(err, ST_FORMAT,
                         "checkpoint version %u is not %d: written by a newer "
                         "attune?",
                         version, VERSION);
    if (memcmp(identity, nn_model_identity_hex(m), IDENTITY_BYTES) != 0)
        return error_set(err, ST_CONFLICT,
                         "checkpoint of model %.12s..., but the model is %.12s...: give the file "
                         "that it was trained from",
                         (const char *)identity, nn_model_identity_hex(m));
    if (count != nn_model_param_count(m))
        return error_set(err, ST_FORMAT, "%llu parameters where the model has %zu",
                         (unsigned long long)count, nn_model_param_count(m));
    *ret = (struct header){.flags = flags, .step = step};
    if (flags & HAS_RUN) {
        ret->run_chars = cursor_u16(c);
        ret->run = (const char *)cursor_take(c, ret->run_chars);
    }
    ret->params = cursor_take(c, (size_t)count * sizeof(float));
    if (c->failed)
        return error_set(err, ST_FORMAT, "parameters are cut short");
    return ST_OK;
}

/* Length of the line that starts at s, of which `left` characters are there. */
static size_t line_chars(const char *s, size_t left)
{
    const char *end = left ? memchr(s, '\n', left) : NULL;
    return end ? (size_t)(end - s) : left;
}

/* Both run the same: every line equal. */
static enum status check_run(const struct header *h, const char *run, struct error *err)
{
    if (!h->run)
        return error_set(err, ST_CONFLICT, "not the state of a training run");
    const char *a = h->run, *b = run;
    size_t a_left = h->run_chars, b_left = strlen(run);
    while (a_left || b_left) {
        size_t an = line_chars(a, a_left), bn = line_chars(b, b_left);
        if (an != bn || memcmp(a, b, an) != 0)
            return error_set(err, ST_CONFLICT,
                             "state of another run: it has '%.*s', this run '%.*s'",
                             (int)(an < 160 ? an : 160), a, (int)(bn < 160 ? bn : 160), b);
        a += an + (a_left > an);
        b += bn + (b_left > bn);
        a_left -= an + (a_left > an);
        b_left -= bn + (b_left > bn);
    }
    return ST_OK;
}

static enum status parse(struct cursor *c, const struct nn_model *m, float *params,
                         struct nn_optimizer *optimizer, const char *run, uint64_t *ret_step,
                         struct error *err)
{
    struct header h = {0};
    enum status st = check_crc(c, err);
    if (st == ST_OK)
        st = read_header(c, m, &h, err);
    if (st == ST_OK && run)
        st = check_run(&h, run, err);
    if (st == ST_OK && (h.flags & HAS_OPTIMIZER) && optimizer)
        st = nn_optimizer_load(optimizer, c, err);
    else if (st == ST_OK && !(h.flags & HAS_OPTIMIZER) && c->left_bytes > 0)
        st = error_set(err, ST_FORMAT, "%zu bytes follow the parameters", c->left_bytes);
    if (st != ST_OK)
        return st;
    floats_copy(params, h.params, nn_model_param_count(m));
    *ret_step = h.step;
    return ST_OK;
}

enum status nn_checkpoint_read(const char *path, const struct nn_model *m, float *params,
                               struct nn_optimizer *optimizer, const char *run, uint64_t *ret_step,
                               struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, BUF_BYTES_MAX, &b, err);
    if (st == ST_OK) {
        struct cursor c;
        cursor_init(&c, b.data, b.size_bytes);
        st = parse(&c, m, params, optimizer, run, ret_step, err);
        if (st != ST_OK)
            error_prefix(err, "%s", path);
    }
    buf_clear(&b);
    return st;
}
