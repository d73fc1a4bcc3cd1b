/* model_check.h - what the tests of models share: files of tests/data/onnx and small graphs. */
#ifndef ATTUNE_TESTS_MODEL_CHECK_H
#define ATTUNE_TESTS_MODEL_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "nn/model.h"
#include "nn/onnx_make.h"

static inline struct nn_model *open_case(const char *name)
{
    char path[512];
    struct nn_model *m = NULL;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/onnx/%s.onnx", getenv("ATTUNE_TEST_DATA"), name);
    if (nn_model_open(path, NULL, &m, &err))
        fail_msg("%s", err.message);
    return m;
}

static inline const struct nn_tensor *find_tensor(const struct nn_model *m, const char *name)
{
    const struct nn_graph *g = nn_model_graph(m);
    for (int i = 0; i < g->tensor_count; i++)
        if (strcmp(g->tensors[i].name, name) == 0)
            return &g->tensors[i];
    return NULL;
}

static inline const struct nn_node *find_node(const struct nn_model *m, const char *name)
{
    const struct nn_graph *g = nn_model_graph(m);
    for (int i = 0; i < g->node_count; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return &g->nodes[i];
    return NULL;
}

/* Packs the file under construction, reads it and clears the maker. */
static inline enum status read_made(struct nn_maker *mk, struct nn_model **m, struct error *err)
{
    struct buf b;
    buf_init(&b);
    enum status st = nn_make_pack(mk, &b, err);
    assert_int_equal(st, ST_OK);
    st = nn_model_read(b.data, b.size_bytes, NULL, m, err);
    assert_true((st == ST_OK) == (*m != NULL));
    buf_clear(&b);
    nn_maker_clear(mk);
    return st;
}

/* A file with input "x" and output "y" of those dims. */
static inline void make_ends(struct nn_maker *mk, const char *output, struct nn_shape input)
{
    nn_maker_init(mk);
    nn_make_graph_input(mk, "x", &input);
    nn_make_graph_output(mk, output, &input);
}

/* A node OP named NAME from inputs a and b (NULL: none) to the tensor NAME. */
static inline Onnx__NodeProto *make_op(struct nn_maker *mk, const char *op, const char *name,
                                       const char *a, const char *b)
{
    Onnx__NodeProto *n = nn_make_node(mk, op, name);
    if (a)
        nn_make_input(mk, n, a);
    if (b)
        nn_make_input(mk, n, b);
    nn_make_output(mk, n, name);
    return n;
}

static const float model_zeros[4096];

static inline void make_weight(struct nn_maker *mk, const char *name, struct nn_shape shape)
{
    nn_make_initializer(mk, name, NN_F32, &shape, model_zeros);
}

#define SHAPE(n, ...) ((struct nn_shape){.rank = (n), .dim = {__VA_ARGS__}})

#endif
