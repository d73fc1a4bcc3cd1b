/* worker.c - `attune worker`: the training process. The server starts it; it reads requests from
 * standard input and is worth nothing without them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "server/worker.h"

#define NICENESS 10 /* below the cameras and the labels that share the machine */

int cmd_worker(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("usage: attune worker\n\n"
               "A training process. The server starts it and talks to it over standard input and "
               "output,\none JSON object a line (docs/worker.md).\n");
        return CMD_OK;
    }
    if (argc > 1)
        return cmd_usage(argv[0], "it takes no arguments, not '%s'", argv[1]);
    if (isatty(STDIN_FILENO))
        return cmd_usage(argv[0], "the server starts this; there is nothing to do by hand");
    /* A server that dies takes its worker along; files are written whole, so nothing is torn. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpriority(PRIO_PROCESS, 0, NICENESS);
    struct error err = {0};
    return worker_run(STDIN_FILENO, STDOUT_FILENO, &err) == ST_OK ? CMD_OK
                                                                  : cmd_fail(argv[0], &err);
}
