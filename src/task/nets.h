/* nets.h - the networks that are trained for the synthetic town: of each task a student that a
 * camera runs, and a teacher with ten times its parameters. All are plain convolutions with
 * batch-norm kept in the file.
 *
 * Segmentation: encoder and decoder, gated by the picture's global average at 1/16 of its size,
 * with skips from 1/8, 1/4 and 1/2; logits are made at half size and resized to the input's.
 * Detection: such an encoder, then one grid at 1/8 on which it meets 1/16; two branches of that,
 * for objectness and box, and for classes (detect_head.h, "grid").
 * Classification: three halvings with residual blocks, the mean over what is left, a linear layer.
 *
 * Errors: ST_INVALID (a size that is no multiple of NET_SIZE_MULTIPLE), ST_NOMEM.
 */
#ifndef ATTUNE_TASK_NETS_H
#define ATTUNE_TASK_NETS_H

#include "base/buf.h"
#include "base/error.h"
#include "task/task.h"

#define NET_SIZE_MULTIPLE 16

enum net_kind { NET_STUDENT = 1, NET_TEACHER };

/* "student", "teacher"; NULL and 0 for none. */
const char *net_name(enum net_kind kind);
enum net_kind net_parse(const char *name);

struct net_options {
    enum task_kind task;
    enum net_kind kind;
    int width, height;
    int class_count;
    const char *const *class_names;
    uint64_t seed;          /* of the initial weights */
    const char *trained_on; /* for the metadata */
};

/* Appends the untrained network's ONNX file to *out. */
enum status net_build(const struct net_options *options, struct buf *out, struct error *err);

#endif
