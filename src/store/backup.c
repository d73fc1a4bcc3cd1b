/* backup.c - writing a backup. The database first, as one moment has it; then the files that its
 * rows name, which retention leaves alone meanwhile; files are whole under their names, whatever
 * the server does. */
#include "store/backup.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/backup_internal.h"
#include "store/store.h"

#define PIECE_BYTES 65536
#define DEPTH_MAX 4
#define SQLITE_STEPS 1000

struct writing {
    const char *dir;
    const struct backup_options *o;
    struct archive *a;
    sqlite3 *db; /* the copy */
    struct buf sums;
    struct backup_report report;
    uint64_t total;
    int hold; /* retention waits while it beats */
    int fd;
    int failed; /* errno of the first write that failed, 0: none */
    bool drops; /* what is still to be written is for nobody */
};

void backup_add_sum(struct buf *sums, const char hex[65], const char *path)
{
    buf_printf(sums, "%s  %s\n", hex, path);
}

bool backup_path_valid(const char *path)
{
    size_t n = strlen(path);
    if (n == 0 || n > BACKUP_PATH_CHARS_MAX || path[0] == '/')
        return false;
    for (const char *at = path; at;) {
        size_t part = strcspn(at, "/");
        if (part == 0 || (part == 1 && at[0] == '.') || (part == 2 && strncmp(at, "..", 2) == 0))
            return false;
        at = at[part] ? at + part + 1 : NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (path[i] < '!' || path[i] > '~' || path[i] == '\\')
            return false;
    return true;
}

/* ---- entries ---- */

static enum status archive_failed(struct archive *a, struct error *err)
{
    return error_set(err, ST_IO, "cannot write the backup: %s",
                     archive_error_string(a) ? archive_error_string(a) : "the archive failed");
}

/* Never fails for the library, which leaks when it ends an archive that has failed. */
static la_ssize_t sink(struct archive *a, void *context, const void *data, size_t n)
{
    struct writing *w = context;
    ssize_t put = 0;
    (void)a;
    while (!w->drops && (put = write(w->fd, data, n)) < 0 && errno == EINTR)
        ;
    if (put < 0)
        w->failed = errno;
    w->drops = w->drops || put < 0;
    return w->drops ? (la_ssize_t)n : put;
}

static enum status sink_status(const struct writing *w, struct error *err)
{
    bool full = w->failed == ENOSPC || w->failed == EFBIG || w->failed == EDQUOT;
    if (!w->failed)
        return ST_OK;
    return error_set(err, full ? ST_LIMIT : ST_IO, "cannot write the backup: %s",
                     strerror(w->failed));
}

static enum status begin_entry(struct writing *w, const char *name, uint64_t size,
                               struct error *err)
{
    struct archive_entry *e = archive_entry_new();
    if (!e)
        return error_set(err, ST_NOMEM, "no memory for a backup");
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)size);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0600);
    archive_entry_set_mtime(e, (time_t)(w->o->now_us / 1000000), 0);
    int code = archive_write_header(w->a, e);
    archive_entry_free(e);
    return code == ARCHIVE_OK ? sink_status(w, err) : archive_failed(w->a, err);
}

static bool is_stopped(const struct backup_options *o)
{
    return o->stop && o->stop(o->context);
}

static enum status stopped(struct error *err)
{
    return error_set(err, ST_AGAIN, "the backup was ended before it was whole; there is none");
}

static enum status put_bytes(struct writing *w, const void *data, size_t n, struct error *err)
{
    if (is_stopped(w->o))
        return stopped(err);
    la_ssize_t put = archive_write_data(w->a, data, n);
    store_hold_beat(w->hold);
    return put >= 0 && (size_t)put == n ? sink_status(w, err) : archive_failed(w->a, err);
}

static void count_file(struct writing *w, const char hex[65], const char *name, uint64_t size)
{
    backup_add_sum(&w->sums, hex, name);
    w->report.files++;
    w->report.bytes += size;
    if (w->o->progress)
        w->o->progress(w->o->context, w->report.files, w->total);
}

