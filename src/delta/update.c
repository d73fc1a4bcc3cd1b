/* An update is a mask of trainable parameters and their new values one after another, then those of
 * the statistics if they are sent. The values of each block of the vector begin at a place that is
 * noted, so that blocks can be exchanged by several threads. */
#include "delta/update.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "delta/container.h"
#include "delta/sections.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the vector's CRC is over its memory");

#define BLOCK 8192 /* parameters, a multiple of 64 */
#define AHEAD 16   /* words of 64 parameters */

struct delta_update {
    const struct delta_model *model;
    struct section_models *sections;
    uint64_t version;
    bool filled, whole, statistics;
    uint32_t *counts;  /* [tensors] values in each */
    uint8_t *mask;     /* of trainable parameters, whole 64-bit words */
    uint32_t *first;   /* [blocks + 1] index of the first value of each block */
    float *values;     /* mapped */
    size_t room_bytes; /* of values */
};

static size_t total_count(const struct delta_model *m)
{
    return m->trainable_count + m->stat_count;
}

static size_t word_count(const struct delta_model *m)
{
    return (m->trainable_count + 63) / 64;
}

static size_t block_count(const struct delta_model *m)
{
    return (m->trainable_count + BLOCK - 1) / BLOCK;
}

static uint64_t mask_word(const uint8_t *mask, size_t word)
{
    uint64_t bits;
    memcpy(&bits, mask + 8 * word, 8);
    return bits;
}

