/* restore.c - reading a backup: all of it is checked before anything is written. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/backup_internal.h"
#include "store/store.h"

#define PIECE_BYTES 65536

struct reading {
    const char *file;
    const char *into; /* the folder that files are written to, NULL: they are checked only */
    struct archive *a;
    struct buf seen; /* sums of what was read, as SHA256SUMS has them */
    struct buf manifest;
    bool has_database, done;
    struct backup_report report;
};

static enum status damaged(const struct reading *r, const char *why, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s is damaged or no backup of attune: %s", r->file, why);
}

static enum status archive_failed(const struct reading *r, struct error *err)
{
    const char *why = archive_error_string(r->a);
    return damaged(r, why ? why : "it cannot be read", err);
}

/* ---- an entry's content ---- */

static enum status write_all(int fd, const char *data, size_t n, struct error *err)
{
    while (n > 0) {
        ssize_t put = write(fd, data, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return error_set(err, errno == ENOSPC || errno == EFBIG ? ST_LIMIT : ST_IO,
                             "cannot write what is restored: %s", strerror(errno));
        data += put;
        n -= (size_t)put;
    }
    return ST_OK;
}

/* keep (NULL: not): the content, at most keep_max; fd -1: not written. */
static enum status read_content(struct reading *r, int fd, struct buf *keep, size_t keep_max,
                                char hex[65], struct error *err)
{
    char piece[PIECE_BYTES];
    struct file_sha256 hash;
    la_ssize_t n = 0;
    enum status st = file_sha256_begin(&hash, err);
    while (st == ST_OK && (n = archive_read_data(r->a, piece, sizeof piece)) > 0) {
        file_sha256_add(&hash, piece, (size_t)n);
        r->report.bytes += (uint64_t)n;
        if (keep && keep->size_bytes + (size_t)n > keep_max)
            st = damaged(r, "a part of it is too large", err);
        else if (keep)
            buf_put(keep, piece, (size_t)n);
        if (st == ST_OK && fd >= 0)
            st = write_all(fd, piece, (size_t)n, err);
    }
    if (st == ST_OK && n < 0)
        st = archive_failed(r, err);
    file_sha256_end(&hash, hex);
    return st;
}

static enum status make_parents(const char *path, struct error *err)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    return file_mkdirs(folder, err);
}

static enum status open_target(const struct reading *r, const char *name, int *ret_fd,
                               struct error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", r->into, name) >= (int)sizeof path)
        return error_set(err, ST_LIMIT, "the path of %s is too long", name);
    enum status st = make_parents(path, err);
    if (st != ST_OK)
        return st;
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *ret_fd >= 0 ? ST_OK
                        : error_set(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
}

static enum status read_file(struct reading *r, const char *name, struct error *err)
{
    char hex[65];
    bool is_manifest = strcmp(name, BACKUP_MANIFEST) == 0;
    int fd = -1;
    enum status st = r->into && !is_manifest ? open_target(r, name, &fd, err) : ST_OK;
    if (st == ST_OK)
        st = read_content(r, fd, is_manifest ? &r->manifest : NULL, BACKUP_MANIFEST_BYTES_MAX, hex,
                          err);
    if (fd >= 0 && (fsync(fd) != 0 || close(fd) != 0) && st == ST_OK)
        st = error_set(err, ST_IO, "cannot write what is restored: %s", strerror(errno));
    if (st == ST_OK) {
        backup_add_sum(&r->seen, hex, name);
        r->report.files++;
        r->has_database |= strcmp(name, BACKUP_DATABASE) == 0;
    }
    return st;
}

/* The last entry lists those before it, in their order. */
static enum status compare_sums(struct reading *r, struct error *err)
{
    struct buf sums;
    char hex[65];
    uint64_t bytes = r->report.bytes;
    buf_init(&sums);
    enum status st = read_content(r, -1, &sums, BACKUP_SUMS_BYTES_MAX, hex, err);
    r->report.bytes = bytes;
    if (st == ST_OK &&
        (sums.size_bytes != r->seen.size_bytes || sums.failed || r->seen.failed ||
         (sums.size_bytes > 0 && memcmp(sums.data, r->seen.data, sums.size_bytes) != 0)))
        st = damaged(r, "its files are not those that it was made with", err);
    r->done = st == ST_OK;
    buf_clear(&sums);
    return st;
}

/* ---- the manifest ---- */

static void copy_member(const json_t *o, const char *key, char *ret, size_t size_bytes)
{
    const char *s = json_string_value(json_object_get(o, key));
    snprintf(ret, size_bytes, "%s", s ? s : "");
}

static enum status read_manifest(struct reading *r, struct error *err)
{
    json_t *o = json_loadb((const char *)r->manifest.data, r->manifest.size_bytes, 0, NULL);
    const char *format = json_string_value(json_object_get(o, "format"));
    json_int_t version = json_integer_value(json_object_get(o, "version"));
    enum status st = ST_OK;
    r->report.schema = (int)json_integer_value(json_object_get(o, "schema"));
    r->report.made_us = (uint64_t)json_integer_value(json_object_get(o, "made_us"));
    r->report.chunks = json_is_true(json_object_get(o, "chunks"));
    r->report.keys = json_is_true(json_object_get(o, "keys"));
    copy_member(o, "program", r->report.program, sizeof r->report.program);
    copy_member(o, "student", r->report.student, sizeof r->report.student);
    if (!format || strcmp(format, BACKUP_FORMAT) != 0)
        st = damaged(r, "it does not begin with a manifest", err);
    else if (version != BACKUP_VERSION || r->report.schema > store_schema())
        st =
            error_set(err, ST_CONFLICT,
                      "%s is of a newer attune (%.60s, schema %d; this one knows %d); use that one",
                      r->file, r->report.program, r->report.schema, store_schema());
    json_decref(o);
    return st;
}

/* ---- the archive ---- */

static enum status read_entry(struct reading *r, struct archive_entry *e, struct error *err)
{
    const char *name = archive_entry_pathname(e);
    if (!name || archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) ||
        !backup_path_valid(name))
        return damaged(r, "it has what no backup has", err);
    if (r->done || r->report.files >= BACKUP_FILES_MAX)
        return damaged(r, "it goes on after its end", err);
    if ((r->report.files == 0) != (strcmp(name, BACKUP_MANIFEST) == 0))
        return damaged(r, "it does not begin with a manifest", err);
    if (strcmp(name, BACKUP_SUMS) == 0)
        return compare_sums(r, err);
    enum status st = read_file(r, name, err);
    return st == ST_OK && r->report.files == 1 ? read_manifest(r, err) : st;
}

