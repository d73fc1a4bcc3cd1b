/* model_diff.c - `attune model diff`: two versions of a model, tensor by tensor. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/model.h"
#include "cmd/model_version.h"
#include "delta/delta.h"

#define NAME "model diff"
#define BAR_CELLS 12
#define ROWS_SHOWN 20

static const char help[] =
    "usage: attune model diff A B [OPTIONS]\n\n"
    "Which weights moved between two versions of a model, and by how much. A and B are ONNX "
    "files,\n"
    "or checkpoints, snapshots and deltas: B then applies to A, and A to --model.\n\n"
    "  --model FILE  the ONNX file that A is a version of, when A is none itself\n"
    "  --all         every tensor, not only the 20 that changed most\n"
    "  --size WxH    of the input, where the file leaves it open\n"
    "  --json        as JSON, every tensor\n\n"
    "The change of a tensor is the length of its difference over the length of the tensor in A; "
    "the\n"
    "bar is that, the longest one full. Bytes are those of an update that carries what moved, in\n"
    "float16, as a server would send it.\n\n"
    "example: attune model diff student.onnx gate-1.onnx\n"
    "         attune model diff student.onnx /var/lib/attune/models/gate-1/v7.snap\n";

struct arguments {
    const char *files[2], *model;
    int size[2];
    bool all, json;
};

/* How one tensor moved. */
struct row {
    const struct nn_param *param; /* of A */
    size_t moved;
    double largest, rms, relative; /* relative: to A's norm; infinite for a tensor of zeros */
};

struct comparison {
    struct row *rows; /* sorted by relative change, largest first */
    int count;
    size_t coordinates, moved;
    size_t delta_bytes; /* 0: unknown, see delta_why */
    struct error delta_why;
};

static enum status open_pair(const struct arguments *a, struct model_version *x,
                             struct model_version *y, struct error *err)
{
    struct nn_model_options o = cmd_model_options(a->size);
    bool x_update = model_version_is_update(a->files[0]);
    if (x_update && !a->model)
        return error_set(err, ST_INVALID, "%s is no ONNX file: say with --model what it updates",
                         a->files[0]);
    enum status st = model_version_open(x_update ? a->model : a->files[0], &o, x, err);
    if (st == ST_OK && x_update)
        st = model_version_update(x, a->files[0], err);
    if (st != ST_OK)
        return st;
    if (!model_version_is_update(a->files[1]))
        return model_version_open(a->files[1], &o, y, err);
    st = model_version_copy(x, y, err);
    return st == ST_OK ? model_version_update(y, a->files[1], err) : st;
}

static bool same_tensor(const struct nn_param *a, const struct nn_param *b)
{
    return a->kind == b->kind && a->rank == b->rank && a->count == b->count &&
           memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

/* Both have the same tensors in the same order; names may differ. */
static enum status match(const struct nn_model *a, const struct nn_model *b, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(a), *h = nn_model_graph(b);
    if (g->param_count != h->param_count)
        return error_set(err, ST_UNSUPPORTED,
                         "not two versions of one model: %d tensors of parameters against %d",
                         g->param_count, h->param_count);
    for (int i = 0; i < g->param_count; i++)
        if (!same_tensor(&g->params[i], &h->params[i]))
            return error_set(err, ST_UNSUPPORTED,
                             "not two versions of one model: tensor '%.120s' of the first is not "
                             "'%.120s' of the second",
                             g->params[i].name, h->params[i].name);
    return ST_OK;
}

static void compare_tensor(const struct nn_param *p, const float *a, const float *b,
                           struct row *ret)
{
    double squares = 0, norm = 0;
    *ret = (struct row){.param = p};
    for (size_t i = p->offset; i < p->offset + p->count; i++) {
        double d = fabs((double)b[i] - (double)a[i]);
        ret->moved += memcmp(&a[i], &b[i], sizeof *a) != 0;
        ret->largest = d <= ret->largest ? ret->largest : d; /* NaN counts */
        squares += d * d;
        norm += (double)a[i] * (double)a[i];
    }
    ret->rms = p->count ? sqrt(squares / (double)p->count) : 0;
    ret->relative = squares == 0 ? 0 : sqrt(squares / norm);
}

static int by_change(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->relative != y->relative)
        return x->relative < y->relative ? 1 : -1;
    return x->param->offset < y->param->offset ? -1 : 1;
}

/* Mask of the trainable coordinates that moved; true when a statistic did. */
static bool moved_mask(const struct delta_model *dm, const float *a, const float *b, uint8_t *mask)
{
    bool statistics = false;
    for (size_t i = 0; i < dm->trainable_count + dm->stat_count; i++) {
        if (memcmp(&a[i], &b[i], sizeof *a) == 0)
            continue;
        if (i < dm->trainable_count)
            mask[i >> 3] |= (uint8_t)(1u << (i & 7));
        else
            statistics = true;
    }
    return statistics;
}

/* What an update from a to b, rounded as it would be, takes. */
static enum status delta_bytes(const struct nn_model *m, const float *a, const float *b,
                               size_t *ret, struct error *err)
{
    struct delta_model dm = {0};
    struct buf out;
    size_t count = nn_model_param_count(m);
    buf_init(&out);
    enum status st = delta_model_init(m, &dm, err);
    uint8_t *mask = calloc(mask_bytes(dm.trainable_count) + 1, 1);
    float *rounded = malloc((count + 1) * sizeof *rounded);
    if (st == ST_OK && (!mask || !rounded))
        st = error_set(err, ST_NOMEM, "no memory to compare");
    if (st == ST_OK) {
        memcpy(rounded, b, count * sizeof *rounded);
        bool statistics = moved_mask(&dm, a, b, mask);
        st = delta_round(&dm, mask, DELTA_STEP_FLOAT16, statistics, rounded, err);
        if (st == ST_OK)
            st = delta_encode(&dm, (struct delta_versions){1, 2}, a, rounded, mask,
                              DELTA_STEP_FLOAT16, statistics, &out, err);
    }
    if (st == ST_OK)
        *ret = out.size_bytes;
    free(mask);
    free(rounded);
    buf_clear(&out);
    delta_model_clear(&dm);
    return st;
}

