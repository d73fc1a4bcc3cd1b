/* personal.c - see personal.h. */
#include "delta/personal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "delta/update.h"

void delta_personal_clear(struct delta_personal *p)
{
    free(p->index);
    free(p->difference);
    *p = (struct delta_personal){0};
}

static enum status allocate(size_t count, struct delta_personal *p, struct error *err)
{
    p->index = malloc((count + 1) * sizeof *p->index);
    p->difference = malloc((count + 1) * sizeof *p->difference);
    if (!p->index || !p->difference) {
        delta_personal_clear(p);
        return error_set(err, ST_NOMEM, "no memory for a personal delta of %zu parameters", count);
    }
    p->count = count;
    return ST_OK;
}

enum status delta_personal_copy(const struct delta_personal *p, struct delta_personal *ret,
                                struct error *err)
{
    struct delta_personal copy = *p;
    enum status st = allocate(p->count, &copy, err);
    if (st != ST_OK)
        return st;
    memcpy(copy.index, p->index, p->count * sizeof *copy.index);
    memcpy(copy.difference, p->difference, p->count * sizeof *copy.difference);
    *ret = copy;
    return ST_OK;
}

static float wire(double v, int step_log2)
{
    return isnan(v) ? 0 : half_value(half_code((float)v, step_log2), step_log2);
}

void delta_personal_put(const struct delta_personal *p, const float *shared, float *params)
{
    for (size_t n = 0; n < p->count; n++) {
        uint32_t i = p->index[n];
        params[i] = wire((double)shared[i] + (double)p->difference[n], p->step_log2);
    }
}

/* ---- vectors of differences ---- */

static float *new_vector(const struct delta_model *m, struct error *err)
{
    float *v = calloc(m->trainable_count + m->stat_count, sizeof *v);
    if (!v)
        error_set(err, ST_NOMEM, "no memory for a personal delta");
    return v;
}

/* From a vector, those that are not 0. */
static enum status gather(const struct delta_model *m, const float *difference,
                          struct delta_personal *p, struct error *err)
{
    size_t count = 0, n = 0;
    for (size_t i = 0; i < m->trainable_count; i++)
        count += difference[i] != 0;
    enum status st = allocate(count, p, err);
    for (size_t i = 0; st == ST_OK && i < m->trainable_count; i++)
        if (difference[i] != 0) {
            p->index[n] = (uint32_t)i;
            p->difference[n++] = difference[i];
        }
    return st;
}

static enum status subtract(const struct delta_model *m, const float *shared, const float *own,
                            int step_log2, float *difference, struct error *err)
{
    for (size_t i = 0; i < m->trainable_count + m->stat_count; i++) {
        double d = (double)own[i] - (double)shared[i];
        if (!isfinite(d) || (i >= m->trainable_count && d != 0))
            return error_set(err, ST_INVALID,
                             "parameter %zu is not what a personal delta would carry", i);
        difference[i] = wire(d, step_log2);
    }
    return ST_OK;
}

enum status delta_personal_take(const struct delta_model *m, uint64_t version, const float *shared,
                                const float *own, int step_log2, struct delta_personal *ret,
                                struct error *err)
{
    struct delta_personal p = {.version = version, .step_log2 = step_log2};
    float *difference = new_vector(m, err);
    if (!difference)
        return ST_NOMEM;
    enum status st = subtract(m, shared, own, step_log2, difference, err);
    if (st == ST_OK)
        st = gather(m, difference, &p, err);
    free(difference);
    if (st == ST_OK)
        *ret = p;
    return st;
}

/* ---- bytes ---- */

enum status delta_personal_write(const struct delta_model *m, const struct delta_personal *p,
                                 struct buf *out, struct error *err)
{
    float *difference = new_vector(m, err);
    uint8_t *mask = calloc(mask_bytes(m->trainable_count), 1);
    enum status st =
        difference && mask ? ST_OK : error_set(err, ST_NOMEM, "no memory for a personal delta");
    for (size_t n = 0; st == ST_OK && n < p->count; n++) {
        uint32_t i = p->index[n];
        mask[i >> 3] |= (uint8_t)(1 << (i & 7));
        difference[i] = p->difference[n];
    }
    if (st == ST_OK)
        st = delta_encode_personal(m, p->version, difference, mask, p->step_log2, out, err);
    free(difference);
    free(mask);
    return st;
}

static enum status check_version(const struct delta_info *info, uint64_t version, struct error *err)
{
    if (!info->personal)
        return error_set(err, ST_CONFLICT, "this is a step to version %llu, no personal delta",
                         (unsigned long long)info->versions.new);
    if (info->versions.base > version)
        return error_set(err, ST_CONFLICT,
                         "the personal delta is for version %llu and later, version %llu is here",
                         (unsigned long long)info->versions.base, (unsigned long long)version);
    return ST_OK;
}

static enum status decode(const struct delta_model *m, const void *bytes, size_t n,
                          float *difference, struct error *err)
{
    struct delta_update *u;
    enum status st = delta_update_open(m, &u, err);
    if (st != ST_OK)
        return st;
    st = delta_update_decode_personal(u, bytes, n, difference, err);
    if (st == ST_OK)
        delta_update_exchange(u, difference, 1);
    delta_update_close(&u);
    return st;
}

enum status delta_personal_read(const struct delta_model *m, const void *bytes, size_t n,
                                uint64_t version, struct delta_personal *ret, struct error *err)
{
    struct delta_info info;
    enum status st = delta_info_read(bytes, n, &info, NULL, 0, err);
    if (st == ST_OK)
        st = check_version(&info, version, err);
    if (st != ST_OK)
        return st;
    struct delta_personal p = {.version = info.versions.base, .step_log2 = info.step_log2};
    float *difference = new_vector(m, err);
    if (!difference)
        return ST_NOMEM;
    st = decode(m, bytes, n, difference, err);
    if (st == ST_OK)
        st = gather(m, difference, &p, err);
    free(difference);
    if (st == ST_OK)
        *ret = p;
    return st;
}
