#include "nn/fixed.h"

#include <sys/mman.h>
#include <unistd.h>

/* What steps of oneDNN have without a slot is read while weights are prepared only. */
static bool reads_plain(const struct nn_step *s, int operand)
{
    if (!s->op)
        return true;
    bool packed = s->slot[operand] == NN_SLOT_WEIGHTS && nn_dnnl_op_own_bytes(s->op) > 0;
    return !packed && s->slot[operand] != NN_SLOT_NONE;
}

static bool is_read(const struct nn_plan *p, const float *values)
{
    for (int i = 0; i < p->step_count; i++)
        for (int k = 0; k < p->steps[i].operand_count; k++)
            if (p->steps[i].data[k] == values && reads_plain(&p->steps[i], k))
                return true;
    return false;
}

static size_t release(float *values, size_t count, uintptr_t page_bytes)
{
    uintptr_t first = ((uintptr_t)values + page_bytes - 1) / page_bytes * page_bytes;
    uintptr_t end = (uintptr_t)(values + count) / page_bytes * page_bytes;
    if (first >= end || madvise((void *)first, end - first, MADV_DONTNEED) != 0)
        return 0;
    return end - first;
}

size_t nn_fixed_release(struct nn_plan *p)
{
    size_t bytes = 0;
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < p->graph->param_count; i++) {
        const struct nn_param *w = &p->graph->params[i];
        if (!is_read(p, p->params + w->offset))
            bytes += release(p->params + w->offset, w->count, page_bytes);
    }
    return bytes;
}
