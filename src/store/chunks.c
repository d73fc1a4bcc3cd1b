/* chunks.c - uploads: first the file, then the row. A number is used once: the same bytes again
 * are welcome (the camera never saw our answer), other bytes are a conflict. */
#include "store/db.h"

#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"

/* Centuries of chunks: whoever holds a camera's token must not use its numbers up. */
#define SEQ_STEP_MAX ((uint64_t)1 << 32)

static enum status check_disk(const struct store *s, struct error *err)
{
    struct statvfs v;
    if (statvfs(s->dir, &v) != 0)
        return error_set(err, ST_IO, "cannot ask for the free space of %s", s->dir);
    uint64_t free_mb = (uint64_t)v.f_bavail * v.f_frsize / 1000000;
    if (free_mb < s->options.disk_free_min_mb)
        return error_set(err, ST_LIMIT, "the disk of %s is full (%llu MB free, %llu are kept free)",
                         s->dir, (unsigned long long)free_mb,
                         (unsigned long long)s->options.disk_free_min_mb);
    return ST_OK;
}

/* ST_OK: the number is free; ST_END: the same bytes are stored. */
static enum status check_number(struct store *s, const char *camera, uint64_t seq,
                                const char *sha256_hex, struct error *err)
{
    int64_t retired, same, last = 0;
    enum status st =
        db_number(s, err, &same, "SELECT COUNT(*) FROM cameras WHERE id=?", "t", camera);
    if (st == ST_OK && same == 0)
        return error_set(err, ST_NOT_FOUND,
                         "there is no camera '%.80s' here; its hello comes first", camera);
    if (st == ST_OK)
        st = db_number(s, err, &same, "SELECT 1+(sha256=?) FROM chunks WHERE camera=? AND seq=?",
                       "tti", sha256_hex, camera, (int64_t)seq);
    if (st == ST_OK)
        st = db_number(s, err, &retired, "SELECT seq_retired FROM cameras WHERE id=?", "t", camera);
    if (st == ST_OK)
        st = db_number(s, err, &last, "SELECT seq_last FROM cameras WHERE id=?", "t", camera);
    if (st != ST_OK)
        return st;
    if (same == 2)
        return ST_END;
    if (same == 1)
        return error_set(err, ST_CONFLICT,
                         "chunk %llu of '%s' is stored with other bytes; go on with the next "
                         "number that the hello gives",
                         (unsigned long long)seq, camera);
    if (seq - (uint64_t)last > SEQ_STEP_MAX && (int64_t)seq > last)
        return error_set(err, ST_CONFLICT,
                         "chunk %llu of '%s' is far from %lld, the newest; go on with the next "
                         "number that the hello gives",
                         (unsigned long long)seq, camera, (long long)last);
    if ((int64_t)seq <= retired)
        return error_set(err, ST_CONFLICT,
                         "chunk %llu of '%s' is older than what is kept; go on with the next "
                         "number that the hello gives",
                         (unsigned long long)seq, camera);
    return ST_OK;
}

static enum status backlog_of(struct store *s, const char *camera, int64_t *ret, struct error *err)
{
    if (!camera)
        return db_number(s, err, ret, "SELECT COUNT(*) FROM chunks WHERE state=1", "");
    return db_number(s, err, ret, "SELECT COUNT(*) FROM chunks WHERE state=1 AND camera=?", "t",
                     camera);
}

static enum status check_backlog(struct store *s, const char *camera, struct error *err)
{
    int64_t waiting;
    enum status st = backlog_of(s, camera, &waiting, err);
    if (st == ST_OK && waiting >= s->options.backlog_max)
        st = error_set(err, ST_AGAIN,
                       "%d chunks of '%s' wait for their labels; send this one again later",
                       (int)waiting, camera);
    return st;
}

static enum status insert(struct store *s, const char *camera, uint64_t seq, size_t n,
                          const char *sha256_hex, uint64_t now_us, struct error *err)
{
    enum status st = db_begin(s, err);
    if (st != ST_OK)
        return st;
    st = db_run(s, err, "INSERT INTO chunks VALUES(?,?,?,?,?,1)", "titii", camera, (int64_t)seq,
                sha256_hex, (int64_t)n, (int64_t)now_us);
    if (st == ST_OK)
        st = db_run(s, err,
                    "UPDATE cameras SET seq_last=MAX(seq_last,?),chunks=chunks+1,"
                    "up_bytes=up_bytes+?,seen_us=? WHERE id=?",
                    "iiit", (int64_t)seq, (int64_t)n, (int64_t)now_us, camera);
    return db_end(s, st, err);
}

