/* configuration.c - the table, its YAML form, and what a configuration means for a network. */
#include "train/configuration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void train_configurations_init(struct train_configurations *c)
{
    static const int epochs[] = {3, 8, 20};
    *c = (struct train_configurations){0};
    for (int all = 0; all < 2; all++)
        for (int k = 0; k < 3; k++) {
            struct train_configuration *t = &c->items[c->count++];
            *t = (struct train_configuration){
                .epochs = epochs[k], .data = 1, .layers = all ? 0 : 3, .head_width = 1};
            snprintf(t->name, sizeof t->name, "%s-%d", all ? "all" : "head", epochs[k]);
        }
}

/* ---- YAML ---- */

static enum status read_field(const struct yaml_doc *d, const yaml_node *map, const char *key,
                              double min, double max, double *ret, struct error *err)
{
    const yaml_node *n = yaml_get(d, map, key);
    return n ? yaml_number(d, n, min, max, ret, err) : ST_OK;
}

static enum status read_name(const struct yaml_doc *d, const yaml_node *map,
                             const struct train_configurations *known, char *name,
                             struct error *err)
{
    const yaml_node *n = yaml_get(d, map, "name");
    const char *text = n ? yaml_text(n) : NULL;
    if (!text || !*text || strlen(text) > CONFIGURATION_NAME_CHARS_MAX)
        return yaml_fail(d, n ? n : map, err,
                         "a configuration has no name; give one of 1 to %d characters",
                         CONFIGURATION_NAME_CHARS_MAX);
    for (int i = 0; i < known->count; i++)
        if (strcmp(known->items[i].name, text) == 0)
            return yaml_fail(d, n, err, "there are two configurations named '%s'; rename one",
                             text);
    snprintf(name, CONFIGURATION_NAME_CHARS_MAX + 1, "%s", text);
    return ST_OK;
}

static enum status read_one(const struct yaml_doc *d, const yaml_node *map,
                            struct train_configurations *into, struct error *err)
{
    static const char *const keys[] = {"name",          "epochs", "data",      "layers",
                                       "learning_rate", "batch",  "head_width"};
    struct train_configuration *c = &into->items[into->count];
    double epochs = NAN, layers = 0, batch = 0;
    *c = (struct train_configuration){.data = 1, .head_width = 1};
    if (!yaml_is_map(map))
        return yaml_fail(d, map, err, "this is no configuration; write {name: light, epochs: 5}");
    enum status st = yaml_check_keys(d, map, keys, sizeof keys / sizeof keys[0], err);
    if (st == ST_OK)
        st = read_name(d, map, into, c->name, err);
    if (st == ST_OK)
        st = read_field(d, map, "epochs", 1, 1000, &epochs, err);
    if (st == ST_OK && isnan(epochs))
        st = yaml_fail(d, map, err, "configuration '%s' has no epochs; write epochs: 5", c->name);
    if (st == ST_OK)
        st = read_field(d, map, "data", 0.001, 1, &c->data, err);
    if (st == ST_OK)
        st = read_field(d, map, "layers", 0, 10000, &layers, err);
    if (st == ST_OK)
        st = read_field(d, map, "learning_rate", 0, 10, &c->learning_rate, err);
    if (st == ST_OK)
        st = read_field(d, map, "batch", 0, 1024, &batch, err);
    if (st == ST_OK)
        st = read_field(d, map, "head_width", 0.001, 1, &c->head_width, err);
    if (st != ST_OK)
        return st;
    c->epochs = (int)epochs;
    c->layers = (int)layers;
    c->batch = (int)batch;
    into->count++;
    return ST_OK;
}

enum status train_configurations_read(const struct yaml_doc *d, const yaml_node *list,
                                      struct train_configurations *ret, struct error *err)
{
    struct train_configurations c = {0};
    size_t n = yaml_is_list(list) ? yaml_count(list) : 0;
    if (n < 1 || n > CONFIGURATIONS_MAX)
        return yaml_fail(d, list, err,
                         "configurations takes a list of 1 to %d; write one "
                         "'- {name: NAME, epochs: N}' a line",
                         CONFIGURATIONS_MAX);
    for (size_t i = 0; i < n; i++) {
        enum status st = read_one(d, yaml_value(d, list, i), &c, err);
        if (st != ST_OK)
            return st;
    }
    *ret = c;
    return ST_OK;
}

/* ---- what it means ---- */

int train_configuration_steps(const struct train_configuration *c, int frames, int recipe_batch)
{
    int batch = c->batch > 0 ? c->batch : recipe_batch;
    int pass = (int)ceil(c->data * frames / batch);
    return c->epochs * (pass > 0 ? pass : 1);
}

bool train_configuration_is_same_training(const struct train_configuration *a,
                                          const struct train_configuration *b)
{
    return a->data == b->data && a->layers == b->layers && a->learning_rate == b->learning_rate &&
           a->batch == b->batch && a->head_width == b->head_width;
}

static bool has_weights(const struct nn_graph *g, const struct nn_node *n)
{
    for (int i = 0; i < n->input_count; i++) {
        int p = n->input[i] >= 0 ? g->tensors[n->input[i]].param : -1;
        if (p >= 0 && g->params[p].kind == NN_PARAM_TRAINABLE && g->params[p].rank >= 2)
            return true;
    }
    return false;
}

/* Index of the first node that trains. */
static int first_node(const struct train_configuration *c, const struct nn_graph *g)
{
    int i = g->node_count, layers = 0;
    while (i > 0 && (c->layers == 0 || layers < c->layers))
        layers += has_weights(g, &g->nodes[--i]);
    return c->layers == 0 ? 0 : i;
}

int train_configuration_freeze(const struct train_configuration *c, const struct nn_graph *g,
                               bool *frozen)
{
    int trained = 0;
    for (int p = 0; p < g->param_count; p++)
        frozen[p] = true;
    for (int i = first_node(c, g); i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++) {
            int t = g->nodes[i].input[k], p = t >= 0 ? g->tensors[t].param : -1;
            if (p >= 0 && frozen[p]) {
                frozen[p] = false;
                trained += g->params[p].kind == NN_PARAM_TRAINABLE;
            }
        }
    return trained;
}

enum status train_configuration_flops(const struct train_configuration *c, const struct nn_model *m,
                                      double *ret, struct error *err)
{
    const struct nn_graph *g = nn_model_graph(m);
    bool *frozen = malloc((size_t)g->param_count + 1);
    if (!frozen)
        return error_set(err, ST_NOMEM, "no memory to look at %d parameters", g->param_count);
    train_configuration_freeze(c, g, frozen);
    enum status st = nn_model_train_flops(m, frozen, ret, err);
    free(frozen);
    return st;
}

bool train_configurations_same(const struct train_configurations *a,
                               const struct train_configurations *b)
{
    bool same = a->count == b->count;
    for (int i = 0; i < a->count && same; i++)
        same = strcmp(a->items[i].name, b->items[i].name) == 0 &&
               a->items[i].epochs == b->items[i].epochs &&
               train_configuration_is_same_training(&a->items[i], &b->items[i]);
    return same;
}