static enum status add_bytes(struct writing *w, const char *name, const void *data, size_t n,
                             struct error *err)
{
    char hex[65];
    enum status st = begin_entry(w, name, n, err);
    if (st == ST_OK)
        st = put_bytes(w, data, n, err);
    file_sha256_hex(data, n, hex);
    if (st == ST_OK)
        count_file(w, hex, name, n);
    return st;
}

/* A file that is cut while it is read is none of ours: they are replaced, never changed. */
static enum status copy_pieces(struct writing *w, int fd, uint64_t size, struct file_sha256 *hash,
                               const char *path, struct error *err)
{
    static const char cut[] = "has become shorter while it was read";
    char piece[PIECE_BYTES];
    enum status st = ST_OK;
    while (size > 0 && st == ST_OK) {
        ssize_t n = read(fd, piece, size < sizeof piece ? (size_t)size : sizeof piece);
        if (n <= 0)
            return error_set(err, ST_IO, "%s %s", path, n < 0 ? strerror(errno) : cut);
        file_sha256_add(hash, piece, (size_t)n);
        st = put_bytes(w, piece, (size_t)n, err);
        size -= (uint64_t)n;
    }
    return st;
}

static enum status add_open_file(struct writing *w, int fd, const char *path, const char *name,
                                 struct error *err)
{
    struct stat at;
    struct file_sha256 hash;
    char hex[65];
    if (fstat(fd, &at) != 0 || !S_ISREG(at.st_mode))
        return ST_OK; /* sockets and the like are made anew */
    if (w->report.files >= BACKUP_FILES_MAX)
        return error_set(err, ST_LIMIT, "more than %d files are too many for a backup",
                         BACKUP_FILES_MAX);
    enum status st = file_sha256_begin(&hash, err);
    if (st == ST_OK)
        st = begin_entry(w, name, (uint64_t)at.st_size, err);
    if (st == ST_OK)
        st = copy_pieces(w, fd, (uint64_t)at.st_size, &hash, path, err);
    file_sha256_end(&hash, hex);
    if (st == ST_OK)
        count_file(w, hex, name, (uint64_t)at.st_size);
    return st;
}

/* ST_NOT_FOUND, without a message: it is gone. */
static enum status add_file(struct writing *w, const char *path, const char *name,
                            struct error *err)
{
    if (!backup_path_valid(name))
        return error_set(err, ST_INVALID, "the name of %s is none of ours; move it away", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && (errno == ENXIO || errno == ELOOP))
        return ST_OK; /* a socket, a link */
    if (fd < 0)
        return errno == ENOENT ? ST_NOT_FOUND
                               : error_set(err, ST_IO, "cannot read %s: %s", path, strerror(errno));
    enum status st = add_open_file(w, fd, path, name, err);
    close(fd);
    return st;
}

/* ---- the database ---- */

static enum status db_failed(sqlite3 *db, struct error *err)
{
    int code = sqlite3_extended_errcode(db);
    bool full = (code & 0xff) == SQLITE_FULL;
    return error_set(err, full ? ST_LIMIT : ST_IO, "cannot copy the database: %s",
                     sqlite3_errmsg(db));
}

static int on_steps(void *context)
{
    return is_stopped(context);
}

/* Whatever the database does meanwhile can be ended. */
static enum status run(sqlite3 *db, const char *sql, const struct backup_options *o,
                       struct error *err)
{
    sqlite3_progress_handler(db, SQLITE_STEPS, on_steps, (void *)(uintptr_t)o);
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (code == SQLITE_INTERRUPT)
        return stopped(err);
    return code == SQLITE_OK ? ST_OK : db_failed(db, err);
}

