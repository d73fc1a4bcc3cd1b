/* The growing tables of a graph that is being read. Names are hashed (FNV-1a, linear probing); the
 * table of at most NN_TENSORS_MAX names bounds what crafted collisions can cost. */
#include "nn/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nn_shape_count(const struct nn_shape *s, int64_t *ret)
{
    int64_t count = 1;
    bool empty = false;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0)
            return false;
        if (s->dim[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(count, s->dim[i], &count) || count > NN_ELEMENTS_MAX)
            return false;
    }
    *ret = empty ? 0 : count;
    return true;
}

struct nn_shape nn_shape_of(const struct nn_tensor *t)
{
    struct nn_shape s = {.rank = t->rank, .batched = t->batched};
    memcpy(s.dim, t->dim, sizeof s.dim);
    return s;
}

bool nn_shape_equal(const struct nn_shape *a, const struct nn_shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

const char *nn_shape_text(const struct nn_shape *s, char text[96])
{
    size_t at = 0;
    for (int i = 0; i < s->rank && at < 80; i++) {
        const char *before = i ? "," : "[";
        at += (size_t)snprintf(text + at, 96 - at, "%s%lld", before, (long long)s->dim[i]);
        at = at > 94 ? 94 : at;
    }
    snprintf(text + at, 96 - at, s->rank ? "]" : "[]");
    return text;
}

size_t nn_dtype_bytes(enum nn_dtype dtype)
{
    return dtype == NN_F32 ? sizeof(float) : sizeof(int64_t);
}

int64_t nn_tensor_count(const struct nn_tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->dim[i];
    return count;
}

void nn_draft_init(struct nn_draft *d, struct nn_pool *pool)
{
    *d = (struct nn_draft){.pool = pool};
}

void nn_draft_clear(struct nn_draft *d)
{
    free(d->tensors);
    free(d->nodes);
    free(d->names);
    free(d->inputs);
    free(d->outputs);
    nn_draft_init(d, NULL);
}

static uint32_t hash(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

/* The slot that holds name, or the free one where it belongs. */
static int slot_of(const struct nn_draft *d, const char *name)
{
    int mask = d->name_slots - 1, slot = (int)(hash(name) & (uint32_t)mask);
    while (d->names[slot].name && strcmp(d->names[slot].name, name) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

int nn_draft_find(const struct nn_draft *d, const char *name)
{
    if (!d->name_slots)
        return -1;
    const struct nn_draft_name *found = &d->names[slot_of(d, name)];
    return found->name ? found->tensor : -1;
}

static bool grow_names(struct nn_draft *d)
{
    if (d->name_count * 2 < d->name_slots)
        return true;
    struct nn_draft_name *old = d->names;
    int old_slots = d->name_slots, slots = old_slots ? old_slots * 2 : 256;
    struct nn_draft_name *names = calloc((size_t)slots, sizeof *names);
    if (!names)
        return false;
    d->names = names;
    d->name_slots = slots;
    for (int i = 0; i < old_slots; i++)
        if (old[i].name)
            d->names[slot_of(d, old[i].name)] = old[i];
    free(old);
    return true;
}

enum status nn_draft_bind(struct nn_draft *d, const char *name, int tensor, struct error *err)
{
    if (d->name_count >= 2 * NN_TENSORS_MAX)
        return error_set(err, ST_LIMIT, "the graph has more than %d names", 2 * NN_TENSORS_MAX);
    if (!grow_names(d))
        return error_set(err, ST_NOMEM, "no memory for the names of the graph");
    struct nn_draft_name *slot = &d->names[slot_of(d, name)];
    if (slot->name)
        return error_set(err, ST_FORMAT, "tensor '%s' is made twice", name);
    *slot = (struct nn_draft_name){name, tensor};
    d->name_count++;
    return ST_OK;
}

/* Room for one more of count elements in a table; false without memory. */
static bool grow(void **table, int count, int *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    int more = *capacity ? *capacity * 2 : 128;
    void *data = realloc(*table, (size_t)more * size);
    if (!data)
        return false;
    *table = data;
    *capacity = more;
    return true;
}

enum status nn_draft_tensor(struct nn_draft *d, const char *name, enum nn_tensor_kind kind,
                            enum nn_dtype dtype, const struct nn_shape *shape, const void *data,
                            int *ret, struct error *err)
{
    if (d->tensor_count >= NN_TENSORS_MAX)
        return error_set(err, ST_LIMIT, "the graph has more than %d tensors", NN_TENSORS_MAX);
    char *copy = nn_pool_string(d->pool, name);
    void *table = d->tensors;
    if (!copy || !grow(&table, d->tensor_count, &d->tensor_capacity, sizeof *d->tensors))
        return error_set(err, ST_NOMEM, "no memory for tensor '%s'", name);
    d->tensors = table;
    enum status st = nn_draft_bind(d, copy, d->tensor_count, err);
    if (st)
        return st;
    struct nn_tensor *t = &d->tensors[d->tensor_count].t;
    *t = (struct nn_tensor){.name = copy,
                            .kind = kind,
                            .dtype = dtype,
                            .rank = shape->rank,
                            .batched = shape->batched,
                            .data = data,
                            .param = -1,
                            .producer = -1};
    memcpy(t->dim, shape->dim, (size_t)shape->rank * sizeof t->dim[0]);
    d->tensors[d->tensor_count].initializer = false;
    *ret = d->tensor_count++;
    return ST_OK;
}

enum status nn_draft_node(struct nn_draft *d, const struct nn_node *node, struct error *err)
{
    if (d->node_count >= NN_NODES_MAX)
        return error_set(err, ST_LIMIT, "the graph has more than %d nodes", NN_NODES_MAX);
    void *table = d->nodes;
    if (!grow(&table, d->node_count, &d->node_capacity, sizeof *d->nodes))
        return error_set(err, ST_NOMEM, "no memory for node '%s'", node->name);
    d->nodes = table;
    for (int i = 0; i < node->output_count; i++)
        d->tensors[node->output[i]].t.producer = d->node_count;
    d->nodes[d->node_count++] = *node;
    return ST_OK;
}

char *nn_draft_unique(struct nn_draft *d, const char *base, const char *suffix)
{
    size_t room = strlen(base) + strlen(suffix) + 16;
    char *name = nn_pool_alloc(d->pool, room, 1);
    if (!name)
        return NULL;
    snprintf(name, room, "%s%s", base, suffix);
    for (int i = 2; nn_draft_find(d, name) >= 0; i++)
        snprintf(name, room, "%s%s_%d", base, suffix, i);
    return name;
}
