/* calibrate.h - the ranges of a network's activations, from running it in float32 on typical
 * pictures; sessions of NN_PRECISION_INT8 need them (nn/session.h).
 *
 * Usage: 1 open; for each picture 2 fill nn_calibration_input, 3 nn_calibration_run;
 * 4 nn_calibration_ranges, as often as wanted; then nn_model_write_calibrated, or the ranges go
 * into the options of a session.
 *
 * Every tensor has a histogram of NN_CALIBRATION_BINS whose width doubles when a larger value
 * comes, so pictures need not be kept and their number does not matter.
 *
 * Owns:    pointers that it returns are borrowed until nn_calibration_close.
 * Threads: one at a time.
 * Memory:  a float32 session and 4 * NN_CALIBRATION_BINS bytes a tensor, all of it taken at open.
 * Errors:  those of opening and running a session; ST_INVALID, which names the tensor, when a
 *          value is not finite: that picture is not counted to the end.
 */
#ifndef ATTUNE_NN_CALIBRATE_H
#define ATTUNE_NN_CALIBRATE_H

#include "nn/session.h"

#define NN_CALIBRATION_BINS 4096

/* How a range follows from what was seen.
 *  MIN_MAX: all of it.
 *  ERROR:   the one for which the mean squared difference between the values and their bytes is
 *           least, among NN_CLIP_STEPS shrinkings of the whole (Nagel et al., "A White Paper on
 *           Neural Network Quantization", arXiv:2106.08295, section 3.1).
 * On the student for the town the two agree with float32 on as many pixels, and so does cutting off
 * a ten-thousandth of the values; ERROR is for networks with rare large activations. */
enum nn_clip { NN_CLIP_MIN_MAX = 1, NN_CLIP_ERROR };

#define NN_CLIP_STEPS 100

struct nn_calibration;

/* params: nn_model_param_count floats, NULL: the model's own. The model must outlive it. */
enum status nn_calibration_open(const struct nn_model *m, const float *params, int threads,
                                struct nn_calibration **ret, struct error *err);
void nn_calibration_close(struct nn_calibration **c);

/* Batch 1, as nn_session_input. */
struct nn_view nn_calibration_input(struct nn_calibration *c, int index);
struct nn_view nn_calibration_output(struct nn_calibration *c, int index);
enum status nn_calibration_run(struct nn_calibration *c, struct error *err);

/* ret[graph tensors]; unknown for parameters and constants. headroom: so many times as wide as what
 * was seen, for weights that will move; 1 for those that stay. Inputs have none. ST_INVALID before
 * the first run. */
enum status nn_calibration_ranges(const struct nn_calibration *c, enum nn_clip clip, float headroom,
                                  struct nn_range *ret, struct error *err);

#endif
