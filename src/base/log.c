#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_journal.h"
#include "base/log_repeats.h"
#include "base/names.h"

static atomic_int threshold = LOG_INFO;
static atomic_int chosen = LOG_LOGFMT;
static atomic_int journal = -1; /* descriptor; -1: lines go to standard error */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_repeats repeats;

#define NAME(name, text) [LOG_##name] = text,
static const char *const formats[] = {LOG_FORMAT_LIST(NAME)};
#undef NAME

void log_level_set(enum log_level level)
{
    atomic_store(&threshold, level);
}

enum log_level log_level_parse(const char *name)
{
    return (enum log_level)names_find(log_level_names, NAMES_COUNT(log_level_names), name, 0);
}

/* Once; others may be writing, so it stays open. */
static void open_journal(void)
{
    pthread_mutex_lock(&lock);
    if (atomic_load(&journal) < 0 && log_journal_is_stderr())
        atomic_store(&journal, log_journal_open(LOG_JOURNAL_ADDRESS));
    pthread_mutex_unlock(&lock);
}

void log_format_set(enum log_format format)
{
    if (format == LOG_JOURNALD)
        open_journal();
    atomic_store(&chosen, format);
}

enum log_format log_format_parse(const char *name)
{
    return (enum log_format)names_find(formats, NAMES_COUNT(formats), name, LOG_FORMAT_NONE);
}

/* Without the time, which differs. */
static bool is_news(const char *line, size_t n, uint64_t now_us, unsigned *ret_hidden)
{
    uint64_t hash = log_repeats_hash(line, n);
    pthread_mutex_lock(&lock);
    bool news = log_repeats_pass(&repeats, hash, now_us, ret_hidden);
    pthread_mutex_unlock(&lock);
    return news;
}

#define PRIORITY_CHARS 3 /* "<6>" */

static bool tell_journal(const char *line, size_t n, const struct log_head *head,
                         const char *format, va_list args)
{
    int fd = atomic_load(&journal);
    return head->format == LOG_JOURNALD && fd >= 0 &&
           log_journal_send(fd, line + PRIORITY_CHARS, n - PRIORITY_CHARS - 1, head, format, args);
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    if ((int)level > atomic_load(&threshold))
        return;
    char line[LOG_LINE_BYTES_MAX];
    struct log_head head = {.format = LOG_JOURNALD, .level = (int)level, .event = event};
    va_list args;
    va_start(args, format);
    size_t n = log_line_write(line, &head, format, args);
    if (is_news(line, n, clock_mono_us(), &head.repeated)) {
        head.format = (enum log_format)atomic_load(&chosen);
        head.wall_us = clock_wall_us();
        n = log_line_write(line, &head, format, args);
        if (!tell_journal(line, n, &head, format, args)) {
            ssize_t ignored = write(STDERR_FILENO, line, n);
            (void)ignored;
        }
    }
    va_end(args);
}
