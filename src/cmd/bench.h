/* bench.h - inside src/cmd: the verbs of `attune bench` that have a file of their own. */
#ifndef ATTUNE_CMD_BENCH_H
#define ATTUNE_CMD_BENCH_H

#include "cmd/cmd.h"

/* Runs the verb argv[1] of `attune bench`; the exit status. */
int bench_verbs(int argc, char **argv);

int cmd_bench_engine(int argc, char **argv);

#endif
