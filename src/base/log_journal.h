/* log_journal.h - events to journald by its own protocol, with their fields beside the text.
 *
 * What comes by standard error is text to the journal. By its socket each field of an event is a
 * field of the entry (ATTUNE_EVENT, ATTUNE_CAMERA, ...), so that `journalctl ATTUNE_CAMERA=gate`
 * finds it. The protocol is documented and stable (systemd.io/JOURNAL_NATIVE_PROTOCOL), and a
 * datagram: that is not worth a dependency on libsystemd.
 *
 * Owns:    nothing; the descriptor is the caller's.
 * Threads: sending is safe from any.
 */
#ifndef ATTUNE_BASE_LOG_JOURNAL_H
#define ATTUNE_BASE_LOG_JOURNAL_H

#include <stdbool.h>

#include "base/log_line.h"

#define LOG_JOURNAL_ADDRESS "/run/systemd/journal/socket"

/* Whether standard error goes to the journal, as systemd says by JOURNAL_STREAM. Who has turned it
 * elsewhere wants the lines there. */
bool log_journal_is_stderr(void);

/* A descriptor to send by; -1: nobody is there. */
int log_journal_open(const char *address);

/* text: the event as people read it, one line without its newline. False: it was not taken. */
bool log_journal_send(int fd, const char *text, size_t n, const struct log_head *head,
                      const char *fields, va_list args);

#endif
