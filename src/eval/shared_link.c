/* shared_link.c - see shared_link.h. */
#include "eval/shared_link.h"

#include <math.h>

#define BITS_LEAST 1e-6

static double waiting(const struct shared_link_user *u)
{
    return u->offered - u->sent;
}

/* Weights of those who wait, and how long the first of them still needs. */
static double weigh(double rate_kbps, struct shared_link_user *const *users, int count,
                    double *ret_first_s)
{
    double weights = 0, least = INFINITY;
    for (int i = 0; i < count; i++) {
        if (waiting(users[i]) < BITS_LEAST)
            continue;
        weights += users[i]->weight;
        least = fmin(least, waiting(users[i]) / users[i]->weight);
    }
    *ret_first_s = least * weights / (rate_kbps * 1e3);
    return weights;
}

void shared_link_advance(double rate_kbps, struct shared_link_user *const *users, int count,
                         double dt_s)
{
    for (int step = 0; step < count && dt_s > 0; step++) {
        double first_s, weights = weigh(rate_kbps, users, count, &first_s);
        if (weights <= 0)
            return;
        double took_s = fmin(first_s, dt_s), bits = rate_kbps * 1e3 * took_s / weights;
        for (int i = 0; i < count; i++)
            if (waiting(users[i]) >= BITS_LEAST)
                users[i]->sent = fmin(users[i]->offered, users[i]->sent + bits * users[i]->weight);
        dt_s -= took_s;
    }
}
