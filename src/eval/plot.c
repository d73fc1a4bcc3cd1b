/* Cairo draws, libpng's writer behind it makes the file. Axis ticks are the multiples of 1, 2 or 5
 * times a power of ten that give four to ten of them. */
#include "eval/plot.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cairo.h>

#include "base/file.h"

#define MARGIN_LEFT 68
#define MARGIN_RIGHT 20
#define MARGIN_TOP 64
#define MARGIN_BOTTOM 54
#define FONT_SIZE 13
#define TICKS_WANTED 6
#define TICKS_MAX 50

struct range {
    double min, max;
};

struct chart {
    cairo_t *cr;
    const struct plot_options *options;
    struct range x, y;
    double left, top, width, height; /* of the plot area, pixels */
};

/* Okabe and Ito's colours, which stay apart for the colour-blind, in an order that suits a light
 * background. */
static const double colors[PLOT_SERIES_MAX][3] = {
    {0.00, 0.45, 0.70}, {0.84, 0.37, 0.00}, {0.00, 0.62, 0.45}, {0.80, 0.47, 0.65},
    {0.90, 0.62, 0.00}, {0.34, 0.71, 0.91}, {0.20, 0.20, 0.20}, {0.60, 0.45, 0.10},
    {0.45, 0.25, 0.60}, {0.60, 0.60, 0.60}, {0.70, 0.10, 0.20}, {0.30, 0.50, 0.20},
};

void plot_options_init(struct plot_options *o)
{
    *o = (struct plot_options){
        .x_label = "seconds", .width = 1000, .height = 500, .y_min = NAN, .y_max = NAN};
}

static enum status check_options(const struct plot_options *o, struct error *err)
{
    if (o->width < 200 || o->width > 4000 || o->height < 200 || o->height > 4000)
        return error_set(err, ST_INVALID, "a chart of %d x %d: each side must be 200 to 4000",
                         o->width, o->height);
    if (fabs(o->y_min) >= 1e15 || fabs(o->y_max) >= 1e15 || o->y_min >= o->y_max)
        return error_set(err, ST_INVALID, "a chart with y from %g to %g", o->y_min, o->y_max);
    return ST_OK;
}

/* Values that cairo's coordinates and the ticks can cope with; others leave a gap as NaN does. */
static bool drawable(double x, double y)
{
    return fabs(x) < 1e15 && fabs(y) < 1e15;
}

static void widen(struct range *r, double v)
{
    r->min = fmin(r->min, v);
    r->max = fmax(r->max, v);
}

/* Extent of the points that can be drawn; false when there are none. */
static bool extent(const struct plot_series *series, int count, struct range *x, struct range *y)
{
    *x = *y = (struct range){INFINITY, -INFINITY};
    for (int s = 0; s < count; s++) {
        for (size_t i = 0; i < series[s].count; i++) {
            if (!drawable(series[s].x[i], series[s].y[i]))
                continue;
            widen(x, series[s].x[i]);
            widen(y, series[s].y[i]);
        }
    }
    return x->min <= x->max;
}

