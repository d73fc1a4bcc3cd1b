/* allocator_plan.c - the best division of slots among concave gain curves, with a weight on the
 * lowest accuracy.
 *
 * Whoever wants the lowest accuracy at m must give each curve the fewest slots that reach m; giving
 * the lowest one slot after the other passes through all these floors, in order of m. For each of
 * them the slots that are left go to the largest gains, which is best for concave curves. The best
 * of these plans is the best there is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/allocator.h"

/* A heap of curves by what their next slot is worth. */
struct heap {
    int *items, count;
    const double *key; /* of each curve */
};

/* Larger keys first, then the earlier curve: ties are decided the same way always. */
static bool before(const struct heap *h, int a, int b)
{
    return a < b ? h->key[a] >= h->key[b] : h->key[a] > h->key[b];
}

static void sink(struct heap *h, int at)
{
    for (;;) {
        int best = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < h->count; child++)
            if (before(h, h->items[child], h->items[best]))
                best = child;
        if (best == at)
            return;
        int swapped = h->items[at];
        h->items[at] = h->items[best];
        h->items[best] = swapped;
        at = best;
    }
}

static void heapify(struct heap *h, int count)
{
    h->count = count;
    for (int i = 0; i < count; i++)
        h->items[i] = i;
    for (int i = count / 2; i-- > 0;)
        sink(h, i);
}

struct division {
    const struct allocator_curve *curves;
    int count, slots;
    int *floor, *slots_of, *best; /* [count] */
    double *raised;        /* accuracy at the floors, negated: the heap's largest is lowest */
    double *level, *worth; /* accuracy and next slot's worth of the plan being made */
    struct heap by_worth, by_level;
};

static double gain_at(const struct division *d, int j, int slot)
{
    return slot < d->slots ? d->curves[j].gain[slot] : 0;
}

/* Members' sum of accuracies, and the lowest, of the floors with what is left given greedily. */
static double fill(struct division *d, int left, double fairness)
{
    double sum = 0, lowest = INFINITY, members = 0;
    for (int j = 0; j < d->count; j++) {
        d->slots_of[j] = d->floor[j];
        d->level[j] = -d->raised[j];
        d->worth[j] = d->curves[j].members * gain_at(d, j, d->floor[j]);
    }
    d->by_worth.key = d->worth;
    heapify(&d->by_worth, d->count);
    for (; left > 0; left--) {
        int j = d->by_worth.items[0];
        d->level[j] += gain_at(d, j, d->slots_of[j]++);
        d->worth[j] = d->curves[j].members * gain_at(d, j, d->slots_of[j]);
        sink(&d->by_worth, 0);
    }
    for (int j = 0; j < d->count; j++) {
        sum += d->curves[j].members * d->level[j];
        lowest = fmin(lowest, d->level[j]);
        members += d->curves[j].members;
    }
    return sum + fairness * members * lowest;
}

static void divide(struct division *d, int left, double fairness)
{
    double best = -INFINITY;
    d->by_level.key = d->raised;
    heapify(&d->by_level, d->count);
    for (;; left--) {
        double value = fill(d, left, fairness);
        if (value > best) {
            best = value;
            memcpy(d->best, d->slots_of, (size_t)d->count * sizeof *d->best);
        }
        int lowest = d->by_level.items[0];
        double gain = gain_at(d, lowest, d->floor[lowest]);
        if (left == 0 || fairness <= 0 || gain <= 0)
            return;
        d->floor[lowest]++;
        d->raised[lowest] -= gain;
        sink(&d->by_level, 0);
    }
}

static enum status check(const struct allocator_curve *curves, int count, int slots,
                         int *ret_floors, struct error *err)
{
    if (count < 1 || count > ALLOCATOR_JOBS_MAX || slots < 0 || slots > ALLOCATOR_SLOTS_MAX)
        return error_set(err, ST_INVALID, "%d groups and %d slots", count, slots);
    *ret_floors = 0;
    for (int j = 0; j < count; j++) {
        if (curves[j].members < 1 || curves[j].floor < 0)
            return error_set(err, ST_INVALID, "group %d has %d members, floor %d", j,
                             curves[j].members, curves[j].floor);
        *ret_floors += curves[j].floor;
        if (*ret_floors > slots)
            return error_set(err, ST_INVALID, "floors exceed the %d slots", slots);
    }
    return ST_OK;
}

static void start_at_floors(struct division *d)
{
    for (int j = 0; j < d->count; j++) {
        d->floor[j] = d->curves[j].floor;
        d->raised[j] = -d->curves[j].accuracy;
        for (int k = 0; k < d->floor[j]; k++)
            d->raised[j] -= d->curves[j].gain[k];
    }
}

enum status allocator_plan(const struct allocator_curve *curves, int count, int slots,
                           double fairness, int *ret_slots, struct error *err)
{
    int floors = 0;
    enum status st = check(curves, count, slots, &floors, err);
    if (st != ST_OK)
        return st;
    size_t n = (size_t)count;
    int *numbers = malloc(4 * n * sizeof *numbers);
    double *values = malloc(3 * n * sizeof *values);
    if (numbers && values) {
        struct division d = {.curves = curves,
                             .count = count,
                             .slots = slots,
                             .floor = numbers,
                             .slots_of = numbers + n,
                             .best = ret_slots,
                             .raised = values,
                             .level = values + n,
                             .worth = values + 2 * n,
                             .by_worth = {.items = numbers + 2 * n},
                             .by_level = {.items = numbers + 3 * n}};
        start_at_floors(&d);
        divide(&d, slots - floors, fairness);
    } else {
        st = error_set(err, ST_NOMEM, "no memory to plan %d groups", count);
    }
    free(numbers);
    free(values);
    return st;
}
