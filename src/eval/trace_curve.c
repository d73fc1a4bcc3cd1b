/* trace_curve.c - share-throughput and inference curves from tables. */
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "eval/trace.h"

static int by_share(const void *a, const void *b)
{
    const struct schedule_point *x = a, *y = b;
    return (x->share > y->share) - (x->share < y->share);
}

/* scale: what the share column is multiplied by; below 0: -scale is divided by the column. */
static enum status read_points(const struct csv *c, int share, double scale, int value, double most,
                               struct trace_curve *ret, struct error *err)
{
    if (c->row_count < 1 || c->row_count > SCHEDULE_POINTS_MAX)
        return error_set(err, ST_LIMIT, "%s has %d points, 1 to %d can be used", c->name,
                         c->row_count, SCHEDULE_POINTS_MAX);
    for (int i = 0; i < c->row_count; i++) {
        double x, y;
        enum status st = csv_number(c, i, share, 1e-6, 1e6, &x, err);
        if (st == ST_OK)
            st = csv_number(c, i, value, 0, most, &y, err);
        if (st != ST_OK)
            return st;
        ret->points[i] = (struct schedule_point){scale > 0 ? x * scale : -scale / x, y};
    }
    qsort(ret->points, (size_t)c->row_count, sizeof *ret->points, by_share);
    for (int i = 1; i < c->row_count; i++)
        if (ret->points[i].share <= ret->points[i - 1].share)
            return error_set(err, ST_FORMAT, "%s gives the share %g twice", c->name,
                             ret->points[i].share);
    ret->curve.count = c->row_count;
    ret->curve.points = ret->points;
    return ST_OK;
}

/* No share, no throughput: below the first share that was measured it is taken as linear. */
static void begin_at_nothing(struct trace_curve *c)
{
    if (c->curve.count == SCHEDULE_POINTS_MAX)
        return;
    memmove(c->points + 1, c->points, (size_t)c->curve.count * sizeof *c->points);
    c->points[0] = (struct schedule_point){0, 0};
    c->curve.count++;
}

enum status trace_open_throughput(const char *path, struct trace_curve *ret, struct error *err)
{
    static const char *const shares[] = {"share", NULL}, *const percents[] = {"gpu_percent", NULL},
                             *const values[] = {"throughput", "relative_throughput", NULL};
    struct csv c;
    enum status st = csv_open(path, &c, err);
    if (st != ST_OK)
        return st;
    int share = csv_column(&c, shares), value;
    double scale = share < 0 ? 0.01 : 1;
    st = share < 0 ? csv_need_column(&c, percents, &share, err) : ST_OK;
    if (st == ST_OK)
        st = csv_need_column(&c, values, &value, err);
    if (st == ST_OK)
        st = read_points(&c, share, scale, value, 1e6, ret, err);
    ret->curve.kind = SCHEDULE_LINEAR;
    if (st == ST_OK)
        begin_at_nothing(ret);
    csv_clear(&c);
    return st;
}

enum status trace_open_inference(const char *path, double demand, struct trace_curve *ret,
                                 struct error *err)
{
    static const char *const shares[] = {"share", NULL}, *const intervals[] = {"subsampling", NULL},
                             *const values[] = {"factor", "c1", NULL};
    struct csv c;
    enum status st = csv_open(path, &c, err);
    if (st != ST_OK)
        return st;
    int share = csv_column(&c, shares), value;
    bool direct = share >= 0;
    st = direct ? ST_OK : csv_need_column(&c, intervals, &share, err);
    if (st == ST_OK)
        st = csv_need_column(&c, values, &value, err);
    if (st == ST_OK)
        st = read_points(&c, share, direct ? 1 : -demand, value, 1, ret, err);
    ret->curve.kind = direct ? SCHEDULE_LINEAR : SCHEDULE_INTERVAL;
    csv_clear(&c);
    return st;
}
