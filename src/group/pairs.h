/* pairs.h - how well a grouping agrees with a known one: precision and recall over pairs of
 * cameras, as clusterings are compared.
 *
 * A pair counts as found when both cameras are in one group, as true when both are in one true
 * group. Precision: how many of the found pairs are true; recall: how many of the true ones are
 * found. Where there is none to count, it is 1.
 *
 * Threads: pure. Memory: none. Time: quadratic in n.
 */
#ifndef ATTUNE_GROUP_PAIRS_H
#define ATTUNE_GROUP_PAIRS_H

#include <stdint.h>

struct group_pairs {
    uint64_t found, true_pairs, both;
    double precision, recall; /* 0..1 */
};

/* found[n], truth[n]: any numbers, equal for cameras of one group; 0: in none, and in no pair. */
struct group_pairs group_pairs_compare(const uint64_t *found, const uint64_t *truth, int n);

/* Sums up several comparisons (windows, runs). */
struct group_pairs group_pairs_add(struct group_pairs a, struct group_pairs b);

#endif
