#include "share/mps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mps_percentage(double share)
{
    double percent = round(share * 100);
    return percent < 1 ? 1 : percent > 100 ? 100 : (int)percent;
}

void mps_setting(double share, char ret_text[MPS_SETTING_BYTES])
{
    snprintf(ret_text, MPS_SETTING_BYTES, MPS_ENVIRONMENT "=%d", mps_percentage(share));
}

/* The daemon reads its commands from the pipe "control"; without a reader it cannot be opened for
 * writing. */
enum status mps_reachable(const char *pipe_dir, struct error *err)
{
    char path[PATH_MAX];
    const char *set = getenv("CUDA_MPS_PIPE_DIRECTORY");
    const char *dir = pipe_dir ? pipe_dir : set ? set : "/tmp/nvidia-mps";
    int n = snprintf(path, sizeof path, "%s/control", dir);
    int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd < 0)
        return error_set(err, ST_NOT_FOUND,
                         "no MPS daemon listens in %.200s (%s); start one with "
                         "nvidia-cuda-mps-control -d",
                         dir, strerror(errno));
    close(fd);
    return ST_OK;
}
