/* Retraining profiles in both forms: any bytes give a trace in order, or an error. */
#include <assert.h>

#include "eval/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct trace *t)
{
    for (int i = 0; i < t->count; i++) {
        const struct trace_row *r = &t->rows[i];
        assert(r->camera >= 0 && r->camera < t->camera_count);
        assert(r->start >= 0 && r->start <= 1 && r->end >= 0 && r->end <= 1 && r->compute_s > 0);
        assert(i == 0 || r->camera > r[-1].camera ||
               (r->camera == r[-1].camera && r->window >= r[-1].window));
    }
    trace_clear(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct trace t;
    struct error err;
    if (trace_read_csv(data, n, "fuzz", &t, &err) == ST_OK)
        check(&t);
    if (trace_read_json(data, n, "fuzz", &t, &err) == ST_OK)
        check(&t);
    return 0;
}
