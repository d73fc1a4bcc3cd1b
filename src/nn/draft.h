/* draft.h - private to nn: the graph while it is being read, before it becomes a model.
 *
 * A draft grows tensor by tensor and node by node; names lead to tensors, and an aliasing node
 * (Identity, Dropout, a Reshape that changes nothing) only adds a name. nn_draft_finish drops what
 * no output needs, decides which initialisers are parameters and fills the model's tables.
 *
 * Owns:    its growing tables until nn_draft_clear; names live in the model's pool, values there or
 *          in the message that is being read, until nn_draft_finish copies what stays.
 * Errors:  ST_FORMAT, ST_LIMIT, ST_NOMEM, ST_UNSUPPORTED.
 */
#ifndef ATTUNE_NN_DRAFT_H
#define ATTUNE_NN_DRAFT_H

#include "nn/model.h"
#include "nn/pool.h"

struct nn_shape {
    int rank;
    int64_t dim[NN_RANK_MAX];
    bool batched;
};

struct nn_draft_tensor {
    struct nn_tensor t;
    bool initializer; /* straight from the file's initialisers, at most reshaped or transposed */
};

struct nn_draft_name {
    const char *name; /* NULL: free slot */
    int tensor;
};

struct nn_draft {
    struct nn_pool *pool; /* borrowed */
    struct nn_draft_tensor *tensors;
    struct nn_node *nodes;
    int tensor_count, tensor_capacity, node_count, node_capacity;
    struct nn_draft_name *names; /* open addressing, a power of two of slots */
    int name_count, name_slots;
    int *inputs, *outputs;
    int input_count, output_count;
};

struct nn_metadata {
    const char *key, *value;
};

struct nn_model {
    struct nn_pool pool;
    struct nn_graph graph;
    float *values; /* [param_count]; nn_model_close frees them */
    size_t param_count, trainable_count;
    char identity[65];
    struct nn_metadata *metadata;
    int metadata_count;
    enum nn_bn_form bn_form;
    double flops;
};

/* Elements of a shape; false when a dim is negative or there are more than NN_ELEMENTS_MAX. */
bool nn_shape_count(const struct nn_shape *s, int64_t *ret);
struct nn_shape nn_shape_of(const struct nn_tensor *t);
bool nn_shape_equal(const struct nn_shape *a, const struct nn_shape *b); /* rank and dims */
/* "[1,3,384,512]" into text; returns text. */
const char *nn_shape_text(const struct nn_shape *s, char text[96]);
size_t nn_dtype_bytes(enum nn_dtype dtype); /* of an element */
/* Elements of a tensor that the draft or a model holds. */
int64_t nn_tensor_count(const struct nn_tensor *t);

void nn_draft_init(struct nn_draft *d, struct nn_pool *pool);
void nn_draft_clear(struct nn_draft *d);

/* Tensor with that name, -1 for none. */
int nn_draft_find(const struct nn_draft *d, const char *name);

/* Gives a tensor one more name, which must be new. name outlives the draft. */
enum status nn_draft_bind(struct nn_draft *d, const char *name, int tensor, struct error *err);

/* New tensor under a copy of name; data NULL unless kind is NN_TENSOR_CONSTANT. */
enum status nn_draft_tensor(struct nn_draft *d, const char *name, enum nn_tensor_kind kind,
                            enum nn_dtype dtype, const struct nn_shape *shape, const void *data,
                            int *ret, struct error *err);

/* Appends a copy of the node and makes it the producer of its outputs. */
enum status nn_draft_node(struct nn_draft *d, const struct nn_node *node, struct error *err);

/* base, or base with a number, such that no tensor has the name; NULL without memory. */
char *nn_draft_unique(struct nn_draft *d, const char *base, const char *suffix);

/* Makes the tables of m->graph, the parameter vector, FLOPs and batch-norm form. */
enum status nn_draft_finish(struct nn_draft *d, struct nn_model *m, struct error *err);

#endif
