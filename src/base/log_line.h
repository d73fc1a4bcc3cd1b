/* log_line.h - one line of a log, in the form that its reader wants, from a template of fields.
 *
 * A template is as for printf, with a field or more: "camera=%s seq=%llu why=\"%s\"". Each value is
 * made by itself and then escaped, so that nothing in a value can end its field or its line, and
 * what is no UTF-8 becomes U+FFFD. The log's own quotes say that a value is text.
 *
 * Owns:    nothing.
 * Threads: pure functions.
 * Memory:  fixed: values are cut at LOG_VALUE_BYTES_MAX, and fields that do not fit are left out,
 *          with cut=true at the end.
 */
#ifndef ATTUNE_BASE_LOG_LINE_H
#define ATTUNE_BASE_LOG_LINE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_BYTES_MAX 4096
#define LOG_VALUE_BYTES_MAX 1024

/* Enumerator, name. */
#define LOG_FORMAT_LIST(X)                                                                         \
    X(LOGFMT, "logfmt")     /* ts=... level=info event="..." key=value, for people and for grep */ \
    X(JSON, "json")         /* an object a line */                                                 \
    X(JOURNALD, "journald") /* fields of the journal's entry; where standard error is not its:     \
                             * <PRIORITY>event="..." key=value, and systemd adds the time */

enum log_format {
    LOG_FORMAT_NONE,
#define ENUMERATOR(name, text) LOG_##name,
    LOG_FORMAT_LIST(ENUMERATOR)
#undef ENUMERATOR
        LOG_NATIVE /* no line: fields of journald's own protocol (log_journal.h), which nobody
                      chooses */
};

struct log_head {
    enum log_format format;
    int level;        /* enum log_level */
    uint64_t wall_us; /* since 1970 */
    const char *event;
    unsigned repeated; /* above 0: this line was left out so often before */
};

/* Fills line[LOG_LINE_BYTES_MAX], newline included; returns its length. fields NULL: none.
 * LOG_NATIVE: PRIORITY, SYSLOG_IDENTIFIER, ATTUNE_EVENT and ATTUNE_KEY for each field. */
size_t log_line_write(char *line, const struct log_head *head, const char *fields, va_list args);

/* "error", "warn", "info", "debug", by enum log_level. */
extern const char *const log_level_names[5];

#endif