static enum status read_entries(struct reading *r, struct error *err)
{
    struct archive_entry *e;
    enum status st = ST_OK;
    int code;
    while (st == ST_OK && (code = archive_read_next_header(r->a, &e)) != ARCHIVE_EOF)
        st = code == ARCHIVE_OK ? read_entry(r, e, err) : archive_failed(r, err);
    if (st == ST_OK && !r->done)
        st = damaged(r, "its end is missing", err);
    if (st == ST_OK && !r->has_database)
        st = damaged(r, "it has no database", err);
    return st;
}

static enum status read_archive(const char *file, const char *into, struct backup_report *ret,
                                struct error *err)
{
    struct reading r = {.file = file, .into = into};
    if (access(file, R_OK) != 0)
        return error_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "cannot read %s: %s", file,
                         strerror(errno));
    buf_init(&r.seen);
    buf_init(&r.manifest);
    r.a = archive_read_new();
    if (!r.a)
        return error_set(err, ST_NOMEM, "no memory for a backup");
    archive_read_support_format_tar(r.a);
    archive_read_support_filter_zstd(r.a);
    enum status st = archive_read_open_filename(r.a, file, PIECE_BYTES) == ARCHIVE_OK
                         ? read_entries(&r, err)
                         : archive_failed(&r, err);
    archive_read_free(r.a);
    buf_clear(&r.seen);
    buf_clear(&r.manifest);
    if (st == ST_OK)
        *ret = r.report;
    return st;
}

enum status backup_check(const char *file, struct backup_report *ret, struct error *err)
{
    return read_archive(file, NULL, ret, err);
}

/* ---- into place ---- */

static int remove_one(const char *path, const struct stat *at, int kind, struct FTW *where)
{
    (void)at, (void)kind, (void)where;
    (void)remove(path);
    return 0;
}

static bool is_empty(const char *dir)
{
    const struct dirent *e;
    DIR *open = opendir(dir);
    bool empty = true;
    while (open && empty && (e = readdir(open)))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (open)
        closedir(open);
    return empty;
}

/* No server has it open. */
static enum status check_unused(const char *dir, struct error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path)
        return error_set(err, ST_LIMIT, "the path %s is too long", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool used = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return used ? error_set(err, ST_CONFLICT, "a server is using %s; stop it first", dir) : ST_OK;
}

static enum status check_target(const char *dir, bool force, struct error *err)
{
    struct stat at;
    if (lstat(dir, &at) != 0)
        return ST_OK;
    if (!S_ISDIR(at.st_mode))
        return error_set(err, ST_CONFLICT, "%s is no folder", dir);
    if (!is_empty(dir) && !force)
        return error_set(err, ST_CONFLICT,
                         "%s is not empty; name another folder, or --force to have it moved away",
                         dir);
    return check_unused(dir, err);
}

static enum status swap(const char *from, const char *dir, uint64_t now_us, char *ret_moved,
                        struct error *err)
{
    char moved[PATH_MAX] = "";
    if (access(dir, F_OK) == 0 && rmdir(dir) != 0) {
        int n = snprintf(moved, sizeof moved, "%s.before-%llu", dir, (unsigned long long)now_us);
        if (n >= (int)sizeof moved || rename(dir, moved) != 0)
            return error_set(err, ST_IO, "cannot move %s away: %s", dir, strerror(errno));
    }
    if (rename(from, dir) != 0) {
        enum status st = error_set(err, ST_IO, "cannot rename %s: %s", from, strerror(errno));
        if (moved[0])
            (void)rename(moved, dir);
        return st;
    }
    if (ret_moved)
        memcpy(ret_moved, moved, sizeof moved);
    return ST_OK;
}

enum status backup_restore(const char *file, const char *dir, bool force, uint64_t now_us,
                           struct backup_report *ret, char *ret_moved, struct error *err)
{
    char target[PATH_MAX], into[PATH_MAX];
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n == 0 || n + BACKUP_PATH_CHARS_MAX + 64 > PATH_MAX)
        return error_set(err, ST_INVALID, "the path of the state folder is empty or too long");
    snprintf(target, sizeof target, "%.*s", (int)n, dir);
    snprintf(into, sizeof into, "%.*s.restore.%d", (int)n, dir, (int)getpid());
    enum status st = check_target(target, force, err);
    if (st == ST_OK)
        st = backup_check(file, ret, err);
    if (st == ST_OK)
        st = file_mkdirs(into, err);
    if (st != ST_OK)
        return st;
    st = read_archive(file, into, ret, err);
    if (st == ST_OK)
        st = swap(into, target, now_us, ret_moved, err);
    if (st != ST_OK)
        nftw(into, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return st;
}