enum status delta_update_open(const struct delta_model *m, struct delta_update **ret,
                              struct error *err)
{
    struct delta_update *u = calloc(1, sizeof *u);
    if (!u)
        return error_set(err, ST_NOMEM, "no memory for model updates");
    u->model = m;
    u->room_bytes = total_count(m) * sizeof *u->values;
    void *room =
        mmap(NULL, u->room_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    u->values = room == MAP_FAILED ? NULL : room;
    u->sections = section_models_open(m);
    u->counts = calloc((size_t)m->tensor_count, sizeof *u->counts);
    u->mask = calloc(word_count(m), 8);
    u->first = calloc(block_count(m) + 1, sizeof *u->first);
    if (!u->values || !u->sections || !u->counts || !u->mask || !u->first) {
        delta_update_close(&u);
        return error_set(err, ST_NOMEM, "no memory for updates of %zu parameters", total_count(m));
    }
    *ret = u;
    return ST_OK;
}

void delta_update_close(struct delta_update **u)
{
    if (!u || !*u)
        return;
    if ((*u)->values)
        munmap((*u)->values, (*u)->room_bytes);
    section_models_close(&(*u)->sections);
    free((*u)->counts);
    free((*u)->mask);
    free((*u)->first);
    free(*u);
    *u = NULL;
}

void delta_update_clear(struct delta_update *u)
{
    if (u->whole) /* nothing depends on it: a failure costs memory only */
        (void)madvise(u->values, u->room_bytes, MADV_DONTNEED);
    u->filled = u->whole = u->statistics = false;
}

uint64_t delta_update_version(const struct delta_update *u)
{
    return u->version;
}

/* ---- decoding ---- */

static enum status check_model(const struct delta_model *m, const struct delta_info *info,
                               struct error *err)
{
    if (memcmp(m->identity, info->identity, 32) != 0 ||
        m->trainable_count != info->trainable_count || m->stat_count != info->stat_count ||
        (uint32_t)m->tensor_count != info->tensor_count)
        return error_set(err, ST_CONFLICT,
                         "the model update is for another model: give camera and "
                         "server the same student file");
    return ST_OK;
}

static bool counts_fit(const struct delta_model *m, const uint32_t *counts)
{
    uint32_t begin = 0;
    for (int t = 0; t < m->tensor_count; begin = m->tensor_end[t++])
        if (counts[t] > m->tensor_end[t] - begin)
            return false;
    return true;
}

/* The checksum of the file was right, so a stream that does not decode was made from another base
 * (or by a forger): in both cases a snapshot helps. */
static enum status other_base(struct error *err)
{
    return error_set(err, ST_CONFLICT,
                     "the model update does not lead to the sender's weights "
                     "from these: ask for a snapshot");
}

static enum status decode_sections(struct delta_update *u, const struct delta_info *info,
                                   const struct container *s, const float *base, struct error *err)
{
    const struct delta_model *m = u->model;
    struct coder c;
    memset(u->mask, 0, 8 * word_count(m));
    coder_decode_begin(&c, s->mask, info->mask_bytes);
    sections_mask_decode(&c, u->sections, m, base, u->counts, u->mask);
    if (!coder_decode_end(&c))
        return other_base(err);
    coder_decode_begin(&c, s->values, info->value_bytes);
    sections_values_decode(&c, u->sections, m, base, u->mask, info->step_log2, u->values);
    if (!coder_decode_end(&c))
        return other_base(err);
    if (!info->statistics)
        return ST_OK;
    coder_decode_begin(&c, s->stats, info->stat_bytes);
    sections_statistics_decode(&c, u->sections, base + m->trainable_count, m->stat_count,
                               u->values + info->value_count);
    return coder_decode_end(&c) ? ST_OK : other_base(err);
}

/* Writes the values of one block to `dst`, its first parameter; returns how many. */
static size_t put_block(const struct delta_update *u, size_t block, const float *values, float *dst)
{
    const float *v = values;
    size_t words = word_count(u->model), end = (block + 1) * (BLOCK / 64);
    for (size_t w = block * (BLOCK / 64); w < end && w < words; w++, dst += 64)
        for (uint64_t bits = mask_word(u->mask, w); bits; bits &= bits - 1)
            dst[__builtin_ctzll(bits)] = *v++;
    return (size_t)(v - values);
}

/* CRC-32 of `base` with the update's values; notes where each block's values begin. */
static uint32_t result_crc32(struct delta_update *u, const float *base)
{
    const struct delta_model *m = u->model;
    uint32_t crc = 0, n = 0;
    float block[BLOCK];
    for (size_t b = 0; b < block_count(m); b++) {
        size_t left = m->trainable_count - b * BLOCK, size = left < BLOCK ? left : BLOCK;
        memcpy(block, base + b * BLOCK, size * sizeof *block);
        u->first[b] = n;
        n += (uint32_t)put_block(u, b, u->values + n, block);
        crc = file_crc32_more(crc, block, size * sizeof *block);
    }
    u->first[block_count(m)] = n;
    const float *statistics = u->statistics ? u->values + n : base + m->trainable_count;
    return file_crc32_more(crc, statistics, m->stat_count * sizeof *statistics);
}

/* Fills the update from the sections, relative to `base`. */
static enum status decode(struct delta_update *u, const struct delta_info *info,
                          const struct container *s, const float *base, struct error *err)
{
    if (!container_take_counts(info, s->counts, u->counts, info->tensor_count) ||
        !counts_fit(u->model, u->counts))
        return container_torn(err);
    enum status st = decode_sections(u, info, s, base, err);
    u->version = info->versions.new;
    u->statistics = info->statistics;
    if (st == ST_OK && result_crc32(u, base) != info->result_crc32)
        st = other_base(err);
    u->filled = st == ST_OK;
    return st;
}

static void mark_whole(struct delta_update *u)
{
    const struct delta_model *m = u->model;
    size_t count = m->trainable_count, words = word_count(m);
    memset(u->mask, 0xff, 8 * words);
    if (count % 64) {
        uint64_t last = ((uint64_t)1 << count % 64) - 1;
        memcpy(u->mask + 8 * (words - 1), &last, 8);
    }
    for (size_t b = 0; b <= block_count(m); b++)
        u->first[b] = (uint32_t)(b * BLOCK < count ? b * BLOCK : count);
    for (int t = 0; t < m->tensor_count; t++)
        u->counts[t] = m->tensor_end[t] - (t ? m->tensor_end[t - 1] : 0);
    u->filled = u->whole = u->statistics = true;
}

/* The update, made from `base`, as a whole vector; in place, from the end, because a value never
 * moves towards the front. */
static void make_whole(struct delta_update *u, const float *base)
{
    const struct delta_model *m = u->model;
    size_t count = m->trainable_count, n = u->first[block_count(m)];
    const float *statistics = u->statistics ? u->values + n : base + count;
    memmove(u->values + count, statistics, m->stat_count * sizeof *statistics);
    for (size_t i = count; i-- > 0;)
        u->values[i] = mask_get(u->mask, i) ? u->values[--n] : base[i];
    mark_whole(u);
}

float *delta_update_whole(struct delta_update *u, uint64_t version)
{
    u->version = version;
    mark_whole(u);
    return u->values;
}

static void remember(const struct delta_update *u, bool snapshot, struct delta_history *sent)
{
    if (snapshot) {
        memset(sent->mask, 0, mask_bytes(u->model->trainable_count));
        sent->statistics = false;
    }
    delta_history_add(sent, u->mask, u->statistics);
}

enum status delta_update_decode(struct delta_update *u, const void *bytes, size_t n,
                                uint64_t version, const float *params, struct delta_history *sent,
                                bool *ret_applies, struct error *err)
{
    const struct delta_model *m = u->model;
    struct delta_info info = {0};
    struct container s;
    delta_update_clear(u);
    enum status st = container_open(bytes, n, &info, &s, err);
    if (st == ST_OK)
        st = check_model(m, &info, err);
    if (st == ST_OK && info.personal)
        st = error_set(err, ST_CONFLICT,
                       "this is a camera's own delta on top of version %llu, no step to another",
                       (unsigned long long)info.versions.base);
    if (st != ST_OK)
        return st;
    if (info.versions.new == version &&
        file_crc32(params, total_count(m) * sizeof *params) == info.result_crc32) {
        *ret_applies = false;
        return ST_OK;
    }
    bool snapshot = info.versions.base == 0 && info.versions.new > version;
    if (!snapshot && info.versions.base != version)
        return error_set(err, ST_CONFLICT,
                         "the model update leads from version %llu to %llu, but version %llu is "
                         "here: ask for a snapshot",
                         (unsigned long long)info.versions.base,
                         (unsigned long long)info.versions.new, (unsigned long long)version);
    st = decode(u, &info, &s, snapshot ? m->initial : params, err);
    if (st != ST_OK)
        return st;
    if (sent)
        remember(u, info.versions.base == 0, sent);
    if (snapshot)
        make_whole(u, m->initial);
    *ret_applies = true;
    return ST_OK;
}

enum status delta_update_decode_personal(struct delta_update *u, const void *bytes, size_t n,
                                         const float *zeros, struct error *err)
{
    struct delta_info info = {0};
    struct container s;
    delta_update_clear(u);
    enum status st = container_open(bytes, n, &info, &s, err);
    if (st == ST_OK)
        st = check_model(u->model, &info, err);
    if (st == ST_OK && !info.personal)
        st = error_set(err, ST_CONFLICT, "this is a step to version %llu, no personal delta",
                       (unsigned long long)info.versions.new);
    return st == ST_OK ? decode(u, &info, &s, zeros, err) : st;
}

/* ---- putting in place ---- */

static void exchange_values(float *values, float *params, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float old = params[i];
        params[i] = values[i];
        values[i] = old;
    }
}

