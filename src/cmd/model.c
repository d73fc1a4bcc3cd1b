/* model.c - `attune model VERB`: one verb, one function. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cmd/cmd.h"
#include "delta/delta.h"
#include "nn/inspect.h"

#define DELTA_FILE_BYTES_MAX ((size_t)1 << 30)

static const char help_text[] =
    "usage: attune model VERB ...\n"
    "\n"
    "  inspect FILE.onnx [--json]   operators, shapes, parameters, FLOPs; batch-norm kept or "
    "folded\n"
    "  delta FILE [--json]          what a model update says of itself: versions, weights, bytes\n"
    "  train --help                 make a starter network for the synthetic town, or score one\n";

/* FILE and --json of a verb; CMD_OK, or CMD_USAGE after a message. */
static int parse_args(int argc, char **argv, const char **ret_path, bool *ret_json)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            *ret_json = true;
        else if (argv[i][0] == '-' || *ret_path)
            return cmd_usage("model", "unexpected '%s'", argv[i]);
        else
            *ret_path = argv[i];
    }
    return *ret_path ? CMD_OK : cmd_usage("model", "%s needs a file", argv[0]);
}

static int print_json(json_t *o)
{
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    return CMD_OK;
}

/* name [1, 3, 192, 320] */
static void print_tensors(const char *label, json_t *list)
{
    size_t i, k;
    json_t *t, *d;
    json_array_foreach(list, i, t)
    {
        printf("%-12s %s [", label, json_string_value(json_object_get(t, "name")));
        json_array_foreach(json_object_get(t, "shape"), k, d)
            printf("%s%" JSON_INTEGER_FORMAT, k ? ", " : "", json_integer_value(d));
        puts("]");
    }
}

static json_int_t integer_at(json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* What a trainer needs to know about batch-norm, in a sentence. */
static const char *bn_sentence(const char *form)
{
    if (strcmp(form, "kept") == 0)
        return "kept as nodes: scale and shift train, statistics are frozen or follow the batch";
    if (strcmp(form, "folded") == 0)
        return "folded into the convolutions at export: training adjusts the folded weights";
    return "none";
}

static void print_inspection(json_t *o)
{
    json_t *p = json_object_get(o, "parameters"), *value;
    const char *key;
    print_tensors("input", json_object_get(o, "inputs"));
    print_tensors("output", json_object_get(o, "outputs"));
    printf("parameters   %" JSON_INTEGER_FORMAT " (%" JSON_INTEGER_FORMAT
           " trainable, %" JSON_INTEGER_FORMAT " statistics) in %" JSON_INTEGER_FORMAT " tensors\n",
           integer_at(p, "total"), integer_at(p, "trainable"), integer_at(p, "statistics"),
           integer_at(p, "tensors"));
    printf("FLOPs        %.3g G an image\n", json_number_value(json_object_get(o, "flops")) / 1e9);
    printf("batch-norm   %s\n", bn_sentence(json_string_value(json_object_get(o, "batch_norm"))));
    if (json_is_string(json_object_get(o, "batch_fixed_by")))
        printf("batch        1 only, fixed by node %s\n",
               json_string_value(json_object_get(o, "batch_fixed_by")));
    json_t *classes = json_object_get(o, "classes");
    if (json_is_array(classes)) {
        size_t i;
        printf("classes     ");
        json_array_foreach(classes, i, value) printf(" %s", json_string_value(value));
        puts("");
    }
    printf("operators   ");
    json_object_foreach(json_object_get(o, "operators"), key, value)
        printf(" %s %" JSON_INTEGER_FORMAT, key, json_integer_value(value));
    printf("\nidentity     %s\n", json_string_value(json_object_get(o, "identity")));
}

static int inspect(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    int code = parse_args(argc, argv, &path, &json);
    if (code != CMD_OK)
        return code;
    struct nn_model *m = NULL;
    struct error err = {0};
    json_t *o = NULL;
    enum status st = nn_model_open(path, NULL, &m, &err);
    if (st == ST_OK)
        st = nn_inspect_json(m, &o, &err);
    if (st != ST_OK)
        code = cmd_fail("model inspect", &err);
    else if (json)
        code = print_json(o);
    else
        print_inspection(o);
    json_decref(o);
    nn_model_close(&m);
    return code;
}

static json_t *delta_json(const struct delta_info *d)
{
    char identity[65];
    for (int i = 0; i < 32; i++)
        snprintf(identity + 2 * i, 3, "%02x", d->identity[i]);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I}", "model", identity,
                     "base", (json_int_t)d->versions.base, "version", (json_int_t)d->versions.new,
                     "parameters", (json_int_t)d->trainable_count, "sent",
                     (json_int_t)d->value_count, "statistics", (json_int_t)d->stat_count,
                     "statistics_sent", d->statistics, "bytes", (json_int_t)d->bytes, "mask_bytes",
                     (json_int_t)(d->count_bytes + d->mask_bytes), "value_bytes",
                     (json_int_t)d->value_bytes, "statistics_bytes", (json_int_t)d->stat_bytes);
}

static void print_delta(const struct delta_info *d)
{
    printf("%s from version %" PRIu64 " to %" PRIu64 "\n", d->versions.base ? "update" : "snapshot",
           d->versions.base, d->versions.new);
    printf("weights sent  %u of %u (%.2f %%)%s\n", d->value_count, d->trainable_count,
           100.0 * d->value_count / d->trainable_count,
           d->statistics ? ", and batch-norm statistics" : "");
    printf("bytes         %zu: mask %zu, values %zu, statistics %zu\n", d->bytes,
           d->count_bytes + d->mask_bytes, d->value_bytes, d->stat_bytes);
}

static int delta(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    int code = parse_args(argc, argv, &path, &json);
    if (code != CMD_OK)
        return code;
    struct buf bytes;
    struct error err = {0};
    struct delta_info info;
    buf_init(&bytes);
    enum status st = file_read(path, DELTA_FILE_BYTES_MAX, &bytes, &err);
    if (st == ST_OK)
        st = delta_info_read(bytes.data, bytes.size_bytes, &info, NULL, 0, &err);
    buf_clear(&bytes);
    if (st != ST_OK)
        return cmd_fail("model delta", &err);
    if (!json) {
        print_delta(&info);
        return CMD_OK;
    }
    json_t *o = delta_json(&info);
    code = o ? print_json(o) : CMD_FAILED;
    json_decref(o);
    return code;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {{"inspect", inspect}, {"delta", delta}, {"train", cmd_model_train}};

int cmd_model(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verb, verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    bool asked = strcmp(verb, "--help") == 0;
    fputs(help_text, asked ? stdout : stderr);
    return asked ? CMD_OK : CMD_USAGE;
}
