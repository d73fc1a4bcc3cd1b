#include "base/process.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A line of a file of /proc that begins with `key`, what follows as a number. */
static double number_after(const char *path, const char *key)
{
    char line[256];
    double v = NAN;
    FILE *f = fopen(path, "re");
    while (f && isnan(v) && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%lf", &v) != 1)
            break;
    if (f)
        fclose(f);
    return v;
}

/* Fields 14, 15, 20, 22, 23 and 24 of proc(5), counted after the name, which may hold anything. */
static void read_stat(struct process_usage *ret)
{
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *after = strrchr(text, ')');
    unsigned long long user, system, start, bytes;
    long threads, pages;
    if (!after || sscanf(after + 1,
                         " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
                         "%ld %*d %llu %llu %ld",
                         &user, &system, &threads, &start, &bytes, &pages) != 6)
        return;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    ret->cpu_s = (double)(user + system) / ticks;
    ret->start_s = number_after("/proc/stat", "btime ") + (double)start / ticks;
    ret->virtual_bytes = (double)bytes;
    ret->resident_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
    ret->threads = (double)threads;
}

static double count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return NAN;
    int n = -1; /* the folder itself */
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

void process_usage_read(struct process_usage *ret)
{
    *ret = (struct process_usage){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    struct rlimit files;
    read_stat(ret);
    ret->open_fds = count_fds();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        ret->max_fds = files.rlim_cur == RLIM_INFINITY ? INFINITY : (double)files.rlim_cur;
}

uint64_t process_files_allow(uint64_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return wanted;
    if (files.rlim_cur < wanted && files.rlim_cur < files.rlim_max) {
        struct rlimit more = {files.rlim_max < wanted ? files.rlim_max : wanted, files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            files = more;
    }
    return files.rlim_cur;
}
