/* detect_loss.h - what a detector's answer costs against boxes, and the gradient.
 *
 * Source: YOLOX (Ge et al., arXiv:2107.08430, section 2.1 and the authors' code): cells are
 * assigned by SimOTA, objectness and classes cost binary cross-entropy, boxes an overlap with
 * weight 5, all over the number of assigned cells of the batch. SimOTA: candidates of a box are the
 * cells whose centre is within 1.5 strides of its centre; a candidate costs its class error plus 3
 * times -log(IoU); a box takes as many of the cheapest as the ten best IoUs sum up to (one at
 * least); a cell that several take goes to the one it costs least.
 *
 * Where we differ: the overlap is GIoU (Rezatofighi et al., CVPR 2019), which has a gradient for
 * boxes that do not meet; targets of objectness and class are 1, not the IoU; a cell that is taken
 * twice goes to the cheaper of those two, not of all boxes. Of heads with a softmax over their
 * classes (FastestDet) the class costs cross-entropy, and candidates are the cells that tanh can
 * reach the centre from, FastestDet's own. Boxes that are unsure, and of classes that are not
 * chosen, ask for nothing: unassigned cells whose centre is in one have no objectness cost.
 *
 * Threads: pure function.
 */
#ifndef ATTUNE_TASK_DETECT_LOSS_H
#define ATTUNE_TASK_DETECT_LOSS_H

#include "task/detect_head.h"

/* Loss of a batch: tables[N][DETECT_TABLE_BYTES] (task/detect.h); class_chosen[class_count], NULL:
 * all. Writes d loss / d output times grad_scale to every element of *grad (NULL data: skipped). */
double detect_loss(const struct detect_head *h, const struct nn_view *output, const uint8_t *tables,
                   const uint8_t *class_chosen, float grad_scale, const struct nn_view *grad);

/* Generalised IoU of two boxes given by centre and sides, and its derivatives by the first's four
 * numbers. */
float detect_giou(const float a[4], const float b[4], float derivative[4]);

#endif
