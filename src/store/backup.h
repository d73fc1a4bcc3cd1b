/* backup.h - the state folder of a server, which may be running, in one file, and back again.
 *
 * The file is a tar archive compressed with zstd (docs/formats.md): manifest.json, attune.db as one
 * moment had it, the files that its rows name, what else is in the folder, and last SHA256SUMS of
 * all of them. Retention waits while a backup is made (store_hold), unless it stands still for
 * STORE_HOLD_SILENT_US: such a one fails with ST_AGAIN. The server's other work goes on. Keys
 * (tls/) are in it only when asked for. The file and all that is restored are their owner's alone.
 *
 * Restoring checks the whole file before anything is written, writes beside the folder and renames.
 *
 * Threads: one thread each; other processes may have the folder open.
 * Memory:  small and fixed, and a line of SHA256SUMS for each file.
 * Errors:  ST_NOT_FOUND, ST_FORMAT (damaged, no backup), ST_CONFLICT (the folder is not empty, is
 * in use, or the backup is of a newer attune), ST_LIMIT (full disk), ST_IO.
 */
#ifndef ATTUNE_STORE_BACKUP_H
#define ATTUNE_STORE_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define BACKUP_FILES_MAX 4000000
#define BACKUP_PATH_CHARS_MAX 255

struct backup_options {
    bool chunks; /* samples and their labels; without: models, learners and the database */
    bool keys;
    const char *program; /* version of attune, for people */
    uint64_t now_us;
    /* Told after each file; NULL: not. total 0: not known. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    /* Asked all the time; true: ST_AGAIN, and nothing is left beside the file. NULL: not. */
    bool (*stop)(void *context);
    void *context; /* of both */
};

/* What is in a backup. */
struct backup_report {
    uint64_t files, bytes; /* of the content */
    uint64_t missing;      /* samples whose files are gone although there are rows (when written) */
    uint64_t made_us;
    int schema; /* of the database */
    bool chunks, keys;
    char program[64], student[65];
};

/* `file` is replaced when all is in the new one. */
enum status backup_write(const char *dir, const char *file, const struct backup_options *o,
                         struct backup_report *ret, struct error *err);

/* Reads all of it; nothing is written. */
enum status backup_check(const char *file, struct backup_report *ret, struct error *err);

/* dir is made; force: what is in it is moved to dir.before-NOW_US (ret_moved[PATH_MAX], NULL
 * allowed: not told; "": nothing was there). */
enum status backup_restore(const char *file, const char *dir, bool force, uint64_t now_us,
                           struct backup_report *ret, char *ret_moved, struct error *err);

#endif
