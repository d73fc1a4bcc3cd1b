/* model_inspect.c - `attune model inspect`: what a network is, and what it costs. */
#include <stdio.h>
#include <string.h>

#include "cmd/model.h"
#include "nn/inspect.h"

#define NAME "model inspect"
#define JSON_I "%" JSON_INTEGER_FORMAT

static const char help[] =
    "usage: attune model inspect FILE.onnx [OPTIONS]\n\n"
    "Says what a network takes and gives, which operators it is made of, what of it trains, what "
    "an\n"
    "image costs (a multiply-accumulate counts as two operations), and what memory a session "
    "takes.\n"
    "\n"
    "  --batch N     images of a batch for the memory, default 1\n"
    "  --size WxH    of the input, where the file leaves it open or for another size\n"
    "  --nodes       each node with its shape, parameters and FLOPs\n"
    "  --json        as JSON\n\n"
    "Parameters are what training moves; statistics are batch-norm's running mean and variance.\n"
    "Batch-norm `kept` can follow a new scene; `folded` was merged into the convolutions.\n\n"
    "example: attune model inspect student.onnx --batch 8\n"
    "         attune model inspect student.onnx --nodes | sort -k4 -n\n";

/* name [1, 3, 192, 320] */
static void print_shape(json_t *shape)
{
    size_t k;
    json_t *d;
    putchar('[');
    json_array_foreach(shape, k, d) printf("%s" JSON_I, k ? "," : "", json_integer_value(d));
    putchar(']');
}

