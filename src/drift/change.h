/* change.h - whether the mean of a stream of numbers in 0..1 has changed: of a camera's accuracies
 * against the teacher's labels, one a labelled frame.
 *
 * Two detectors:
 *
 * ADWIN, Bifet and Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007: a
 * window that is as long as nothing in it has changed. It is cut wherever the means of its older
 * and newer part differ by more than eps = sqrt(2 / m * variance * ln(2 / d)) + 2 / (3 m) *
 * ln(2 / d), m the harmonic mean of the parts' sizes over 2, d = delta / ln(n) (section 3, the form
 * for bounded variance), and the older part is dropped. The window is an exponential histogram with
 * ADWIN_ROW buckets of each size (ADWIN2, section 4), so memory grows with the logarithm of its
 * length and the cuts that are tried lie between buckets. We differ in that windows stay below
 * 2^ADWIN_ROWS_MAX values, the oldest bucket is dropped beyond, and that no part may have fewer
 * than ADWIN_PART_MIN values.
 *
 * Page and Hinkley (Page, "Continuous Inspection Schemes", Biometrika 1954; Hinkley, "Inference
 * about the change-point from cumulative sum tests", Biometrika 1971): for falls only. With the
 * mean x_bar of all values so far, m = sum of (x_bar - x - slack), an alarm when m is more than
 * `threshold` above its least value; after an alarm it starts anew.
 *
 * Owns:    plain values, about 1 KiB.
 * Threads: one at a time.  Memory: nothing is allocated.  Time: none read.
 */
#ifndef ATTUNE_DRIFT_CHANGE_H
#define ATTUNE_DRIFT_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#define ADWIN_ROW 5 /* buckets of one size at most */
#define ADWIN_ROWS_MAX 20
#define ADWIN_PART_MIN 5

struct adwin_bucket {
    double sum, squares; /* of squares: sum of squared deviations from the bucket's mean */
};

struct adwin {
    double delta; /* chance of a false alarm at a value, 0..1 */
    int rows;
    int filled[ADWIN_ROWS_MAX];                                /* buckets of 2^row values */
    struct adwin_bucket bucket[ADWIN_ROWS_MAX][ADWIN_ROW + 1]; /* oldest first */
    uint64_t count;
    double sum, squares; /* of the window, as of a bucket */
};

void adwin_init(struct adwin *a, double delta);
double adwin_mean(const struct adwin *a); /* of the window; 0 for an empty one */

struct change {
    double before, after; /* means of both sides of the change point */
    uint64_t since;       /* it was so many values ago, as far as can be told */
};

/* True: the mean has changed, up or down, and what was before that is being dropped, bucket by
 * bucket. *ret is of the clearest cut. */
bool adwin_add(struct adwin *a, double value, struct change *ret);

struct page_hinkley {
    double slack, threshold;
    int count_min; /* values before an alarm can be raised */
    uint64_t count, since_least;
    double sum, sum_at_least, excess, least;
};

void page_hinkley_init(struct page_hinkley *p, double slack, double threshold, int count_min);

/* True: the mean has fallen. */
bool page_hinkley_add(struct page_hinkley *p, double value, struct change *ret);

/* ---- of a camera's accuracies ---- */

enum change_detector { CHANGE_OFF = 1, CHANGE_ADWIN, CHANGE_PAGE_HINKLEY };

/* "off", "adwin", "page-hinkley"; 0 for none. */
enum change_detector change_detector_parse(const char *name);

struct accuracy_watch {
    enum change_detector detector;
    double fall_min; /* smaller falls are no news */
    struct adwin adwin;
    struct page_hinkley page_hinkley;
};

/* With the settings that docs/benchmarks.md measured: delta 0.002; slack fall_min / 2, threshold
 * 0.5, at least 10 values. */
void accuracy_watch_init(struct accuracy_watch *w, enum change_detector detector, double fall_min);

/* True: it fell by fall_min or more; both detectors start anew after that. NaN is passed over. */
bool accuracy_watch_add(struct accuracy_watch *w, double accuracy, struct change *ret);

#endif
