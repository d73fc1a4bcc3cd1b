/* backup_internal.h - what writing and reading backups share. */
#ifndef ATTUNE_STORE_BACKUP_INTERNAL_H
#define ATTUNE_STORE_BACKUP_INTERNAL_H

#include "base/buf.h"
#include "store/backup.h"

#define BACKUP_FORMAT "attune-backup"
#define BACKUP_VERSION 1
#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_SUMS "SHA256SUMS"
#define BACKUP_DATABASE "attune.db"
#define BACKUP_MANIFEST_BYTES_MAX ((size_t)1 << 16)
#define BACKUP_SUMS_BYTES_MAX ((size_t)BACKUP_FILES_MAX * 128)

/* "HEX  PATH\n", as sha256sum -c reads it. */
void backup_add_sum(struct buf *sums, const char hex[65], const char *path);

/* May a backup have a file of this name? Relative, of plain characters, without "." and "..". */
bool backup_path_valid(const char *path);

#endif
