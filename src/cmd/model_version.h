/* model_version.h - inside src/cmd: the parameters of a model at some version, from the files that
 * attune writes: an ONNX file, and on top of it a checkpoint, a snapshot, or deltas in order.
 *
 * Owns:    the model (counted by nobody: a copy shares it) and the parameters.
 * Errors:  those of nn/model.h, nn/checkpoint.h and delta/delta.h; messages name the file.
 */
#ifndef ATTUNE_CMD_MODEL_VERSION_H
#define ATTUNE_CMD_MODEL_VERSION_H

#include "nn/model.h"

struct model_version {
    const struct nn_model *model;
    struct nn_model *owned; /* the model, when this version opened it */
    float *params;
    uint64_t version; /* 0: the file's own values */
};

/* True for a checkpoint, a delta or a snapshot, by the file's first bytes; false for what should be
 * ONNX, and for what cannot be read. */
bool model_version_is_update(const char *path);

enum status model_version_open(const char *onnx, const struct nn_model_options *options,
                               struct model_version *ret, struct error *err);

/* The same model and parameters; `from` must outlive it. */
enum status model_version_copy(const struct model_version *from, struct model_version *ret,
                               struct error *err);
void model_version_close(struct model_version *v);

/* Brings v to what the checkpoint, delta or snapshot says. On failure v is as it was. */
enum status model_version_update(struct model_version *v, const char *path, struct error *err);

/* The snapshot of a camera in a server's state folder: that of `version`, or the newest (0). path
 * has room for PATH_MAX. */
enum status model_version_snapshot_path(const char *state, const char *camera, uint64_t version,
                                        char *path, struct error *err);

#endif
