/* controller_table.c - the table's YAML form and its values between the points. */
#include "uplink/controller_table.h"

#include <math.h>

#include "base/file.h"
#include "base/yaml.h"
#include "flow/records.h"

/* ---- reading ---- */

static enum status read_field(const struct yaml_doc *d, const yaml_node *map, const char *key,
                              double min, double max, double *ret, struct error *err)
{
    const yaml_node *n = yaml_get(d, map, key);
    if (!n)
        return yaml_fail(d, map, err, "'%s' is missing", key);
    return yaml_number(d, n, min, max, ret, err);
}

/* Exactly `count` numbers, or with *count 0 from 1 to count_max of them. */
static enum status read_numbers(const struct yaml_doc *d, const yaml_node *list, const char *what,
                                double min, double max, int count_max, int *count, double *ret,
                                struct error *err)
{
    size_t n = yaml_is_list(list) ? yaml_count(list) : 0;
    if (*count > 0 && n != (size_t)*count)
        return yaml_fail(d, list, err, "%s is a list of %d numbers here", what, *count);
    if (n < 1 || n > (size_t)count_max)
        return yaml_fail(d, list, err, "%s is a list of 1 to %d numbers", what, count_max);
    for (size_t i = 0; i < n; i++) {
        enum status st = yaml_number(d, yaml_value(d, list, i), min, max, &ret[i], err);
        if (st != ST_OK)
            return st;
    }
    *count = (int)n;
    return ST_OK;
}

static enum status read_axis(const struct yaml_doc *d, const yaml_node *root, const char *key,
                             double min, double max, int count_max, int *count, double *ret,
                             struct error *err)
{
    const yaml_node *list = yaml_get(d, root, key);
    *count = 0;
    enum status st = read_numbers(d, list ? list : root, key, min, max, count_max, count, ret, err);
    for (int i = 1; st == ST_OK && i < *count; i++)
        if (!(ret[i] > ret[i - 1]))
            st = yaml_fail(d, yaml_value(d, list, (size_t)i), err, "%s must rise", key);
    return st;
}

static enum status read_side(const struct yaml_doc *d, const yaml_node *root, const char *key,
                             int *ret, struct error *err)
{
    double v;
    enum status st = read_field(d, root, key, 16, FRAME_SIDE_MAX, &v, err);
    if (st == ST_OK && v != floor(v))
        st = yaml_fail(d, yaml_get(d, root, key), err, "%s is a whole number", key);
    if (st == ST_OK)
        *ret = (int)v;
    return st;
}