/* "VACUUM INTO" takes a whole transaction's view, also of a database that is written to. */
static enum status copy_database(const char *dir, const char *to, const struct backup_options *o,
                                 struct error *err)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/%s", dir, BACKUP_DATABASE);
    if (access(path, R_OK) != 0)
        return error_set(err, ST_NOT_FOUND, "%s is no state folder of a server: it has no %s", dir,
                         BACKUP_DATABASE);
    enum status st = ST_OK;
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", to);
    if (!sql || sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        st = error_set(err, ST_IO, "cannot open %s", path);
    if (st == ST_OK) {
        sqlite3_busy_timeout(db, 30000);
        st = run(db, sql, o, err);
    }
    sqlite3_free(sql);
    sqlite3_close_v2(db);
    return st;
}

/* Rows do not name files that are not there; the numbers of the samples stay used. */
static const char without_chunks[] =
    "UPDATE cameras SET seq_retired=MAX(seq_retired,"
    "COALESCE((SELECT MAX(seq) FROM chunks WHERE camera=cameras.id),0));"
    "DELETE FROM chunks; VACUUM";

static enum status read_number(struct writing *w, const char *sql, int64_t *ret, struct error *err)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(w->db, sql, -1, &q, NULL) != SQLITE_OK)
        return db_failed(w->db, err);
    *ret = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return ST_OK;
}

