/* bench.h - inside src/cmd: the verbs of `attune bench` that have a file of their own. */
#ifndef ATTUNE_CMD_BENCH_H
#define ATTUNE_CMD_BENCH_H

#include "cmd/cmd.h"

int cmd_bench_engine(int argc, char **argv);

#endif
