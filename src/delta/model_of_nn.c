/* The tables of a delta from a network of the engine's. Apart from model.c, so that what tests and
 * tools do with plain tables needs no engine. */
#include <stdlib.h>

#include "delta/delta.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool identity_from_hex(const char *hex, uint8_t identity[32])
{
    for (int i = 0; i < 32; i++) {
        int high = hex_digit(hex[2 * i]), low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        if (low < 0)
            return false;
        identity[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Coordinates of one output channel; what is longer than DELTA_ROW_MAX is cut later. */
static uint32_t row_of(const struct nn_param *p)
{
    size_t row = p->dim[0] > 0 ? p->count / (size_t)p->dim[0] : 1;
    return row < DELTA_ROW_MAX ? (uint32_t)row : DELTA_ROW_MAX;
}

enum status delta_model_init(const struct nn_model *m, struct delta_model *ret, struct error *err)
{
    uint8_t identity[32];
    if (!identity_from_hex(nn_model_identity_hex(m), identity))
        return error_set(err, ST_INTERNAL, "the model's identity is not a SHA-256");
    const struct nn_graph *g = nn_model_graph(m);
    uint32_t *size = calloc((size_t)g->param_count + 1, 2 * sizeof *size);
    if (!size)
        return error_set(err, ST_NOMEM, "no memory for the model's tensor table");
    uint32_t *rows = size + g->param_count;
    int count = 0;
    for (int i = 0; i < g->param_count; i++) {
        const struct nn_param *p = &g->params[i];
        if (p->kind != NN_PARAM_TRAINABLE)
            continue;
        /* The engine's bound on elements is above ours: fill_tensors refuses what is too large. */
        size[count] = p->count > UINT32_MAX ? UINT32_MAX : (uint32_t)p->count;
        rows[count++] = p->rank > 1 ? row_of(p) : 1;
    }
    enum status st = delta_model_init_plain(identity, size, rows, count,
                                            nn_model_param_count(m) - nn_model_trainable_count(m),
                                            nn_model_values(m), ret, err);
    free(size);
    return st;
}
