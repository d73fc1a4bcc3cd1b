#include "share/pacer.h"

#include <assert.h>
#include <math.h>

/* What was used since t_us comes before the bound on credit: a step may be longer than that. */
static void advance(struct pacer *p, uint64_t used_us, uint64_t now_us)
{
    assert(now_us >= p->t_us);
    double debt_us = p->debt_us + (double)used_us - p->share * (double)(now_us - p->t_us);
    p->debt_us = fmax(debt_us, -p->share * PACER_CREDIT_US);
    p->t_us = now_us;
}

void pacer_init(struct pacer *p, double share, uint64_t now_us)
{
    assert(share > 0);
    *p = (struct pacer){.share = share, .t_us = now_us};
}

void pacer_set(struct pacer *p, double share, uint64_t now_us)
{
    assert(share > 0);
    advance(p, 0, now_us);
    if (share == p->share)
        return;
    p->share = share;
    p->debt_us = fmax(0, fmin(p->debt_us, share * PACER_FORGIVE_US));
}

void pacer_charge(struct pacer *p, uint64_t used_us, uint64_t now_us)
{
    advance(p, used_us, now_us);
}

uint64_t pacer_due_us(const struct pacer *p)
{
    return p->debt_us > 0 ? p->t_us + (uint64_t)ceil(p->debt_us / p->share) : p->t_us;
}