static void read_student(struct writing *w)
{
    sqlite3_stmt *q;
    const char *sql = "SELECT value FROM meta WHERE key='student'";
    if (sqlite3_prepare_v2(w->db, sql, -1, &q, NULL) != SQLITE_OK)
        return;
    if (sqlite3_step(q) == SQLITE_ROW && sqlite3_column_text(q, 0))
        snprintf(w->report.student, sizeof w->report.student, "%s",
                 (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
}

static enum status open_copy(struct writing *w, const char *path, struct error *err)
{
    int64_t schema = 0, chunks = 0;
    if (sqlite3_open_v2(path, &w->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return error_set(err, ST_IO, "cannot open %s", path);
    enum status st = w->o->chunks ? ST_OK : run(w->db, without_chunks, w->o, err);
    if (st == ST_OK)
        st = read_number(w, "PRAGMA user_version", &schema, err);
    if (st == ST_OK)
        st = read_number(w, "SELECT COUNT(*) FROM chunks", &chunks, err);
    w->report.schema = (int)schema;
    w->total = 3 * (uint64_t)chunks; /* samples, labels and answers, and a few more */
    read_student(w);
    return st;
}

/* ---- the manifest ---- */

static enum status add_manifest(struct writing *w, struct error *err)
{
    json_t *o = json_pack("{s:s,s:i,s:I,s:s,s:i,s:s,s:b,s:b}", "format", BACKUP_FORMAT, "version",
                          BACKUP_VERSION, "made_us", (json_int_t)w->o->now_us, "program",
                          w->o->program ? w->o->program : "", "schema", w->report.schema, "student",
                          w->report.student, "chunks", (int)w->o->chunks, "keys", (int)w->o->keys);
    char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    enum status st = text ? add_bytes(w, BACKUP_MANIFEST, text, strlen(text), err)
                          : error_set(err, ST_NOMEM, "no memory for a backup");
    free(text);
    json_decref(o);
    return st;
}

/* ---- samples ---- */

static enum status add_sample(struct writing *w, const char *camera, uint64_t seq, bool labelled,
                              struct error *err)
{
    static const char *const kinds[][2] = {
        {"chunks", "chunk"}, {"labels", "labels"}, {"labels", "answers"}};
    enum status st = ST_OK;
    for (int i = 0; i < (labelled ? 3 : 1) && st == ST_OK; i++) {
        char name[BACKUP_PATH_CHARS_MAX + 1], path[PATH_MAX];
        snprintf(name, sizeof name, "%s/%s/%llu.%s", kinds[i][0], camera, (unsigned long long)seq,
                 kinds[i][1]);
        snprintf(path, sizeof path, "%s/%s", w->dir, name);
        st = add_file(w, path, name, err);
        if (st == ST_NOT_FOUND) {
            w->report.missing += i < 2; /* not every label has answers */
            st = ST_OK;
        }
    }
    return st;
}

static enum status add_samples(struct writing *w, struct error *err)
{
    sqlite3_stmt *q;
    int code;
    enum status st = ST_OK;
    if (sqlite3_prepare_v2(w->db, "SELECT camera,seq,state FROM chunks ORDER BY camera,seq", -1, &q,
                           NULL) != SQLITE_OK)
        return db_failed(w->db, err);
    while (st == ST_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        const char *camera = (const char *)sqlite3_column_text(q, 0);
        if (camera)
            st = add_sample(w, camera, (uint64_t)sqlite3_column_int64(q, 1),
                            sqlite3_column_int(q, 2) == STORE_LABELLED, err);
    }
    if (st == ST_OK && code != SQLITE_DONE)
        st = db_failed(w->db, err);
    sqlite3_finalize(q);
    return st;
}

/* ---- everything else ---- */

/* What is made anew, or written in another way. */
static bool is_left_out(const struct writing *w, const char *name)
{
    static const char *const names[] = {
        "attune.db", "attune.db-wal", "attune.db-shm", "attune.db-journal",
        "lock",      "backup",        "chunks",        "labels"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strstr(name, ".tmp.") || (strcmp(name, "tls") == 0 && !w->o->keys);
}

/* models/GROUP/vN.KIND of a version that the database does not know yet. */
static bool is_ahead(struct writing *w, const char *name)
{
    char group[128];
    unsigned long long version;
    sqlite3_stmt *q;
    if (sscanf(name, "models/%127[^/]/v%llu.", group, &version) != 2 ||
        sqlite3_prepare_v2(w->db, "SELECT version FROM lines WHERE id=?", -1, &q, NULL) !=
            SQLITE_OK)
        return false;
    sqlite3_bind_text(q, 1, group, -1, SQLITE_STATIC);
    bool ahead =
        sqlite3_step(q) != SQLITE_ROW || version > (unsigned long long)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return ahead;
}

/* folder: within dir, "" for itself. */
static enum status add_folder(struct writing *w, const char *folder, int depth, struct error *err)
{
    char path[PATH_MAX];
    const struct dirent *e;
    snprintf(path, sizeof path, "%s/%s", w->dir, folder);
    DIR *open = opendir(path);
    if (!open)
        return errno == ENOENT ? ST_OK
                               : error_set(err, ST_IO, "cannot read %s: %s", path, strerror(errno));
    enum status st = ST_OK;
    while (st == ST_OK && (e = readdir(open))) {
        char name[PATH_MAX], file[PATH_MAX];
        struct stat at;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            is_left_out(w, e->d_name))
            continue;
        int n = snprintf(name, sizeof name, "%s%s%s", folder, folder[0] ? "/" : "", e->d_name);
        int m = snprintf(file, sizeof file, "%s/%s", w->dir, name);
        if (n < 0 || m < 0 || (size_t)m >= sizeof file || is_ahead(w, name) ||
            lstat(file, &at) != 0)
            continue;
        if (S_ISDIR(at.st_mode))
            st = depth < DEPTH_MAX ? add_folder(w, name, depth + 1, err) : ST_OK;
        else if (S_ISREG(at.st_mode))
            st = add_file(w, file, name, err);
        if (st == ST_NOT_FOUND) /* replaced meanwhile, as a learner's state is */
            st = ST_OK;
    }
    closedir(open);
    return st;
}

/* ---- the whole ---- */

static enum status add_all(struct writing *w, const char *copy, struct error *err)
{
    enum status st = add_manifest(w, err);
    if (st == ST_OK)
        st = add_file(w, copy, BACKUP_DATABASE, err);
    if (st == ST_OK)
        st = add_folder(w, "", 0, err); /* models change fastest */
    if (st == ST_OK && w->o->chunks)
        st = add_samples(w, err);
    if (st == ST_OK && w->sums.failed)
        st = error_set(err, ST_NOMEM, "no memory for a backup");
    if (st == ST_OK && !store_hold_kept(w->hold))
        st = error_set(err, ST_AGAIN,
                       "the backup stood still for more than %d minutes and the server has tidied "
                       "up meanwhile; make it again",
                       (int)(STORE_HOLD_SILENT_US / 60000000));
    if (st == ST_OK)
        st = begin_entry(w, BACKUP_SUMS, w->sums.size_bytes, err);
    return st == ST_OK ? put_bytes(w, w->sums.data, w->sums.size_bytes, err) : st;
}

static enum status write_archive(struct writing *w, const char *copy, struct error *err)
{
    w->a = archive_write_new();
    if (!w->a)
        return error_set(err, ST_NOMEM, "no memory for a backup");
    archive_write_set_format_pax_restricted(w->a);
    archive_write_add_filter_zstd(w->a);
    archive_write_set_bytes_in_last_block(w->a, 1);
    enum status st = archive_write_open(w->a, w, NULL, sink, NULL) == ARCHIVE_OK
                         ? ST_OK
                         : archive_failed(w->a, err);
    if (st == ST_OK)
        st = add_all(w, copy, err);
    if (st == ST_OK && archive_write_close(w->a) != ARCHIVE_OK)
        st = archive_failed(w->a, err);
    if (st == ST_OK && !w->failed && fsync(w->fd) != 0)
        w->failed = errno;
    if (st == ST_OK)
        st = sink_status(w, err);
    w->drops = true;
    archive_write_free(w->a);
    return st;
}

static enum status write_part(struct writing *w, const char *part, const char *copy,
                              struct error *err)
{
    w->fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd < 0 || fchmod(w->fd, 0600) != 0) {
        enum status st = error_set(err, ST_IO, "cannot write %s: %s", part, strerror(errno));
        if (w->fd >= 0)
            close(w->fd);
        return st;
    }
    enum status st = write_archive(w, copy, err);
    close(w->fd);
    return st;
}

/* SQLite writes into an empty file, too: one that nobody else can read. */
static enum status make_private(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
    close(fd);
    return ST_OK;
}

static enum status write_both(struct writing *w, const char *part, const char *copy,
                              struct error *err)
{
    enum status st = make_private(copy, err);
    if (st == ST_OK)
        st = copy_database(w->dir, copy, w->o, err);
    store_hold_beat(w->hold);
    if (st == ST_OK)
        st = open_copy(w, copy, err);
    if (st == ST_OK)
        st = write_part(w, part, copy, err);
    sqlite3_close_v2(w->db);
    return st;
}

enum status backup_write(const char *dir, const char *file, const struct backup_options *o,
                         struct backup_report *ret, struct error *err)
{
    char part[PATH_MAX], copy[PATH_MAX];
    struct writing w = {.dir = dir, .o = o, .hold = -1};
    if (strlen(dir) + BACKUP_PATH_CHARS_MAX + 2 > PATH_MAX || strlen(file) + 32 > PATH_MAX)
        return error_set(err, ST_INVALID, "the paths are too long");
    snprintf(part, sizeof part, "%s.part.%d", file, (int)getpid());
    snprintf(copy, sizeof copy, "%s.db.%d", file, (int)getpid());
    buf_init(&w.sums);
    w.report.made_us = o->now_us;
    w.report.chunks = o->chunks;
    w.report.keys = o->keys;
    snprintf(w.report.program, sizeof w.report.program, "%s", o->program ? o->program : "");
    enum status st = store_hold(dir, &w.hold, err);
    if (st == ST_OK)
        st = write_both(&w, part, copy, err);
    if (st == ST_OK && rename(part, file) != 0)
        st = error_set(err, ST_IO, "cannot rename %s: %s", part, strerror(errno));
    store_release(w.hold);
    unlink(copy);
    if (st != ST_OK)
        unlink(part);
    buf_clear(&w.sums);
    if (st == ST_OK)
        *ret = w.report;
    return st;
}
