/* signature.h - a camera's present conditions as a short vector: a cheap filter for whom it may
 * share a model with, before anything is evaluated.
 *
 * It is made of the mean summary of the last frames (summary.h): the square roots of the class
 * shares, the confidence and the picture's features, each divided by a scale. The distance of two
 * signatures is Euclid's: of the shares that is, but for the factor, Hellinger's distance between
 * histograms, which is bounded and needs no class to be present. The scales make the typical
 * difference between two conditions (day, dusk, night, rain, fog, snow) at one camera about 1 for
 * each feature, while the class shares, that tell the view more than the conditions, weigh less.
 * At four cameras of the town under seven conditions, as its student answers: the same condition at
 * two cameras 0.3 to 1.5 apart (mean 0.8), different ones at least 1.1 (means 1.7 to 5.7).
 *
 * A mean of signatures is again one that can be compared: what a group is like.
 *
 * Owns:    plain values. As bytes: SIGNATURE_VALUES float32, little-endian, by that order.
 * Threads: pure functions.
 */
#ifndef ATTUNE_DRIFT_SIGNATURE_H
#define ATTUNE_DRIFT_SIGNATURE_H

#include "drift/summary.h"

/* Shares, confidence (0 when not known), features; each scaled. */
_Static_assert(SIGNATURE_VALUES == DRIFT_VALUES, "a signature has a summary's numbers");

void signature_of(const struct drift_summary *mean, struct signature *ret);

/* All finite: may be compared. What comes from outside must be checked. */
bool signature_is_valid(const struct signature *s);

double signature_distance(const struct signature *a, const struct signature *b);

#endif
