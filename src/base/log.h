/* log.h - structured log lines (logfmt, JSON or for journald: log_line.h) on standard error.
 *
 * Who gives up logs, once: libraries return a status; the node or command that drops, retries or
 * stops logs one event with ids, code and consequence.  nn, delta, video, store and task do not
 * include this header.
 *
 * Lines that say the same again and again are counted instead (log_repeats.h).
 *
 * Threads: safe; one write(2) a line.
 * Time:    reads the wall clock for the stamp only.
 */
#ifndef ATTUNE_BASE_LOG_H
#define ATTUNE_BASE_LOG_H

#include "base/log_line.h"

enum log_level { LOG_ERROR = 1, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped. Default: LOG_INFO. */
void log_level_set(enum log_level level);

/* "error", "warn", "info" or "debug"; 0 when the name is none of them. */
enum log_level log_level_parse(const char *name);

/* Default: LOG_LOGFMT. LOG_JOURNALD, where standard error is the journal's: by its own protocol,
 * with fields (log_journal.h). */
void log_format_set(enum log_format format);

/* LOG_FORMAT_NONE: the name is none of log_line.h's. */
enum log_format log_format_parse(const char *name);

/* event is a short noun-verb ("chunk stored"); the format gives key=value pairs:
 * log_write(LOG_INFO, "chunk stored", "camera=%s seq=%u", id, seq); NULL format for none.
 * Text is put in quotes ("why=\"%s\""); what is in it may be anything. */
void log_write(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