static void print_tensors(const char *label, json_t *list)
{
    size_t i;
    json_t *t;
    json_array_foreach(list, i, t)
    {
        printf("%-12s %s ", label, json_string_value(json_object_get(t, "name")));
        print_shape(json_object_get(t, "shape"));
        puts("");
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

static void print_classes(json_t *classes)
{
    size_t i;
    json_t *value;
    if (!json_is_array(classes))
        return;
    printf("classes     ");
    json_array_foreach(classes, i, value) printf(" %s", json_string_value(value));
    puts("");
}

static void print_memory(json_t *memory)
{
    const char *why = json_string_value(json_object_get(memory, "refused"));
    printf("memory       batch " JSON_I ": ", integer_at(memory, "batch"));
    if (why)
        printf("not measured: %s\n", why);
    else
        printf("inference %.1f MiB, training %.1f MiB and %.1f MiB for Adam\n",
               (double)integer_at(memory, "inference_bytes") / 0x1p20,
               (double)integer_at(memory, "training_bytes") / 0x1p20,
               (double)integer_at(memory, "optimizer_bytes") / 0x1p20);
}

static void print_nodes(json_t *nodes)
{
    size_t i;
    json_t *n;
    if (!nodes)
        return;
    printf("\n%-20s %12s %12s %10s  %s\n", "operator", "parameters", "statistics", "MFLOPs",
           "node, shape of its output");
    json_array_foreach(nodes, i, n)
    {
        printf("%-20s %12" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT " %10.2f  %s ",
               json_string_value(json_object_get(n, "op")), integer_at(n, "parameters"),
               integer_at(n, "statistics"), json_number_value(json_object_get(n, "flops")) / 1e6,
               json_string_value(json_object_get(n, "name")));
        print_shape(json_object_get(n, "shape"));
        puts("");
    }
}

static void print_inspection(json_t *o)
{
    json_t *p = json_object_get(o, "parameters"), *value;
    const char *key;
    print_tensors("input", json_object_get(o, "inputs"));
    print_tensors("output", json_object_get(o, "outputs"));
    printf("parameters   " JSON_I " (" JSON_I " trainable, " JSON_I " statistics) in " JSON_I
           " tensors\n",
           integer_at(p, "total"), integer_at(p, "trainable"), integer_at(p, "statistics"),
           integer_at(p, "tensors"));
    printf("FLOPs        %.3g G an image\n", json_number_value(json_object_get(o, "flops")) / 1e9);
    printf("batch-norm   %s\n", bn_sentence(json_string_value(json_object_get(o, "batch_norm"))));
    if (json_is_string(json_object_get(o, "batch_fixed_by")))
        printf("batch        1 only, fixed by node %s\n",
               json_string_value(json_object_get(o, "batch_fixed_by")));
    if (json_is_true(json_object_get(o, "calibrated")))
        printf("int8         calibrated: cameras with VNNI run it in int8\n");
    print_memory(json_object_get(o, "memory"));
    print_classes(json_object_get(o, "classes"));
    printf("operators   ");
    json_object_foreach(json_object_get(o, "operators"), key, value)
        printf(" %s " JSON_I, key, json_integer_value(value));
    printf("\nidentity     %s\n", json_string_value(json_object_get(o, "identity")));
    print_nodes(json_object_get(o, "node_list"));
}

static enum status session_bytes(const struct nn_model *m, enum nn_mode mode, int batch,
                                 json_int_t *ret, struct error *err)
{
    struct nn_session *s = NULL;
    struct nn_session_options o;
    nn_session_options_init(&o);
    o.mode = mode;
    o.batch = batch;
    enum status st = cmd_model_session(m, &o, &s, err);
    if (st == ST_OK)
        *ret = (json_int_t)nn_session_bytes(s);
    nn_session_close(&s);
    return st;
}

/* {"batch", "inference_bytes", "training_bytes", "optimizer_bytes"}; with "refused" in place of
 * them where a session cannot be opened. */
static json_t *memory_json(const struct nn_model *m, int batch)
{
    struct error err = {0};
    json_int_t infer = 0, train = 0, adam = 8 * (json_int_t)nn_model_trainable_count(m);
    enum status st = session_bytes(m, NN_INFER, batch, &infer, &err);
    if (st == ST_OK)
        st = session_bytes(m, NN_TRAIN, batch, &train, &err);
    if (st != ST_OK)
        return json_pack("{s:i, s:s}", "batch", batch, "refused", err.message);
    return json_pack("{s:i, s:I, s:I, s:I}", "batch", batch, "inference_bytes", infer,
                     "training_bytes", train, "optimizer_bytes", adam);
}

static enum status describe(const struct nn_model *m, int batch, bool nodes, json_t **ret,
                            struct error *err)
{
    json_t *o = NULL, *list = NULL;
    enum status st = nn_inspect_json(m, &o, err);
    if (st == ST_OK && nodes)
        st = nn_inspect_nodes_json(m, &list, err);
    if (st == ST_OK && list)
        json_object_set_new(o, "node_list", list);
    if (st == ST_OK && json_object_set_new(o, "memory", memory_json(m, batch)) != 0)
        st = error_set(err, ST_NOMEM, "no memory to describe the model");
    if (st == ST_OK)
        *ret = o;
    else
        json_decref(o);
    return st;
}

int cmd_model_inspect(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false, nodes = false;
    int batch = 1, size[2] = {0, 0};
    const struct cmd_option options[] = {{"json", CMD_FLAG, &json, 0, 0},
                                         {"nodes", CMD_FLAG, &nodes, 0, 0},
                                         {"batch", CMD_WHOLE, &batch, 1, CMD_MODEL_BATCH_MAX},
                                         {"size", CMD_SIZE, size, 1, CMD_MODEL_SIDE_MAX},
                                         {0}};
    int code = cmd_parse(NAME, help, options, argc, argv, &path, 1, 1, NULL);
    if (code >= 0)
        return code;
    struct nn_model *m = NULL;
    struct error err = {0};
    json_t *o = NULL;
    struct nn_model_options mo = cmd_model_options(size);
    enum status st = nn_model_open(path, &mo, &m, &err);
    if (st == ST_OK)
        st = describe(m, batch, nodes, &o, &err);
    nn_model_close(&m);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    if (json)
        return cmd_json(NAME, o);
    print_inspection(o);
    json_decref(o);
    return CMD_OK;
}
