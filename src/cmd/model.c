/* model.c - `attune model VERB`: one verb, one file. Here is what they share. */
#include "cmd/model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "nn/inspect.h"

static const char help_text[] =
    "usage: attune model VERB ...        attune model VERB --help teaches each one\n"
    "\n"
    "  inspect FILE   operators, shapes, parameters, FLOPs, memory for a batch\n"
    "  describe FILE  says in a file from elsewhere what the network is for\n"
    "  check FILE     can this machine run and train it, how fast; names what is in the way\n"
    "  train          a network on labelled pictures or on the synthetic town\n"
    "  export         a checkpoint, or what a server has learned, as ONNX\n"
    "  quantize FILE  ready for int8 inference, with a table of speed and agreement\n"
    "  diff A B       which weights moved between two versions, and by how much\n"
    "  versions NAME  of a group or camera in a running server, with what the gate measured\n"
    "  rollback NAME  its cameras go back to an older version\n"
    "  delta FILE     what a model update says of itself: versions, weights, bytes\n"
    "\n"
    "example: attune model check student.onnx\n";

static const struct cmd_sub verbs[] = {{"inspect", cmd_model_inspect},
                                       {"check", cmd_model_check},
                                       {"train", cmd_model_train},
                                       {"export", cmd_model_export},
                                       {"diff", cmd_model_diff},
                                       {"delta", cmd_model_delta},
                                       {"quantize", cmd_model_quantize},
                                       {"describe", cmd_model_describe},
                                       {"versions", cmd_model_versions},
                                       {"rollback", cmd_model_rollback},
                                       {NULL, NULL}};

struct nn_model_options cmd_model_options(const int size[2])
{
    return (struct nn_model_options){.width = size[0], .height = size[1]};
}

/* Random values, the same for every layout. */
static void fill(const struct nn_view *v, uint64_t seed, float low, float high)
{
    struct rng r;
    int64_t count = 1;
    rng_init(&r, seed, 0);
    for (int i = 0; i < v->rank; i++)
        count *= v->dim[i];
    for (int64_t i = 0; i < count; i++) { /* in logical order, whatever the layout */
        int64_t at = 0, rest = i;
        for (int k = v->rank; k-- > 0;) {
            at += rest % v->dim[k] * v->stride[k];
            rest /= v->dim[k];
        }
        v->data[at] = low + (high - low) * rng_float(&r);
    }
}

/* Refuses before opening: activations as if none shared memory, twice when gradients come on top,
 * and the parameters. An estimate from above, so it only stops what is far too large. */
static enum status check_memory(const struct nn_model *m, const struct nn_session_options *o,
                                struct error *err)
{
    bool trains = o->mode == NN_TRAIN;
    double need = nn_activation_bytes(m, o->batch) * (trains ? 2 : 1) +
                  4.0 * (double)nn_model_param_count(m) * (trains ? 3 : 2);
    double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (have > 0 && need > have)
        return error_set(err, ST_LIMIT,
                         "%s with a batch of %d may take %.1f GiB, this machine has %.1f; try a "
                         "smaller --batch or --size",
                         trains ? "training" : "inference", o->batch, need / 0x1p30, have / 0x1p30);
    return ST_OK;
}

enum status cmd_model_session(const struct nn_model *m, const struct nn_session_options *options,
                              struct nn_session **ret, struct error *err)
{
    enum status st = check_memory(m, options, err);
    if (st == ST_OK)
        st = nn_session_open(m, options, ret, err);
    if (st != ST_OK)
        return st;
    const struct nn_graph *g = nn_model_graph(m);
    for (int i = 0; i < g->input_count; i++) {
        struct nn_view v = nn_session_input(*ret, i);
        fill(&v, 1 + (uint64_t)i, -1, 1);
    }
    for (int i = 0; options->mode == NN_TRAIN && i < g->output_count; i++) {
        struct nn_view v = nn_session_output_grad(*ret, i);
        fill(&v, 100 + (uint64_t)i, -1e-4f, 1e-4f);
    }
    return ST_OK;
}

int cmd_model(int argc, char **argv)
{
    return cmd_sub_run("model", help_text, verbs, argc, argv);
}
