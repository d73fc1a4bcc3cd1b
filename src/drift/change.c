/* change.c - the histogram of ADWIN, and cumulative sums. */
#include "drift/change.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/names.h"

/* ---- ADWIN ---- */

void adwin_init(struct adwin *a, double delta)
{
    assert(delta > 0 && delta < 1);
    memset(a, 0, sizeof *a);
    a->delta = delta;
}

double adwin_mean(const struct adwin *a)
{
    return a->count ? a->sum / (double)a->count : 0;
}

/* Squared deviations that two groups have on top of their own when they become one. */
static double between(double sum_a, double n_a, double sum_b, double n_b)
{
    double d = sum_a / n_a - sum_b / n_b;
    return d * d * n_a * n_b / (n_a + n_b);
}

/* The two oldest buckets of a row become one of the next, the newest there. */
static void carry(struct adwin *a, int row)
{
    struct adwin_bucket *b = a->bucket[row];
    double n = (double)(1ull << row);
    struct adwin_bucket both = {b[0].sum + b[1].sum,
                                b[0].squares + b[1].squares + between(b[0].sum, n, b[1].sum, n)};
    a->filled[row] -= 2;
    memmove(b, b + 2, (size_t)a->filled[row] * sizeof *b);
    a->bucket[row + 1][a->filled[row + 1]++] = both;
    if (a->rows < row + 2)
        a->rows = row + 2;
}

static void drop_oldest(struct adwin *a)
{
    int row = a->rows - 1;
    struct adwin_bucket *b = a->bucket[row];
    uint64_t n = 1ull << row;
    a->count -= n;
    a->sum -= b[0].sum;
    a->squares -= b[0].squares;
    if (a->count > 0)
        a->squares -= between(b[0].sum, (double)n, a->sum, (double)a->count);
    a->squares = fmax(a->squares, 0);
    a->filled[row]--;
    memmove(b, b + 1, (size_t)a->filled[row] * sizeof *b);
    while (a->rows > 0 && a->filled[a->rows - 1] == 0)
        a->rows--;
}

static void insert(struct adwin *a, double value)
{
    if (a->count > 0)
        a->squares += between(a->sum, (double)a->count, value, 1);
    a->count++;
    a->sum += value;
    a->bucket[0][a->filled[0]++] = (struct adwin_bucket){value, 0};
    if (a->rows == 0)
        a->rows = 1;
    for (int row = 0; row < a->rows && a->filled[row] > ADWIN_ROW; row++) {
        if (row + 1 == ADWIN_ROWS_MAX) {
            drop_oldest(a);
            return;
        }
        carry(a, row);
    }
}

/* By how much the means of the older n_old values and of the rest differ beyond eps; 0 or less:
 * they do not. */
static double excess(const struct adwin *a, double sum_old, double n_old)
{
    double n = (double)a->count, n_new = n - n_old;
    double m = 1 / (1 / n_old + 1 / n_new), d = log(2 * log(n) / a->delta);
    double eps = sqrt(2 / m * (a->squares / n) * d) + 2 / (3 * m) * d;
    return fabs(sum_old / n_old - (a->sum - sum_old) / n_new) - eps;
}

/* The cut between two buckets that parts the window most clearly; false: nothing in it has changed.
 */
static bool find_cut(const struct adwin *a, struct change *ret)
{
    double sum = 0, n = 0, best = 0;
    for (int row = a->rows - 1; row >= 0; row--)
        for (int i = 0; i < a->filled[row]; i++) {
            double left = (double)a->count - n - (double)(1ull << row);
            sum += a->bucket[row][i].sum;
            n += (double)(1ull << row);
            if (n < ADWIN_PART_MIN || left < ADWIN_PART_MIN)
                continue;
            double here = excess(a, sum, n);
            if (here <= best)
                continue;
            best = here;
            *ret = (struct change){sum / n, (a->sum - sum) / left, (uint64_t)left};
        }
    return best > 0;
}

bool adwin_add(struct adwin *a, double value, struct change *ret)
{
    struct change c = {0};
    insert(a, value);
    if (!find_cut(a, &c))
        return false;
    *ret = c;
    while (find_cut(a, &c))
        drop_oldest(a);
    return true;
}

/* ---- Page and Hinkley ---- */

void page_hinkley_init(struct page_hinkley *p, double slack, double threshold, int count_min)
{
    *p = (struct page_hinkley){.slack = slack, .threshold = threshold, .count_min = count_min};
}

bool page_hinkley_add(struct page_hinkley *p, double value, struct change *ret)
{
    p->count++;
    p->since_least++;
    p->sum += value;
    p->excess += p->sum / (double)p->count - value - p->slack;
    if (p->excess <= p->least) {
        p->least = p->excess;
        p->since_least = 0;
        p->sum_at_least = p->sum;
    }
    if (p->count < (uint64_t)p->count_min || p->excess - p->least <= p->threshold)
        return false;
    uint64_t before = p->count - p->since_least;
    *ret = (struct change){.before = before ? p->sum_at_least / (double)before : 0,
                           .after = (p->sum - p->sum_at_least) / (double)p->since_least,
                           .since = p->since_least};
    page_hinkley_init(p, p->slack, p->threshold, p->count_min);
    return true;
}

/* ---- accuracies ---- */

enum change_detector change_detector_parse(const char *name)
{
    static const char *const names[] = {NULL, [CHANGE_OFF] = "off", [CHANGE_ADWIN] = "adwin",
                                        [CHANGE_PAGE_HINKLEY] = "page-hinkley"};
    return (enum change_detector)names_find(names, NAMES_COUNT(names), name, 0);
}

void accuracy_watch_init(struct accuracy_watch *w, enum change_detector detector, double fall_min)
{
    w->detector = detector;
    w->fall_min = fall_min;
    adwin_init(&w->adwin, 0.002);
    page_hinkley_init(&w->page_hinkley, fall_min / 2, 0.5, 10);
}

bool accuracy_watch_add(struct accuracy_watch *w, double accuracy, struct change *ret)
{
    struct change c = {0};
    bool changed = false;
    if (!isfinite(accuracy))
        return false;
    if (w->detector == CHANGE_ADWIN)
        changed = adwin_add(&w->adwin, accuracy, &c);
    else if (w->detector == CHANGE_PAGE_HINKLEY)
        changed = page_hinkley_add(&w->page_hinkley, accuracy, &c);
    if (!changed || c.before - c.after < w->fall_min)
        return false;
    *ret = c;
    adwin_init(&w->adwin, w->adwin.delta); /* what is left of the old would be cut off bit by bit */
    return true;
}
