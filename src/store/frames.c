/* frames.c - what labelling a chunk yields: its frames' scores, in one transaction with the
 * chunk's new state, so that a frame is never counted twice. */
#include "store/db.h"

#include <math.h>

static enum status insert(struct store *s, const char *camera, const struct store_frame *f,
                          struct error *err)
{
    return db_run(s, err, "INSERT INTO frames VALUES(?,?,?,?,?,?,?,?,?,?,?)", "tiiiiffffff", camera,
                  (int64_t)f->t_us, (int64_t)f->seq, (int64_t)f->index, (int64_t)f->version,
                  f->accuracy, f->unadapted, f->sampling_fps, f->up_kbps, f->down_kbps,
                  f->agreement);
}

static enum status set_state(struct store *s, const char *camera, uint64_t seq,
                             enum store_chunk_state state, struct error *err)
{
    enum status st =
        db_run(s, err, "UPDATE chunks SET state=? WHERE camera=? AND seq=? AND state=1", "iti",
               (int64_t)state, camera, (int64_t)seq);
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        st = error_set(err, ST_CONFLICT, "chunk %llu of '%s' does not wait for labels",
                       (unsigned long long)seq, camera);
    return st;
}

static enum status label(struct store *s, const char *camera, uint64_t seq,
                         const struct store_frame *frames, int count, struct error *err)
{
    enum status st = set_state(s, camera, seq, STORE_LABELLED, err);
    for (int i = 0; i < count && st == ST_OK; i++)
        st = insert(s, camera, &frames[i], err);
    if (st != ST_OK || count == 0)
        return st;
    const struct store_frame *newest = &frames[count - 1];
    return db_run(s, err,
                  "UPDATE cameras SET miou=?,unadapted=?,frame_t_us=?,frame_seq=? WHERE id=?"
                  " AND frame_t_us<=?",
                  "ffiiti", newest->accuracy, newest->unadapted, (int64_t)newest->t_us,
                  (int64_t)seq, camera, (int64_t)newest->t_us);
}

enum status store_chunk_labelled(struct store *s, const char *camera, uint64_t seq,
                                 const struct store_frame *frames, int count, struct error *err)
{
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, label(s, camera, seq, frames, count, err), err);
    db_unlock(s);
    return st;
}

enum status store_chunk_failed(struct store *s, const char *camera, uint64_t seq, struct error *err)
{
    db_lock(s);
    enum status st = set_state(s, camera, seq, STORE_FAILED, err);
    db_unlock(s);
    return st;
}

static void read_row(sqlite3_stmt *q, struct store_frame *f)
{
    f->t_us = db_u64(q, 0);
    f->seq = db_u64(q, 1);
    f->index = sqlite3_column_int(q, 2);
    f->version = db_u64(q, 3);
    f->accuracy = db_real(q, 4);
    f->unadapted = db_real(q, 5);
    f->sampling_fps = db_real(q, 6);
    f->up_kbps = db_real(q, 7);
    f->down_kbps = db_real(q, 8);
    f->agreement = db_real(q, 9);
}

/* Calls row for what the query yields and ends it. */
static enum status read_rows(struct store *s, sqlite3_stmt *q, store_frame_row *row, void *context,
                             struct error *err)
{
    struct store_frame f;
    enum status st;
    while ((st = db_step(s, q, err)) == ST_OK) {
        read_row(q, &f);
        row(&f, context);
    }
    sqlite3_finalize(q);
    return st == ST_END ? ST_OK : st;
}

#define COLUMNS                                                                                    \
    "t_us,seq,idx,version,miou_student,miou_unadapted,sampling_fps,up_kbps,down_kbps,agreement"

enum status store_frames(struct store *s, const char *camera, uint64_t since_us, int limit,
                         store_frame_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT * FROM (SELECT " COLUMNS " FROM frames WHERE camera=?"
                              " AND t_us>? ORDER BY t_us DESC LIMIT ?) ORDER BY t_us",
                              "tii", camera, (int64_t)since_us, (int64_t)limit);
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}

static void copy_row(const struct store_frame *f, void *context)
{
    *(struct store_frame *)context = *f;
}

enum status store_frame_get(struct store *s, const char *camera, uint64_t t_us, int index,
                            struct store_frame *ret, struct error *err)
{
    sqlite3_stmt *q;
    struct store_frame found = {0};
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT " COLUMNS " FROM frames WHERE camera=?1 AND t_us=?2"
                              " AND (?3<0 OR idx=?3) ORDER BY idx LIMIT 1",
                              "tii", camera, (int64_t)t_us, (int64_t)index);
    if (st == ST_OK)
        st = read_rows(s, q, copy_row, &found, err);
    db_unlock(s);
    if (st == ST_OK && found.seq == 0)
        st = error_set(err, ST_NOT_FOUND, "'%.63s' has no labelled frame of that time", camera);
    if (st == ST_OK)
        *ret = found;
    return st;
}

enum status store_frames_doubtful(struct store *s, const char *camera, int limit,
                                  store_frame_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    /* Of a group's columns SQLite takes those of the row that has the minimum. */
    enum status st =
        db_query(s, err, &q,
                 "SELECT t_us,seq,idx,version,miou_student,miou_unadapted,sampling_fps,up_kbps,"
                 "down_kbps,MIN(agreement) AS worst FROM (SELECT * FROM frames WHERE camera=?1"
                 " ORDER BY t_us DESC LIMIT ?2) WHERE agreement IS NOT NULL AND seq IN"
                 " (SELECT seq FROM chunks WHERE camera=?1 AND state=2) GROUP BY seq"
                 " ORDER BY worst, t_us DESC LIMIT ?3",
                 "tii", camera, (int64_t)STORE_DOUBTS_FROM, (int64_t)limit);
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}

enum status store_rates(struct store *s, const char *camera, uint64_t window_us, uint64_t now_us,
                        double *ret_up_kbps, double *ret_down_kbps, struct error *err)
{
    int64_t since = now_us > window_us ? (int64_t)(now_us - window_us) : 0, up = 0, down = 0;
    db_lock(s);
    enum status st = db_number(s, err, &up,
                               "SELECT SUM(bytes) FROM chunks WHERE camera=? AND received_us>?"
                               " AND received_us<=?",
                               "tii", camera, since, (int64_t)now_us);
    if (st == ST_OK)
        st = db_number(s, err, &down,
                       "SELECT SUM(bytes) FROM downloads WHERE camera=? AND t_us>? AND t_us<=?",
                       "tii", camera, since, (int64_t)now_us);
    db_unlock(s);
    if (st != ST_OK)
        return st;
    /* bytes * 8 bits / 1000 per second: microseconds cancel to a factor of 8000. */
    *ret_up_kbps = window_us ? (double)up * 8000 / (double)window_us : 0;
    *ret_down_kbps = window_us ? (double)down * 8000 / (double)window_us : 0;
    return ST_OK;
}
