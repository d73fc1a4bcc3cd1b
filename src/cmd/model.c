/* model.c - `attune model VERB`: one verb, one function. */
#include "cmd/cmd.h"

int cmd_model(int argc, char **argv)
{
    (void)argc;
    return cmd_usage(argv[0], "this command is still being written");
}
