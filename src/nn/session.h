/* session.h - a model made ready to run: layouts, memory plan, primitives; inference or training.
 *
 * Everything is decided when the session opens: shapes for the batch, memory layouts, one arena
 * (tensors whose lifetimes do not overlap share bytes), oneDNN primitives, one scratchpad. A run
 * allocates nothing.
 *
 * Usage: 1 open; 2 fill nn_session_input; 3 nn_session_forward; 4 read nn_session_output;
 * for training also 5 fill nn_session_output_grad (nn/loss.h does); 6 nn_session_backward;
 * 7 nn_optimizer_step (nn/optimizer.h) on nn_session_params and nn_session_grads;
 * 8 nn_session_params_changed.
 *
 * Owns:    every pointer it returns is borrowed and stable until nn_session_close.
 * Threads: one thread at a time; two sessions may run at once in two threads.
 * Time:    none read.
 * Memory:  nn_session_bytes, all of it taken at open.
 * Errors:  at open only (ST_UNSUPPORTED names the node, ST_NOMEM, ST_LIMIT); a run may return
 *          ST_INTERNAL when oneDNN refuses a primitive that it made.
 * Determinism: the same inputs, options and machine give the same bits.
 */
#ifndef ATTUNE_NN_SESSION_H
#define ATTUNE_NN_SESSION_H

#include "nn/model.h"

enum nn_mode { NN_INFER = 1, NN_TRAIN };

/* What batch-norm nodes do in a training session.
 *  FROZEN: normalise with the running statistics, which stay as they are; scale and shift train.
 *  BATCH:  normalise with the batch's statistics and move the running ones. */
enum nn_bn_mode { NN_BN_FROZEN = 1, NN_BN_BATCH };

/* What activations are kept in and multiplied as. BF16 needs a processor with AVX512-BF16 or AMX;
 * weights, their gradients, statistics and sums stay float32. Operators that have no bfloat16
 * form go on in float32, and so do convolutions of small groups (in training: all of the session).
 * Inputs and outputs of the graph are float32.
 *
 * INT8, for inference, needs a processor with VNNI and a calibrated network (nn/calibrate.h).
 * Convolutions multiply unsigned bytes by signed ones and add up in 32 bits: activations have a
 * scale and a zero point a tensor, from its range; weights a scale for each output channel, made
 * from the float32 vector whenever that changed. Sums, max pooling and global averages between
 * convolutions work on bytes as well; all else is float32, tensors without a known range included.
 * (The scheme is that of Jacob et al., "Quantization and Training of Neural Networks for Efficient
 * Integer-Arithmetic-Only Inference", CVPR 2018, with weights by channel as in Krishnamoorthi,
 * arXiv:1806.08342, section 3.) */
enum nn_precision { NN_PRECISION_F32 = 1, NN_PRECISION_BF16, NN_PRECISION_INT8 };

bool nn_precision_is_native(enum nn_precision precision);

/* What inference of this model is meant to run in: INT8 where it carries calibrated ranges and the
 * processor has the arithmetic, else F32. */
enum nn_precision nn_precision_of_model(const struct nn_model *m);

/* What training is meant to run in here: BF16 where the processor has the arithmetic, else F32. */
enum nn_precision nn_precision_of_training(void);

struct nn_session_options {
    enum nn_mode mode;           /* default NN_INFER */
    int batch;                   /* default 1, 1..1024 */
    int threads;                 /* OpenMP threads of a run, default 1, 1..256 */
    enum nn_bn_mode bn_mode;     /* default NN_BN_FROZEN */
    enum nn_precision precision; /* default NN_PRECISION_F32 */
    /* Winograd's algorithm for 3 x 3 convolutions of a float32 session, where it is expected to be
     * faster; default true. Results differ by rounding, about 1e-6. */
    bool winograd;
    bool fuse;          /* inference: batch-norm, activations and residual sums become part of the
                         * convolution before them; training: batch-norm becomes part of the
                         * depthwise one behind it; default true, false: for comparisons */
    bool channels_last; /* never lay channels out in blocks: for comparisons; default false */
    /* A Softmax over the channels that makes an output is left out: the output is what it reads,
     * the logits that losses and temperatures are defined on. Default false. */
    bool logits;
    /* Inference: the weights are the model's for good. The session gives back the memory that it
     * would need to take others (nn_session_params is NULL). Default false. */
    bool fixed;
    /* What nn_session_bytes may come to; 0: anything. Above it, training makes results of batch
     * norms anew in the backward pass instead of keeping them (up to 5 % more time, up to half of
     * the memory), then those of convolutions; where that is not enough, opening is refused with
     * ST_LIMIT. */
    size_t memory_limit_bytes;
    /* [nn_model parameters] true: a tensor that does not train. Its gradient is 0, and backward
     * stops where nothing upstream trains; a batch-norm whose scale and shift do not train
     * normalises with the running statistics. NULL: all train. Read at open only. */
    const bool *frozen;
    /* INT8: [graph tensors] in place of the ranges that the model carries; NULL: those. Read at
     * open only. */
    const struct nn_range *ranges;
};

/* Fills *o with the defaults above. */
void nn_session_options_init(struct nn_session_options *o);

/* A tensor in the session's memory: logical NCHW dims, strides in elements (an NHWC tensor of
 * rank 4 has stride[1] == 1). dim[0] is the batch. */
struct nn_view {
    float *data;
    int rank;
    int64_t dim[NN_RANK_MAX], stride[NN_RANK_MAX];
};

struct nn_session;

/* options may be NULL (defaults). The model must outlive the session. Parameters start as
 * nn_model_values. */
enum status nn_session_open(const struct nn_model *m, const struct nn_session_options *options,
                            struct nn_session **ret, struct error *err);
void nn_session_close(struct nn_session **s);

/* The parameter vector, nn_model_param_count floats, in the model's order. Write freely between
 * runs, then call nn_session_params_changed before the next forward. NULL where they are fixed. */
float *nn_session_params(struct nn_session *s);
void nn_session_params_changed(struct nn_session *s);

/* The same where only parameters from `begin` up to `end` changed: the next forward packs the
 * weights anew of those layers alone that read them. Adds to what was said since the last one. */
void nn_session_params_changed_in(struct nn_session *s, size_t begin, size_t end);

/* Gradient of the loss by every parameter, same order (statistics: always 0). Training only. */
float *nn_session_grads(struct nn_session *s);

/* index-th graph input or output, in the model's order. Inputs are written, outputs read. */
struct nn_view nn_session_input(struct nn_session *s, int index);
struct nn_view nn_session_output(struct nn_session *s, int index);

/* Where the caller puts d loss / d output before nn_session_backward. Training only. */
struct nn_view nn_session_output_grad(struct nn_session *s, int index);

enum status nn_session_forward(struct nn_session *s, struct error *err);

/* After a forward: writes (does not add to) nn_session_grads. */
enum status nn_session_backward(struct nn_session *s, struct error *err);

/* Bytes taken: arena, parameters, gradients, primitives' weights copies, scratchpad. */
size_t nn_session_bytes(const struct nn_session *s);

#endif