/* 1, 2 or 5 times a power of ten. */
static double tick_step(struct range r)
{
    double raw = (r.max - r.min) / TICKS_WANTED;
    double power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

/* Never empty, and not so narrow that doubles cannot tell its ticks apart. */
static void make_drawable(struct range *r)
{
    r->max = fmax(r->min, r->max); /* a wanted bound may lie beyond all data */
    double least = 1e-9 * fmax(fabs(r->min), fabs(r->max));
    if (r->max - r->min <= least) {
        double pad = fmax(fabs(r->min) * 0.1, 0.5);
        r->min -= pad;
        r->max += pad;
    }
}

static void round_out(struct range *r)
{
    double step = tick_step(*r);
    r->min = floor(r->min / step + 1e-9) * step;
    r->max = ceil(r->max / step - 1e-9) * step;
}

static double at_x(const struct chart *c, double v)
{
    return c->left + (v - c->x.min) / (c->x.max - c->x.min) * c->width;
}

static double at_y(const struct chart *c, double v)
{
    return c->top + c->height - (v - c->y.min) / (c->y.max - c->y.min) * c->height;
}

/* align 0: from x on, 0.5: centred, 1: up to x. */
static void put_text(cairo_t *cr, double x, double y, double align, const char *text)
{
    cairo_text_extents_t e;
    cairo_text_extents(cr, text, &e);
    cairo_move_to(cr, x - align * e.x_advance, y);
    cairo_show_text(cr, text);
}

static void tick_text(char *text, size_t n, double v, double step)
{
    if (fabs(v) < step / 1000)
        v = 0; /* no "-0" */
    int decimals = (int)fmin(fmax(-floor(log10(step) + 1e-9), 0), 6);
    bool plain = fabs(v) < 1e7 && step >= 1e-6;
    snprintf(text, n, plain ? "%.*f" : "%.*g", plain ? decimals : 4, v);
}

static void grid_line(cairo_t *cr, double x0, double y0, double x1, double y1)
{
    cairo_set_source_rgb(cr, 0.87, 0.87, 0.87);
    cairo_set_line_width(cr, 1);
    cairo_move_to(cr, round(x0) + 0.5, round(y0) + 0.5);
    cairo_line_to(cr, round(x1) + 0.5, round(y1) + 0.5);
    cairo_stroke(cr);
    cairo_set_source_rgb(cr, 0.25, 0.25, 0.25);
}

static void draw_x_axis(const struct chart *c)
{
    double step = tick_step(c->x), first = ceil(c->x.min / step - 1e-9);
    for (int i = 0; i < TICKS_MAX && (first + i) * step <= c->x.max + step * 1e-6; i++) {
        double v = (first + i) * step, x = at_x(c, v);
        char text[48];
        tick_text(text, sizeof text, v, step);
        grid_line(c->cr, x, c->top, x, c->top + c->height + 4);
        put_text(c->cr, x, c->top + c->height + 20, 0.5, text);
    }
    if (c->options->x_label)
        put_text(c->cr, c->left + c->width / 2, c->top + c->height + 42, 0.5, c->options->x_label);
}

static void draw_y_axis(const struct chart *c)
{
    double step = tick_step(c->y), first = ceil(c->y.min / step - 1e-9);
    for (int i = 0; i < TICKS_MAX && (first + i) * step <= c->y.max + step * 1e-6; i++) {
        double v = (first + i) * step, y = at_y(c, v);
        char text[48];
        tick_text(text, sizeof text, v, step);
        grid_line(c->cr, c->left - 4, y, c->left + c->width, y);
        put_text(c->cr, c->left - 8, y + FONT_SIZE / 3.0, 1, text);
    }
    if (!c->options->y_label)
        return;
    cairo_save(c->cr);
    cairo_translate(c->cr, 18, c->top + c->height / 2);
    cairo_rotate(c->cr, -acos(-1) / 2);
    put_text(c->cr, 0, 0, 0.5, c->options->y_label);
    cairo_restore(c->cr);
}

static void use_color(cairo_t *cr, int index)
{
    cairo_set_source_rgb(cr, colors[index][0], colors[index][1], colors[index][2]);
}

/* A point between two gaps is drawn as a dot: a line needs two. */
static void draw_series(const struct chart *c, const struct plot_series *s, int index)
{
    use_color(c->cr, index);
    cairo_set_line_width(c->cr, 1.8);
    cairo_set_line_join(c->cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(c->cr, CAIRO_LINE_CAP_ROUND);
    bool pen_down = false;
    for (size_t i = 0; i < s->count; i++) {
        bool drawn = drawable(s->x[i], s->y[i]);
        double margin =
            c->y.max - c->y.min; /* far outside is the same line, within cairo's range */
        double y = fmin(fmax(s->y[i], c->y.min - margin), c->y.max + margin);
        if (drawn && pen_down)
            cairo_line_to(c->cr, at_x(c, s->x[i]), at_y(c, y));
        else if (drawn)
            cairo_move_to(c->cr, at_x(c, s->x[i]), at_y(c, y));
        if (drawn && !pen_down)
            cairo_line_to(c->cr, at_x(c, s->x[i]), at_y(c, y));
        pen_down = drawn;
        if (i % 4096 == 4095 && pen_down) { /* long paths are slow: stroke in pieces */
            cairo_stroke(c->cr);
            cairo_move_to(c->cr, at_x(c, s->x[i]), at_y(c, y));
        }
    }
    cairo_stroke(c->cr);
}

/* Names in a row above the plot area; what does not fit goes on in rows below, inside it. */
static void draw_legend(const struct chart *c, const struct plot_series *series, int count)
{
    double x = c->left, y = c->top - 12;
    for (int s = 0; s < count; s++) {
        const char *name = series[s].name ? series[s].name : "";
        cairo_text_extents_t e;
        cairo_text_extents(c->cr, name, &e);
        double wide = 26 + e.x_advance + 20;
        if (x > c->left && x + wide > c->left + c->width) {
            x = c->left;
            y += FONT_SIZE + 6;
        }
        cairo_set_source_rgba(c->cr, 1, 1, 1, 0.8);
        cairo_rectangle(c->cr, x - 4, y - FONT_SIZE, wide - 8, FONT_SIZE + 5);
        cairo_fill(c->cr);
        use_color(c->cr, s);
        cairo_set_line_width(c->cr, 3);
        cairo_move_to(c->cr, x, y - 4);
        cairo_line_to(c->cr, x + 20, y - 4);
        cairo_stroke(c->cr);
        cairo_set_source_rgb(c->cr, 0.1, 0.1, 0.1);
        put_text(c->cr, x + 26, y, 0, name);
        x += wide;
    }
}

static void draw(struct chart *c, const struct plot_series *series, int count)
{
    cairo_set_source_rgb(c->cr, 1, 1, 1);
    cairo_paint(c->cr);
    cairo_select_font_face(c->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c->cr, FONT_SIZE);
    draw_x_axis(c);
    draw_y_axis(c);
    cairo_save(c->cr);
    cairo_rectangle(c->cr, c->left, c->top - 2, c->width, c->height + 4);
    cairo_clip(c->cr);
    for (int s = 0; s < count; s++)
        draw_series(c, &series[s], s);
    cairo_restore(c->cr);
    draw_legend(c, series, count);
    cairo_set_source_rgb(c->cr, 0.1, 0.1, 0.1);
    cairo_set_font_size(c->cr, FONT_SIZE + 3);
    if (c->options->title)
        put_text(c->cr, c->left, 26, 0, c->options->title);
}

static cairo_status_t on_write(void *context, const unsigned char *data, unsigned n)
{
    struct buf *out = context;
    buf_put(out, data, n);
    return out->failed ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static enum status render(struct chart *c, const struct plot_series *series, int count,
                          struct buf *out, struct error *err)
{
    size_t before = out->size_bytes;
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, c->options->width, c->options->height);
    c->cr = cairo_create(surface);
    draw(c, series, count);
    cairo_status_t rc = cairo_status(c->cr);
    if (rc == CAIRO_STATUS_SUCCESS)
        rc = cairo_surface_write_to_png_stream(surface, on_write, out);
    cairo_destroy(c->cr);
    cairo_surface_destroy(surface);
    if (rc == CAIRO_STATUS_SUCCESS)
        return ST_OK;
    if (!out->failed)
        out->size_bytes = before;
    bool bad_text = rc == CAIRO_STATUS_INVALID_STRING;
    return error_set(err, bad_text ? ST_INVALID : ST_NOMEM, "cannot draw a chart: %s",
                     cairo_status_to_string(rc));
}

/* The wanted bounds, round numbers where none is wanted. */
static void fit_y(struct range *y, const struct plot_options *o)
{
    y->min = isnan(o->y_min) ? y->min : o->y_min;
    y->max = isnan(o->y_max) ? y->max : o->y_max;
    make_drawable(y);
    struct range rounded = *y;
    round_out(&rounded);
    y->min = isnan(o->y_min) ? rounded.min : y->min;
    y->max = isnan(o->y_max) ? rounded.max : y->max;
}

enum status plot_png(const struct plot_series *series, int count,
                     const struct plot_options *options, struct buf *out, struct error *err)
{
    struct plot_options o;
    plot_options_init(&o);
    if (options)
        o = *options;
    enum status st = check_options(&o, err);
    if (st != ST_OK)
        return st;
    if (count < 1 || count > PLOT_SERIES_MAX)
        return error_set(err, ST_INVALID, "a chart of %d series: 1 to %d", count, PLOT_SERIES_MAX);
    for (int s = 0; s < count; s++)
        if (series[s].count > PLOT_POINTS_MAX)
            return error_set(err, ST_INVALID, "a chart series of %zu points: %d at most",
                             series[s].count, PLOT_POINTS_MAX);
    struct chart c = {.options = &o,
                      .left = MARGIN_LEFT,
                      .top = MARGIN_TOP,
                      .width = o.width - MARGIN_LEFT - MARGIN_RIGHT,
                      .height = o.height - MARGIN_TOP - MARGIN_BOTTOM};
    if (!extent(series, count, &c.x, &c.y))
        return error_set(err, ST_INVALID, "a chart without a single finite point");
    make_drawable(&c.x);
    fit_y(&c.y, &o);
    return render(&c, series, count, out, err);
}

enum status plot_png_file(const struct plot_series *series, int count,
                          const struct plot_options *options, const char *path, struct error *err)
{
    struct buf png;
    buf_init(&png);
    enum status st = plot_png(series, count, options, &png, err);
    if (st == ST_OK)
        st = file_write(path, png.data, png.size_bytes, err);
    buf_clear(&png);
    return st;
}
