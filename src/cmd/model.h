/* model.h - inside src/cmd: the verbs of `attune model` and what they share.
 *
 * A verb has its own file; argv[0] is the verb. Exit statuses are those of cmd.h.
 */
#ifndef ATTUNE_CMD_MODEL_H
#define ATTUNE_CMD_MODEL_H

#include <jansson.h>

#include "cmd/cmd.h"
#include "nn/session.h"

int cmd_model_inspect(int argc, char **argv);
int cmd_model_check(int argc, char **argv);
int cmd_model_train(int argc, char **argv);
int cmd_model_export(int argc, char **argv);
int cmd_model_diff(int argc, char **argv);
int cmd_model_delta(int argc, char **argv);
int cmd_model_quantize(int argc, char **argv);
int cmd_model_describe(int argc, char **argv);
int cmd_model_versions(int argc, char **argv);
int cmd_model_rollback(int argc, char **argv);

#define CMD_MODEL_SIDE_MAX 8192
#define CMD_MODEL_BATCH_MAX 1024

/* size: [width, height], 0: the file's. */
struct nn_model_options cmd_model_options(const int size[2]);

/* A session with random inputs, and outputs' gradients when it trains; refuses what could not fit
 * into this machine's memory before anything is opened (ST_LIMIT). */
enum status cmd_model_session(const struct nn_model *m, const struct nn_session_options *options,
                              struct nn_session **ret, struct error *err);

#endif
