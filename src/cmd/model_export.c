/* model_export.c - `attune model export`: what was learned as an ONNX file for any runtime. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cmd/model.h"
#include "cmd/model_version.h"
#include "nn/fold_batch_norm.h"

#define NAME "model export"
#define FOLD_ERROR_MAX 1e-4
#define UPDATES_MAX 256

static const char help[] =
    "usage: attune model export BASE.onnx [UPDATE...] --out FILE.onnx [OPTIONS]\n\n"
    "Writes a network with the weights that it has by now. BASE is the ONNX file that learning "
    "began\n"
    "with. An UPDATE is a checkpoint (of `attune model train` or of a camera), a snapshot "
    "(vN.snap),\n"
    "or deltas in order (v1.delta v2.delta ...); checksums and the base's identity are checked.\n\n"
    "  --out FILE          the ONNX file to write\n"
    "  --state DIR         a server's state folder, in place of UPDATE\n"
    "  --camera ID         with --state: which camera's model\n"
    "  --version N         with --state: which version, default the newest\n"
    "  --fold              merge batch-norm into the convolutions, for runtimes elsewhere; the "
    "folded\n"
    "                      network's answer to a random picture must be within 1e-4 of the "
    "other's\n"
    "  --precision P       f32 (default) or f16: how weights are stored; half the size, computed\n"
    "                      with as float32\n"
    "  --size WxH          of the input, where the file leaves it open or for another size\n\n"
    "example: attune model export student.onnx --state /var/lib/attune --camera gate-1 --fold \\\n"
    "             --out gate-1.onnx\n";

struct arguments {
    const char *files[1 + UPDATES_MAX];
    int file_count;
    const char *out, *state, *camera, *precision;
    uint64_t version;
    int size[2];
    bool fold;
};

static enum status open_version(const struct arguments *a, struct model_version *v,
                                struct error *err)
{
    char path[PATH_MAX];
    struct nn_model_options o = cmd_model_options(a->size);
    enum status st = model_version_open(a->files[0], &o, v, err);
    for (int i = 1; i < a->file_count && st == ST_OK; i++)
        st = model_version_update(v, a->files[i], err);
    if (st != ST_OK || !a->state)
        return st;
    st = model_version_snapshot_path(a->state, a->camera, a->version, path, err);
    return st == ST_OK ? model_version_update(v, path, err) : st;
}

/* All outputs of m for the random picture of cmd_model_session; params NULL: its own. */
static enum status answer(const struct nn_model *m, const float *params, struct nn_session **ret,
                          struct error *err)
{
    struct nn_session_options o;
    nn_session_options_init(&o);
    enum status st = cmd_model_session(m, &o, ret, err);
    if (st != ST_OK)
        return st;
    if (params) {
        memcpy(nn_session_params(*ret), params, nn_model_param_count(m) * sizeof *params);
        nn_session_params_changed(*ret);
    }
    return nn_session_forward(*ret, err);
}

/* Largest difference of two outputs, relative to the largest value of the first. */
static double difference(const struct nn_view *a, const struct nn_view *b)
{
    double largest = 0, apart = 0;
    int64_t count = 1;
    for (int i = 0; i < a->rank; i++)
        count *= a->dim[i];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = 0, bt = 0, rest = i;
        for (int k = a->rank; k-- > 0;) {
            at += rest % a->dim[k] * a->stride[k];
            bt += rest % a->dim[k] * b->stride[k];
            rest /= a->dim[k];
        }
        double d = fabs((double)a->data[at] - (double)b->data[bt]);
        largest = fmax(largest, fabs((double)a->data[at]));
        apart = d <= apart ? apart : d; /* NaN counts */
    }
    return largest > 0 ? apart / largest : apart;
}

