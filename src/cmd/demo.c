/* demo.c - not built yet: its engineer replaces this file. */
#include "cmd/cmd.h"

int cmd_demo(int argc, char **argv)
{
    (void)argc;
    return cmd_usage(argv[0], "this command is still being written");
}
