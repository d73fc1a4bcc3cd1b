/* plot.h - a line chart as a PNG file: several named series over seconds.
 *
 * Threads: no shared state.
 * Memory:  one picture of width x height during the call.
 * Errors:  ST_INVALID (sizes, counts, nothing finite to draw), ST_NOMEM.
 */
#ifndef ATTUNE_EVAL_PLOT_H
#define ATTUNE_EVAL_PLOT_H

#include "base/buf.h"
#include "base/error.h"

#define PLOT_SERIES_MAX 12
#define PLOT_POINTS_MAX 1000000

struct plot_series {
    const char *name; /* in the legend, UTF-8 */
    const double *x;  /* [count], growing */
    const double *y;  /* [count]; NaN (and 1e15 and more) leaves a gap */
    size_t count;
};

struct plot_options {
    const char *title, *x_label, *y_label; /* NULL for none; x_label defaults to "seconds" */
    int width, height;                     /* default 1000 x 500; 200..4000 */
    double y_min, y_max;                   /* default NaN: from the data; 1e15 is the most */
};

void plot_options_init(struct plot_options *o);

/* Appends the PNG file to *out. options may be NULL. */
enum status plot_png(const struct plot_series *series, int count,
                     const struct plot_options *options, struct buf *out, struct error *err);

/* The same into a file, whole or not at all. */
enum status plot_png_file(const struct plot_series *series, int count,
                          const struct plot_options *options, const char *path, struct error *err);

#endif
