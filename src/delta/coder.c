/* See coder.h. Logistic tables are made with integer arithmetic (exp by repeated multiplication in
 * 32.32 fixed point), because libm may differ between a camera and a server. */
#include "delta/coder.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

struct coder_tables coder_tables;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    struct coder_tables *t = &coder_tables;
    const uint64_t one = (uint64_t)1 << 32, ratio = 4278222805u; /* 2^32 * exp(-1/256) */
    uint64_t decay = one;                                        /* exp(-i / 256) */
    for (int i = 0; i <= CODER_LOGIT_MAX; i++) {
        uint32_t p = (uint32_t)(((uint64_t)1 << 48) / (one + decay));
        t->logistic[CODER_LOGIT_MAX + i] = (uint16_t)p;
        t->logistic[CODER_LOGIT_MAX - i] = (uint16_t)(65536 - p);
        decay = decay * ratio >> 32;
    }
    int logit = -CODER_LOGIT_MAX;
    for (uint32_t i = 0; i < 4096; i++) {
        while (logit < CODER_LOGIT_MAX && t->logistic[CODER_LOGIT_MAX + logit] < i * 16 + 8)
            logit++;
        t->logit[i] = (int16_t)logit;
    }
    for (uint32_t n = 0; n < BIT_MODEL_SEEN_MAX; n++)
        t->rate[n] = n ? 2 * 65536 / (2 * n + 1) : 65536;
}

void coder_encode_begin(struct coder *c, struct buf *out)
{
    *c = (struct coder){.range = UINT32_MAX, .out = out, .pending = 1};
    pthread_once(&tables_once, make_tables);
}

/* A run of 0xff waits until it is known whether a carry comes. */
void coder_shift_low(struct coder *c)
{
    if (c->low < 0xff000000u || c->low > UINT32_MAX) {
        uint8_t carry = (uint8_t)(c->low >> 32), byte = c->cache;
        do {
            buf_put_u8(c->out, (uint8_t)(byte + carry));
            byte = 0xff;
        } while (--c->pending > 0);
        c->cache = (uint8_t)(c->low >> 24);
    }
    c->pending++;
    c->low = (c->low & 0x00ffffff) << 8;
}

void coder_encode_end(struct coder *c)
{
    for (int i = 0; i < 5; i++)
        coder_shift_low(c);
}

void coder_decode_begin(struct coder *c, const void *bytes, size_t n)
{
    const uint8_t *in = bytes;
    *c = (struct coder){.range = UINT32_MAX, .in = in, .in_end = in + n};
    pthread_once(&tables_once, make_tables);
    /* The encoder's first byte never carries anything but 0. */
    if (n < 5 || in[0] != 0) {
        c->failed = true;
        return;
    }
    for (int i = 1; i < 5; i++)
        c->code = c->code << 8 | in[i];
    c->in += 5;
}

bool coder_decode_end(const struct coder *c)
{
    return !c->failed && c->in == c->in_end;
}

void bit_model_init(struct bit_model *m, uint32_t p1, uint32_t trust)
{
    assert(trust > 0 && trust < BIT_MODEL_SEEN_MAX);
    const uint32_t low = BIT_MODEL_CERTAIN, high = 65536 - BIT_MODEL_CERTAIN;
    *m = (struct bit_model){.p1 = (p1 < low ? low : p1 > high ? high : p1) << 12, .seen = trust};
}

void mixer_init(struct mixer *m, int inputs)
{
    assert(inputs > 0 && inputs <= MIXER_INPUTS_MAX);
    memset(m, 0, sizeof *m);
    for (int i = 0; i < inputs; i++)
        m->weight[i] = 65536 / inputs;
}
