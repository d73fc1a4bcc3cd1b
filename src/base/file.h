/* file.h - whole files in, whole files out, and nothing half-written under a final name.
 *
 * Owns:    what file_read puts in *out is the caller's.
 * Errors:  ST_NOT_FOUND, ST_LIMIT, ST_IO (a full disk among them) with the path in the message.
 */
#ifndef ATTUNE_BASE_FILE_H
#define ATTUNE_BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

/* Appends the whole file to *out; refuses more than bytes_max. */
enum status file_read(const char *path, size_t bytes_max, struct buf *out, struct error *err);

/* Writes PATH.tmp.PID, fsyncs, renames over path and fsyncs the folder: after OK the file is
 * durable; after an error or a crash the old file (or none) is there. */
enum status file_write(const char *path, const void *data, size_t n, struct error *err);

/* The same; what root writes into another's folder becomes that one's. */
enum status file_write_for_owner(const char *path, const void *data, size_t n, struct error *err);

/* mkdir -p, mode 0700. */
enum status file_mkdirs(const char *path, struct error *err);

/* Lower-case hexadecimal SHA-256 (64 characters and NUL). */
void file_sha256_hex(const void *data, size_t n, char ret_hex[65]);

/* The same piece by piece. file_sha256_end in any case, also after a begin that failed. */
struct file_sha256 {
    void *state;
};
enum status file_sha256_begin(struct file_sha256 *h, struct error *err);
void file_sha256_add(struct file_sha256 *h, const void *data, size_t n);
void file_sha256_end(struct file_sha256 *h, char ret_hex[65]);

/* CRC-32 (zlib's polynomial) of n bytes. */
uint32_t file_crc32(const void *data, size_t n);

/* Of the bytes that `crc` (0: none) is of, followed by n more. */
uint32_t file_crc32_more(uint32_t crc, const void *data, size_t n);

#endif