static void fetch_ahead(const float *at)
{
    for (int line = 0; line < 64; line += 16)
        __builtin_prefetch(at + line, 1);
}

static void exchange_block(struct delta_update *u, size_t block, float *params)
{
    float *v = u->values + u->first[block], *at = params + block * BLOCK;
    size_t words = word_count(u->model), end = (block + 1) * (BLOCK / 64);
    for (size_t w = block * (BLOCK / 64); w < end && w < words; w++, at += 64) {
        if (w + AHEAD < words)
            fetch_ahead(at + AHEAD * 64);
        for (uint64_t bits = mask_word(u->mask, w); bits; bits &= bits - 1, v++) {
            float *p = at + __builtin_ctzll(bits), old = *p;
            *p = *v;
            *v = old;
        }
    }
}

void delta_update_exchange(struct delta_update *u, float *params, int threads)
{
    assert(u->filled);
    const struct delta_model *m = u->model;
    int64_t blocks = (int64_t)block_count(m);
    float *statistics = u->values + u->first[blocks];
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t b = 0; b < blocks; b++)
        exchange_block(u, (size_t)b, params);
    if (u->statistics)
        exchange_values(statistics, params + m->trainable_count, m->stat_count);
}

static size_t tensor_begin(const struct delta_model *m, int t)
{
    return t ? m->tensor_end[t - 1] : 0;
}

/* The first tensor that begins at `begin` or later, tensor_count when there is none. */
static int tensor_from(const struct delta_model *m, size_t begin)
{
    int low = 0, high = m->tensor_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (tensor_begin(m, middle) < begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool delta_update_part(const struct delta_update *u, size_t *ret_begin, size_t *ret_end)
{
    const struct delta_model *m = u->model;
    if (!u->filled)
        return false;
    int t = tensor_from(m, *ret_begin), end;
    while (t < m->tensor_count && u->counts[t] == 0)
        t++;
    for (end = t; end < m->tensor_count && u->counts[end] > 0;)
        end++;
    if (t < m->tensor_count) {
        *ret_begin = tensor_begin(m, t);
        *ret_end = m->tensor_end[end - 1];
        return true;
    }
    if (*ret_begin > m->trainable_count || !u->statistics || m->stat_count == 0)
        return false;
    *ret_begin = m->trainable_count;
    *ret_end = total_count(m);
    return true;
}

enum status delta_apply(const struct delta_model *m, const void *bytes, size_t n, uint64_t *version,
                        float *params, struct delta_history *sent, bool *ret_applied,
                        struct error *err)
{
    struct delta_update *u;
    bool applies = false;
    enum status st = delta_update_open(m, &u, err);
    if (st == ST_OK)
        st = delta_update_decode(u, bytes, n, *version, params, sent, &applies, err);
    else
        return st;
    if (st == ST_OK && applies) {
        delta_update_exchange(u, params, 1);
        *version = delta_update_version(u);
    }
    if (st == ST_OK)
        *ret_applied = applies;
    delta_update_close(&u);
    return st;
}
