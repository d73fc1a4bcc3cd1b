/* bench_start.c - `attune bench` becomes the program attune-bench beside this one. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"

#define PROGRAM "attune-bench"

/* PATH_MAX characters for the path of a file beside this program. */
static enum status beside(char path[PATH_MAX], struct error *err)
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    char *slash = n > 0 && n < PATH_MAX ? memrchr(path, '/', (size_t)n) : NULL;
    if (!slash || slash + 1 + sizeof PROGRAM > path + PATH_MAX)
        return error_set(err, ST_IO, "cannot tell where this program is");
    memcpy(slash + 1, PROGRAM, sizeof PROGRAM);
    return ST_OK;
}

int cmd_bench(int argc, char **argv)
{
    (void)argc;
    char path[PATH_MAX];
    struct error err = {0};
    if (beside(path, &err) == ST_OK) {
        execv(path, argv);
        error_set(&err, ST_IO, "cannot run %s: %s; it is installed beside attune", path,
                  strerror(errno));
    }
    return cmd_fail("bench", &err);
}