static enum status put(struct store *s, const char *camera, uint64_t seq, const void *data,
                       size_t n, uint64_t now_us, struct error *err)
{
    char sha256_hex[65], path[PATH_MAX];
    file_sha256_hex(data, n, sha256_hex);
    db_lock(s);
    enum status st = check_number(s, camera, seq, sha256_hex, err);
    if (st == ST_OK)
        st = check_backlog(s, camera, err);
    db_unlock(s);
    if (st == ST_OK)
        st = check_disk(s, err);
    if (st != ST_OK)
        return st;
    store_chunk_path(s, camera, seq, path);
    st = file_write(path, data, n, err);
    if (st != ST_OK)
        return st;
    db_lock(s);
    st = insert(s, camera, seq, n, sha256_hex, now_us, err);
    db_unlock(s);
    return st;
}

enum status store_chunk_put(struct store *s, const char *camera, uint64_t seq, const void *data,
                            size_t n, uint64_t now_us, bool *ret_new, struct error *err)
{
    if (!store_camera_id_valid(camera) || seq == 0 || seq > INT64_MAX)
        return error_set(err, ST_INVALID, "bad camera id or sequence number");
    pthread_mutex_lock(&s->put_lock);
    enum status st = put(s, camera, seq, data, n, now_us, err);
    pthread_mutex_unlock(&s->put_lock);
    if (st == ST_OK)
        *ret_new = true;
    if (st == ST_END) {
        *ret_new = false;
        st = ST_OK;
    }
    return st;
}

static void read_row(sqlite3_stmt *q, struct store_chunk *c)
{
    db_text(q, 0, c->camera, sizeof c->camera);
    c->seq = db_u64(q, 1);
    db_text(q, 2, c->sha256_hex, sizeof c->sha256_hex);
    c->size_bytes = db_u64(q, 3);
    c->received_us = db_u64(q, 4);
    c->state = (enum store_chunk_state)sqlite3_column_int(q, 5);
}

/* Calls row for what the query yields and ends it. */
static enum status read_rows(struct store *s, sqlite3_stmt *q, store_chunk_row *row, void *context,
                             struct error *err)
{
    struct store_chunk c;
    enum status st;
    while ((st = db_step(s, q, err)) == ST_OK) {
        read_row(q, &c);
        row(&c, context);
    }
    sqlite3_finalize(q);
    return st == ST_END ? ST_OK : st;
}

/* Beside MIN() SQLite gives the other columns of the same row. */
enum status store_chunks_waiting(struct store *s, store_chunk_row *row, void *context,
                                 struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT camera,MIN(seq),sha256,bytes,received_us,state FROM chunks"
                              " WHERE state=1 GROUP BY camera ORDER BY received_us",
                              "");
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}

enum status store_chunk_before(struct store *s, const char *camera, uint64_t us, uint64_t *ret,
                               struct error *err)
{
    int64_t seq = 0;
    db_lock(s);
    enum status st = db_number(
        s, err, &seq,
        "SELECT seq FROM chunks WHERE camera=? AND received_us<? ORDER BY received_us DESC"
        " LIMIT 1",
        "ti", camera, (int64_t)us);
    db_unlock(s);
    if (st == ST_OK)
        *ret = (uint64_t)seq;
    return st;
}

enum status store_backlog(struct store *s, const char *camera, uint64_t *ret, struct error *err)
{
    int64_t n = 0;
    db_lock(s);
    enum status st = backlog_of(s, camera, &n, err);
    db_unlock(s);
    if (st == ST_OK)
        *ret = (uint64_t)n;
    return st;
}

enum status store_chunks_labelled(struct store *s, const char *camera, uint64_t after, int limit,
                                  store_chunk_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT camera,seq,sha256,bytes,received_us,state FROM chunks"
                              " WHERE camera=? AND seq>? AND state=2 ORDER BY seq LIMIT ?",
                              "tii", camera, (int64_t)after, (int64_t)limit);
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}
