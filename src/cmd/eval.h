/* eval.h - the two forms of `attune eval`. */
#ifndef ATTUNE_CMD_EVAL_H
#define ATTUNE_CMD_EVAL_H

/* With --fleet among the arguments: argv as cmd_eval's. */
int eval_fleet(int argc, char **argv);

#endif
