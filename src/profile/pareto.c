/* pareto.c - see pareto.h. */
#include "profile/pareto.h"

#include <math.h>

/* The kept one that lacks most, -1 when all are on the front. */
static int farthest(const double *cost, const double *accuracy, int n, const bool *kept)
{
    int worst = -1;
    double most = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; kept[i] && k < n; k++)
            if (kept[k] && cost[k] <= cost[i] && accuracy[k] - accuracy[i] > most) {
                most = accuracy[k] - accuracy[i];
                worst = i;
            }
    return worst;
}

int pareto_prune(const double *cost, const double *accuracy, int n, double part, bool *kept)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += kept[i];
    for (int drop = (int)ceil(part * count); drop > 0 && count > PARETO_KEEP_MIN; drop--) {
        int i = farthest(cost, accuracy, n, kept);
        if (i < 0)
            break;
        kept[i] = false;
        count--;
    }
    return count;
}
