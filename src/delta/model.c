/* What a delta needs to know of a model, and the record of what has been sent of it. */
#include "delta/delta.h"

#include <stdlib.h>
#include <string.h>

static uint32_t clamp_row(uint32_t row)
{
    return row < 1 ? 1 : row > DELTA_ROW_MAX ? DELTA_ROW_MAX : row;
}

static enum status fill_tensors(struct delta_model *m, const uint32_t *size, const uint32_t *rows,
                                struct error *err)
{
    size_t end = 0;
    for (int t = 0; t < m->tensor_count; t++) {
        end += size[t];
        if (size[t] == 0 || end > DELTA_PARAMS_MAX)
            return error_set(err, ST_LIMIT,
                             "tensor %d of the model is empty or brings it over %zu parameters", t,
                             DELTA_PARAMS_MAX);
        m->tensor_end[t] = (uint32_t)end;
        m->tensor_row[t] = clamp_row(rows ? rows[t] : 1);
    }
    m->trainable_count = end;
    return ST_OK;
}

enum status delta_model_init_plain(const uint8_t identity[32], const uint32_t *tensor_size,
                                   const uint32_t *rows, int tensor_count, size_t stat_count,
                                   const float *initial, struct delta_model *ret, struct error *err)
{
    if (tensor_count < 1 || tensor_count > DELTA_TENSORS_MAX || stat_count > DELTA_PARAMS_MAX)
        return error_set(err, ST_LIMIT,
                         "a model of %d trainable tensors and %zu statistics is "
                         "outside what a delta can carry",
                         tensor_count, stat_count);
    struct delta_model m = {
        .tensor_count = tensor_count, .stat_count = stat_count, .initial = initial};
    memcpy(m.identity, identity, 32);
    m.tensor_end = calloc((size_t)tensor_count, sizeof *m.tensor_end);
    m.tensor_row = calloc((size_t)tensor_count, sizeof *m.tensor_row);
    enum status st = m.tensor_end && m.tensor_row
                         ? fill_tensors(&m, tensor_size, rows, err)
                         : error_set(err, ST_NOMEM, "no memory for the model's tensor table");
    if (st == ST_OK)
        *ret = m;
    else
        delta_model_clear(&m);
    return st;
}

void delta_model_clear(struct delta_model *m)
{
    free(m->tensor_end);
    free(m->tensor_row);
    memset(m, 0, sizeof *m);
}

enum status delta_history_init(size_t trainable_count, struct delta_history *ret, struct error *err)
{
    uint8_t *mask = calloc(mask_bytes(trainable_count) + 1, 1);
    if (!mask)
        return error_set(err, ST_NOMEM, "no memory for the record of sent coordinates");
    *ret = (struct delta_history){.mask = mask, .count = trainable_count};
    return ST_OK;
}

void delta_history_clear(struct delta_history *h)
{
    free(h->mask);
    memset(h, 0, sizeof *h);
}

void delta_history_add(struct delta_history *h, const uint8_t *mask, bool statistics)
{
    for (size_t i = 0; i < mask_bytes(h->count); i++)
        h->mask[i] |= mask[i];
    h->statistics |= statistics;
}

void delta_history_save(const struct delta_history *h, struct buf *out)
{
    buf_put_u64(out, h->count);
    buf_put_u8(out, h->statistics);
    buf_put(out, h->mask, mask_bytes(h->count));
}

enum status delta_history_load(struct delta_history *h, struct cursor *in, struct error *err)
{
    uint64_t count = cursor_u64(in);
    uint8_t statistics = cursor_u8(in);
    if (!in->failed && count != h->count)
        return error_set(err, ST_CONFLICT, "the record is of a model with another size");
    const uint8_t *mask = cursor_take(in, mask_bytes(h->count));
    bool tail = mask && h->count % 8 && mask[h->count / 8] >> h->count % 8;
    if (!mask || statistics > 1 || tail)
        return error_set(err, ST_FORMAT, "the record of sent coordinates is damaged");
    memcpy(h->mask, mask, mask_bytes(h->count));
    h->statistics = statistics;
    return ST_OK;
}