static enum status read_accuracy(const struct yaml_doc *d, const yaml_node *size,
                                 const struct controller_table *t, struct controller_size *ret,
                                 struct error *err)
{
    const yaml_node *lists = yaml_get(d, size, "accuracy");
    if (!yaml_is_list(lists) || yaml_count(lists) != (size_t)t->share_count)
        return yaml_fail(d, lists ? lists : size, err,
                         "accuracy is a list of %d lists here, one a share", t->share_count);
    for (int s = 0; s < t->share_count; s++) {
        int count = t->rate_count;
        enum status st = read_numbers(d, yaml_value(d, lists, (size_t)s), "accuracy", 0, 1,
                                      CONTROLLER_RATES_MAX, &count, ret->accuracy[s], err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status read_size(const struct yaml_doc *d, const yaml_node *map,
                             struct controller_table *t, struct error *err)
{
    static const char *const keys[] = {"scale", "trainable_fps", "kbps", "accuracy"};
    struct controller_size *s = &t->sizes[t->size_count];
    if (!yaml_is_map(map))
        return yaml_fail(d, map, err, "a size is a mapping with scale, trainable_fps, ...");
    enum status st = yaml_check_keys(d, map, keys, sizeof keys / sizeof keys[0], err);
    if (st == ST_OK)
        st = read_field(d, map, "scale", CONTROLLER_SCALE_MIN, 1, &s->scale, err);
    if (st == ST_OK && t->size_count > 0 && !(s->scale < s[-1].scale))
        st = yaml_fail(d, yaml_get(d, map, "scale"), err, "scales must fall");
    if (st == ST_OK)
        st = read_field(d, map, "trainable_fps", 1e-6, 1e6, &s->trainable_fps, err);
    int count = t->rate_count;
    const yaml_node *kbps = yaml_get(d, map, "kbps");
    if (st == ST_OK)
        st = read_numbers(d, kbps ? kbps : map, "kbps", 1e-3, CONTROLLER_KBPS_MAX,
                          CONTROLLER_RATES_MAX, &count, s->kbps, err);
    for (int i = 1; st == ST_OK && i < count; i++)
        if (s->kbps[i] < s->kbps[i - 1])
            st = yaml_fail(d, yaml_value(d, kbps, (size_t)i), err, "kbps must not fall");
    if (st == ST_OK)
        st = read_accuracy(d, map, t, s, err);
    if (st == ST_OK)
        t->size_count++;
    return st;
}

static enum status read_sizes(const struct yaml_doc *d, const yaml_node *root,
                              struct controller_table *t, struct error *err)
{
    const yaml_node *list = yaml_get(d, root, "sizes");
    size_t n = yaml_is_list(list) ? yaml_count(list) : 0;
    if (n < 1 || n > CONTROLLER_SIZES_MAX)
        return yaml_fail(d, list ? list : root, err, "sizes is a list of 1 to %d mappings",
                         CONTROLLER_SIZES_MAX);
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < n; i++)
        st = read_size(d, yaml_value(d, list, i), t, err);
    return st;
}

static enum status read_root(const struct yaml_doc *d, struct controller_table *t,
                             struct error *err)
{
    static const char *const keys[] = {"width", "height", "rate_factor", "slack",
                                       "fps",   "shares", "sizes"};
    const yaml_node *root = yaml_root(d);
    if (!yaml_is_map(root))
        return yaml_fail(d, root, err, "a transmission table is a mapping with width, height, ...");
    enum status st = yaml_check_keys(d, root, keys, sizeof keys / sizeof keys[0], err);
    if (st == ST_OK)
        st = read_side(d, root, "width", &t->width, err);
    if (st == ST_OK)
        st = read_side(d, root, "height", &t->height, err);
    if (st == ST_OK)
        st = read_field(d, root, "rate_factor", 0, 51, &t->rate_factor, err);
    if (st == ST_OK)
        st = read_field(d, root, "slack", 0, 1, &t->slack, err);
    if (st == ST_OK)
        st = read_axis(d, root, "fps", CONTROLLER_FPS_MIN, CONTROLLER_FPS_MAX, CONTROLLER_RATES_MAX,
                       &t->rate_count, t->fps, err);
    if (st == ST_OK)
        st = read_axis(d, root, "shares", 1e-6, CONTROLLER_SHARE_MAX, CONTROLLER_SHARES_MAX,
                       &t->share_count, t->share, err);
    return st == ST_OK ? read_sizes(d, root, t, err) : st;
}

enum status controller_table_read(const void *text, size_t n, const char *name,
                                  struct controller_table *ret, struct error *err)
{
    struct yaml_doc *d;
    struct controller_table t = {0};
    enum status st = yaml_open(text, n, name, &d, err);
    if (st == ST_OK) {
        st = read_root(d, &t, err);
        yaml_close(&d);
    }
    if (st == ST_OK)
        *ret = t;
    return st;
}

enum status controller_table_open(const char *path, struct controller_table *ret, struct error *err)
{
    struct buf text;
    buf_init(&text);
    enum status st = file_read(path, YAML_BYTES_MAX, &text, err);
    if (st == ST_OK)
        st = controller_table_read(text.data, text.size_bytes, path, ret, err);
    buf_clear(&text);
    return st;
}

/* ---- writing ---- */

static void put_numbers(struct buf *out, const double *v, int count)
{
    for (int i = 0; i < count; i++)
        buf_printf(out, "%s%.9g", i ? ", " : "[", v[i]);
    buf_printf(out, "]\n");
}

static void put_size(struct buf *out, const struct controller_table *t, int size)
{
    const struct controller_size *s = &t->sizes[size];
    buf_printf(out, "  - scale: %.9g\n    trainable_fps: %.9g\n    kbps: ", s->scale,
               s->trainable_fps);
    put_numbers(out, s->kbps, t->rate_count);
    buf_printf(out, "    accuracy:\n");
    for (int i = 0; i < t->share_count; i++) {
        buf_printf(out, "      - ");
        put_numbers(out, s->accuracy[i], t->rate_count);
    }
}

void controller_table_write(const struct controller_table *t, struct buf *out)
{
    buf_printf(out, "width: %d\nheight: %d\nrate_factor: %.9g\nslack: %.9g\nfps: ", t->width,
               t->height, t->rate_factor, t->slack);
    put_numbers(out, t->fps, t->rate_count);
    buf_printf(out, "shares: ");
    put_numbers(out, t->share, t->share_count);
    buf_printf(out, "sizes:\n");
    for (int i = 0; i < t->size_count; i++)
        put_size(out, t, i);
}

/* ---- between the points ---- */

/* Index of the point at or before x, and how far x is on the way to the next one, 0..1. */
static int place(const double *axis, int count, double x, double *ret_part)
{
    int i = 0;
    *ret_part = 0;
    while (i + 1 < count && x >= axis[i + 1])
        i++;
    if (i + 1 < count && x > axis[i])
        *ret_part = (x - axis[i]) / (axis[i + 1] - axis[i]);
    return i;
}

/* v[i] to v[i + 1]; the latter is not read where there is none. */
static double between(const double *v, int i, double part)
{
    return part > 0 ? v[i] + part * (v[i + 1] - v[i]) : v[i];
}

double controller_table_kbps(const struct controller_table *t, int size, double fps)
{
    const double *kbps = t->sizes[size].kbps;
    if (fps < t->fps[0])
        return kbps[0] * fps / t->fps[0];
    double part;
    int i = place(t->fps, t->rate_count, fps, &part);
    return between(kbps, i, part);
}

double controller_table_accuracy(const struct controller_table *t, int size, double share,
                                 double group_fps)
{
    const struct controller_size *s = &t->sizes[size];
    double rate_part, share_part;
    int r = place(t->fps, t->rate_count, group_fps, &rate_part);
    int i = place(t->share, t->share_count, share, &share_part);
    double low = between(s->accuracy[i], r, rate_part);
    if (!(share_part > 0))
        return low;
    return low + share_part * (between(s->accuracy[i + 1], r, rate_part) - low);
}
