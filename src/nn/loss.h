/* loss.h - losses for distillation on views of logits.
 *
 * Source: AMS's loss (Khani et al., ICCV 2021; the authors' code): softmax cross-entropy restricted
 * to the chosen classes against the teacher's hard label, pixels of other classes masked out, mean
 * over the pixels that remain. Soft labels are the option of the same code.
 *
 * Threads: pure; uses the calling thread's OpenMP team.
 */
#ifndef ATTUNE_NN_LOSS_H
#define ATTUNE_NN_LOSS_H

#include "nn/session.h"

#define NN_LABEL_IGNORE 255
#define NN_LOSS_CLASSES_MAX 1024 /* C at most; more is misuse */

struct nn_ce_options {
    const uint8_t *class_chosen; /* [C] nonzero: in the softmax; NULL: all */
    const float *class_weight;   /* [C] weight of a pixel with that label; NULL: all 1 */
    float label_smoothing;       /* 0..1 spread evenly over the chosen classes; default 0 */
};

/* Mean cross-entropy of logits [N,C,H,W] (or [N,C]) against hard labels [N,H,W] (or [N]); labels
 * that are NN_LABEL_IGNORE, >= C or not chosen are masked. Writes d loss / d logits times
 * grad_scale into *grad (same dims; NULL data: skipped) - zeros where masked and for classes not
 * chosen. With class weights the mean is the weighted one (divided by the sum of the weights). With
 * no pixel left the loss is 0. Returns the loss. */
double nn_loss_hard(const struct nn_view *logits, const uint8_t *labels,
                    const struct nn_ce_options *options, float grad_scale,
                    const struct nn_view *grad);

/* Mean cross-entropy against soft targets: probs holds probabilities in 1/255 steps, [N,h,w,C]
 * channel-last at a resolution h x w that is read with nearest neighbour at every pixel of the
 * logits; pixels whose probabilities of chosen classes are all 0 are masked, others are made to sum
 * to 1; a pixel's weight is the mean of its classes' weights. temperature (> 0, default 1) divides
 * the student's logits; the gradient is multiplied by temperature, which makes it
 * (softmax - target) * grad_scale / pixels at any temperature. *grad is ADDED to when `add` is
 * true, else written. Returns the loss. */
double nn_loss_soft(const struct nn_view *logits, const uint8_t *probs, int height, int width,
                    const struct nn_ce_options *options, float temperature, float grad_scale,
                    bool add, const struct nn_view *grad);

/* labels[N,H,W] = class with the largest logit among the chosen (NULL: all); ties to the lower.
 * C at most 255, since labels are bytes; NN_LABEL_IGNORE everywhere when none is chosen. */
void nn_argmax(const struct nn_view *logits, const uint8_t *class_chosen, uint8_t *labels);

#endif
