#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/names.h"

static atomic_int threshold = LOG_INFO;
static const char *const names[] = {NULL, "error", "warn", "info", "debug"};

void log_level_set(enum log_level level)
{
    atomic_store(&threshold, level);
}

enum log_level log_level_parse(const char *name)
{
    return (enum log_level)names_find(names, NAMES_COUNT(names), name, 0);
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    if ((int)level > atomic_load(&threshold))
        return;
    char line[1024];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "ts=%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ level=%s event=\"%.120s\"",
                          now.tv_nsec / 1000000, names[level], event);
    if (format) {
        line[n++] = ' ';
        va_list args;
        va_start(args, format);
        int m = vsnprintf(line + n, sizeof line - n - 1, format, args);
        va_end(args);
        n += m < 0 ? 0 : (size_t)m;
        if (n > sizeof line - 2)
            n = sizeof line - 2;
    }
    line[n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}