/* The same answer before and after folding. */
static enum status compare(const struct model_version *v, const struct nn_model *folded,
                           double *ret, struct error *err)
{
    struct nn_session *a = NULL, *b = NULL;
    double worst = 0;
    enum status st = answer(v->model, v->params, &a, err);
    if (st == ST_OK)
        st = answer(folded, NULL, &b, err);
    for (int i = 0; st == ST_OK && i < nn_model_graph(v->model)->output_count; i++) {
        struct nn_view x = nn_session_output(a, i), y = nn_session_output(b, i);
        worst = fmax(worst, difference(&x, &y));
    }
    nn_session_close(&a);
    nn_session_close(&b);
    if (st == ST_OK && !(worst <= FOLD_ERROR_MAX))
        st = error_set(err, ST_INTERNAL,
                       "the folded network's answer differs by %.2g of its largest value, over %g: "
                       "nothing was written",
                       worst, FOLD_ERROR_MAX);
    if (st == ST_OK)
        *ret = worst;
    return st;
}

static enum status fold(const struct model_version *v, struct nn_model **ret, struct error *err)
{
    struct buf bytes;
    int folded = 0;
    double worst = 0;
    buf_init(&bytes);
    enum status st = nn_fold_batch_norm(v->model, v->params, &bytes, &folded, err);
    if (st == ST_OK)
        st = nn_model_read(bytes.data, bytes.size_bytes, NULL, ret, err);
    if (st == ST_OK)
        st = compare(v, *ret, &worst, err);
    buf_clear(&bytes);
    if (st == ST_OK)
        printf("folded        %d batch-norm nodes; largest difference of the answer %.1e\n", folded,
               worst);
    return st;
}

static enum status write_file(const struct arguments *a, const struct nn_model *m,
                              const float *params, struct error *err)
{
    struct buf bytes;
    buf_init(&bytes);
    enum status st = strcmp(a->precision, "f16") == 0 ? nn_model_write_half(m, params, &bytes, err)
                                                      : nn_model_write(m, params, &bytes, err);
    if (st == ST_OK)
        st = file_write(a->out, bytes.data, bytes.size_bytes, err);
    if (st == ST_OK)
        printf("written       %s, %zu bytes, weights in %s\n", a->out, bytes.size_bytes,
               a->precision);
    buf_clear(&bytes);
    return st;
}

static enum status export(const struct arguments *a, struct error *err) {
    struct model_version v = {0}; struct nn_model *folded = NULL;
    enum status st = open_version(a, &v, err);
    if (st == ST_OK && (a->file_count > 1 || a->state))
        printf("version       %llu\n", (unsigned long long)v.version);
    if (st == ST_OK && a->fold) st = fold(&v, &folded, err);
    if (st == ST_OK) st = write_file(a, folded ? folded : v.model, folded ? NULL : v.params, err);
    nn_model_close(&folded);
    model_version_close(&v);
    return st;
}

int cmd_model_export(int argc, char **argv)
{
    struct arguments a = {.precision = "f32"};
    const struct cmd_option options[] = {{"out", CMD_TEXT, &a.out, 0, 0},
                                         {"state", CMD_TEXT, &a.state, 0, 0},
                                         {"camera", CMD_TEXT, &a.camera, 0, 0},
                                         {"version", CMD_COUNT, &a.version, 1, 9e15},
                                         {"fold", CMD_FLAG, &a.fold, 0, 0},
                                         {"precision", CMD_TEXT, &a.precision, 0, 0},
                                         {"size", CMD_SIZE, a.size, 1, CMD_MODEL_SIDE_MAX},
                                         {0}};
    int code =
        cmd_parse(NAME, help, options, argc, argv, a.files, 1, 1 + UPDATES_MAX, &a.file_count);
    if (code >= 0)
        return code;
    if (!a.out)
        return cmd_usage(NAME, "--out is needed");
    if (!a.state != !a.camera || (a.state && a.file_count > 1) || (a.version && !a.state))
        return cmd_usage(NAME, "--state goes with --camera, and in place of other updates");
    if (strcmp(a.precision, "f32") != 0 && strcmp(a.precision, "f16") != 0)
        return cmd_usage(NAME, "--precision is f32 or f16, not '%s'", a.precision);
    struct error err = {0};
    return export(&a, &err) == ST_OK ? CMD_OK : cmd_fail(NAME, &err);
}