static enum status compare(const struct model_version *x, const struct model_version *y,
                           struct comparison *c, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(x->model);
    enum status st = match(x->model, y->model, err);
    if (st != ST_OK)
        return st;
    c->rows = calloc((size_t)g->param_count + 1, sizeof *c->rows);
    if (!c->rows)
        return error_set(err, ST_NOMEM, "no memory to compare");
    c->count = g->param_count;
    for (int i = 0; i < c->count; i++) {
        compare_tensor(&g->params[i], x->params, y->params, &c->rows[i]);
        c->coordinates += g->params[i].count;
        c->moved += c->rows[i].moved;
    }
    qsort(c->rows, (size_t)c->count, sizeof *c->rows, by_change);
    if (c->moved && delta_bytes(x->model, x->params, y->params, &c->delta_bytes, &c->delta_why))
        c->delta_bytes = 0;
    return ST_OK;
}

static const char *kind_name(enum nn_param_kind kind)
{
    return kind == NN_PARAM_STATISTIC ? "statistic" : "weight";
}

static void print_bar(double share)
{
    int full = share > 0 ? (int)ceil(share * BAR_CELLS) : 0;
    for (int i = 0; i < BAR_CELLS; i++)
        putchar(i < full ? '#' : '.');
}

static void print_rows(const struct comparison *c, bool all)
{
    double longest = 0;
    int shown = 0;
    for (int i = 0; i < c->count; i++)
        if (isfinite(c->rows[i].relative))
            longest = fmax(longest, c->rows[i].relative);
    printf("%-12s %9s %9s %9s %17s  %s\n", "", "change", "rms", "largest", "moved", "tensor");
    for (int i = 0; i < c->count && (all || shown < ROWS_SHOWN); i++) {
        const struct row *r = &c->rows[i];
        if (!r->moved && !all)
            continue;
        print_bar(isfinite(r->relative) ? r->relative / fmax(longest, 1e-300) : 1);
        printf(" %8.3f%% %9.2e %9.2e %8zu/%-8zu  %s%s\n", 100 * r->relative, r->rms, r->largest,
               r->moved, r->param->count, r->param->name,
               r->param->kind == NN_PARAM_STATISTIC ? " (statistic)" : "");
        shown++;
    }
}

static void print_comparison(const struct comparison *c, bool all)
{
    int tensors = 0;
    for (int i = 0; i < c->count; i++)
        tensors += c->rows[i].moved > 0;
    if (!tensors) {
        puts("no parameter differs");
        return;
    }
    print_rows(c, all);
    printf("%d of %d tensors moved, %zu of %zu coordinates (%.2f %%)\n", tensors, c->count,
           c->moved, c->coordinates, 100.0 * (double)c->moved / (double)c->coordinates);
    if (c->delta_bytes)
        printf("an update that carries this takes %zu bytes\n", c->delta_bytes);
    else
        printf("no update can carry this: %s\n", c->delta_why.message);
}

/* JSON has no infinities: null. */
static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *comparison_json(const struct comparison *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->count; i++) {
        const struct row *r = &c->rows[i];
        json_array_append_new(list, json_pack("{s:s*, s:s, s:I, s:I, s:o, s:o, s:o}", "tensor",
                                              r->param->name, "kind", kind_name(r->param->kind),
                                              "coordinates", (json_int_t)r->param->count, "moved",
                                              (json_int_t)r->moved, "largest", real(r->largest),
                                              "rms", real(r->rms), "relative", real(r->relative)));
    }
    return json_pack("{s:b, s:I, s:I, s:o, s:o}", "equal", c->moved == 0, "coordinates",
                     (json_int_t)c->coordinates, "moved", (json_int_t)c->moved, "update_bytes",
                     c->delta_bytes ? json_integer((json_int_t)c->delta_bytes) : json_null(),
                     "tensors", list);
}

int cmd_model_diff(int argc, char **argv)
{
    struct arguments a = {.model = NULL};
    const struct cmd_option options[] = {{"model", CMD_TEXT, &a.model, 0, 0},
                                         {"all", CMD_FLAG, &a.all, 0, 0},
                                         {"size", CMD_SIZE, a.size, 1, CMD_MODEL_SIDE_MAX},
                                         {"json", CMD_FLAG, &a.json, 0, 0},
                                         {0}};
    int code = cmd_parse(NAME, help, options, argc, argv, a.files, 2, 2, NULL);
    if (code >= 0)
        return code;
    struct model_version x = {0}, y = {0};
    struct comparison c = {0};
    struct error err = {0};
    enum status st = open_pair(&a, &x, &y, &err);
    if (st == ST_OK)
        st = compare(&x, &y, &c, &err);
    if (st != ST_OK)
        code = cmd_fail(NAME, &err);
    else if (a.json)
        code = cmd_json(NAME, comparison_json(&c));
    else
        print_comparison(&c, a.all);
    free(c.rows);
    model_version_close(&y);
    model_version_close(&x);
    return code < 0 ? CMD_OK : code;
}
