#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <libdeflate.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status io_error(struct error *err, const char *what, const char *path)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    enum status code = errno == ENOENT ? ST_NOT_FOUND : full ? ST_LIMIT : ST_IO;
    return error_set(err, code, "cannot %s %s: %s", what, path, strerror(errno));
}

static enum status read_all(int fd, const char *path, size_t bytes_max, struct buf *out,
                            struct error *err)
{
    size_t total = 0;
    for (;;) {
        uint8_t chunk[65536];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(err, "read", path);
        if (n == 0)
            return ST_OK;
        total += (size_t)n;
        if (total > bytes_max)
            return error_set(err, ST_LIMIT, "%s is larger than %zu bytes", path, bytes_max);
        buf_put(out, chunk, (size_t)n);
        if (out->failed)
            return error_set(err, ST_NOMEM, "no memory to read %s", path);
    }
}

enum status file_read(const char *path, size_t bytes_max, struct buf *out, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    enum status st = read_all(fd, path, bytes_max, out, err);
    close(fd);
    return st;
}

static enum status write_all(int fd, const char *path, const uint8_t *data, size_t n,
                             struct error *err)
{
    while (n > 0) {
        ssize_t done = write(fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return io_error(err, "write", path);
        data += done;
        n -= (size_t)done;
    }
    if (fsync(fd) != 0)
        return io_error(err, "sync", path);
    return ST_OK;
}

static enum status sync_folder_of(const char *path, struct error *err)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open the folder of", path);
    int bad = fsync(fd);
    close(fd);
    return bad ? io_error(err, "sync the folder of", path) : ST_OK;
}

/* A service that runs as another user than root could not read it. */
static enum status give_to_folder_owner(int fd, const char *path, struct error *err)
{
    char copy[PATH_MAX];
    struct stat folder;
    snprintf(copy, sizeof copy, "%s", path);
    if (geteuid() != 0 || stat(dirname(copy), &folder) != 0 || folder.st_uid == 0)
        return ST_OK;
    return fchown(fd, folder.st_uid, folder.st_gid) == 0 ? ST_OK : io_error(err, "give away", path);
}

static enum status write_whole(const char *path, const void *data, size_t n, bool for_owner,
                               struct error *err)
{
    char tmp[PATH_MAX];
    /* The thread's id keeps two writers of one path apart. */
    int len = snprintf(tmp, sizeof tmp, "%s.tmp.%d", path, (int)gettid());
    if (len < 0 || (size_t)len >= sizeof tmp)
        return error_set(err, ST_LIMIT, "path too long: %s", path);
    /* Never what a link leads to: the folder may be another's. */
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return io_error(err, "create", tmp);
    enum status st = for_owner ? give_to_folder_owner(fd, tmp, err) : ST_OK;
    if (st == ST_OK)
        st = write_all(fd, tmp, data, n, err);
    close(fd);
    if (st == ST_OK && rename(tmp, path) != 0)
        st = io_error(err, "rename to", path);
    if (st != ST_OK) {
        unlink(tmp);
        return st;
    }
    return sync_folder_of(path, err);
}

enum status file_write(const char *path, const void *data, size_t n, struct error *err)
{
    return write_whole(path, data, n, false, err);
}

enum status file_write_for_owner(const char *path, const void *data, size_t n, struct error *err)
{
    return write_whole(path, data, n, true, err);
}

enum status file_mkdirs(const char *path, struct error *err)
{
    char copy[PATH_MAX];
    int len = snprintf(copy, sizeof copy, "%s", path);
    if (len < 0 || (size_t)len >= sizeof copy)
        return error_set(err, ST_LIMIT, "path too long: %s", path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char keep = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            return io_error(err, "create folder", copy);
        *p = keep;
        if (!keep)
            return ST_OK;
    }
}

static void write_hex(const uint8_t digest[32], char ret_hex[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

void file_sha256_hex(const void *data, size_t n, char ret_hex[65])
{
    uint8_t digest[32] = {0};
    gnutls_hash_fast(GNUTLS_DIG_SHA256, data, n, digest);
    write_hex(digest, ret_hex);
}

enum status file_sha256_begin(struct file_sha256 *h, struct error *err)
{
    gnutls_hash_hd_t state = NULL;
    h->state = NULL;
    if (gnutls_hash_init(&state, GNUTLS_DIG_SHA256) != 0)
        return error_set(err, ST_NOMEM, "no memory for a checksum");
    h->state = state;
    return ST_OK;
}

void file_sha256_add(struct file_sha256 *h, const void *data, size_t n)
{
    gnutls_hash(h->state, data, n);
}

void file_sha256_end(struct file_sha256 *h, char ret_hex[65])
{
    uint8_t digest[32] = {0};
    if (h->state)
        gnutls_hash_deinit(h->state, digest);
    h->state = NULL;
    write_hex(digest, ret_hex);
}

uint32_t file_crc32(const void *data, size_t n)
{
    return file_crc32_more(0, data, n);
}

uint32_t file_crc32_more(uint32_t crc, const void *data, size_t n)
{
    /* libdeflate takes NULL for a question about the first value. */
    return n ? libdeflate_crc32(crc, data, n) : crc;
}
