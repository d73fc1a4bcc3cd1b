/* pairs.c - counting pairs. */
#include "group/pairs.h"

static struct group_pairs with_rates(struct group_pairs p)
{
    p.precision = p.found ? (double)p.both / (double)p.found : 1;
    p.recall = p.true_pairs ? (double)p.both / (double)p.true_pairs : 1;
    return p;
}

struct group_pairs group_pairs_compare(const uint64_t *found, const uint64_t *truth, int n)
{
    struct group_pairs p = {0};
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            int in_found = found[i] && found[i] == found[j];
            int in_truth = truth[i] && truth[i] == truth[j];
            p.found += (uint64_t)in_found;
            p.true_pairs += (uint64_t)in_truth;
            p.both += (uint64_t)(in_found && in_truth);
        }
    return with_rates(p);
}

struct group_pairs group_pairs_add(struct group_pairs a, struct group_pairs b)
{
    a.found += b.found;
    a.true_pairs += b.true_pairs;
    a.both += b.both;
    return with_rates(a);
}
