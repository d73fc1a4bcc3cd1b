/* versions.c - every candidate that a training phase made, accepted or not, with the scores and
 * the reason; the camera's version moves in the same transaction. */
#include "store/db.h"

static enum status insert(struct store *s, const char *camera, const struct store_version *v,
                          struct error *err)
{
    return db_run(s, err,
                  "INSERT INTO versions(camera,version,base,delta_bytes,snapshot_bytes,accepted,"
                  "score_before,score_after,trained_seq,reason,t_us) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                  "tiiiiiffiti", camera, (int64_t)v->version, (int64_t)v->base,
                  (int64_t)v->delta_bytes, (int64_t)v->snapshot_bytes, (int64_t)v->accepted,
                  v->score_before, v->score_after, (int64_t)v->trained_seq, v->reason,
                  (int64_t)v->t_us);
}

static enum status put(struct store *s, const char *camera, const struct store_version *v,
                       struct error *err)
{
    static const char accepted[] =
        "UPDATE cameras SET version=version+1,versions=versions+1 WHERE id=? AND version+1=?";
    static const char rejected[] =
        "UPDATE cameras SET rejected=rejected+1 WHERE id=? AND version+1=?";
    enum status st =
        db_run(s, err, v->accepted ? accepted : rejected, "ti", camera, (int64_t)v->version);
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        return error_set(err, ST_CONFLICT, "version %llu of '%s' does not follow its latest",
                         (unsigned long long)v->version, camera);
    return st == ST_OK ? insert(s, camera, v, err) : st;
}

enum status store_version_put(struct store *s, const char *camera, const struct store_version *v,
                              struct error *err)
{
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, put(s, camera, v, err), err);
    db_unlock(s);
    return st;
}

static void read_row(sqlite3_stmt *q, struct store_version *v)
{
    v->version = db_u64(q, 0);
    v->base = db_u64(q, 1);
    v->delta_bytes = db_u64(q, 2);
    v->snapshot_bytes = db_u64(q, 3);
    v->accepted = sqlite3_column_int(q, 4) != 0;
    v->score_before = db_real(q, 5);
    v->score_after = db_real(q, 6);
    v->trained_seq = db_u64(q, 7);
    db_text(q, 8, v->reason, sizeof v->reason);
    v->t_us = db_u64(q, 9);
}

enum status store_versions(struct store *s, const char *camera, int limit, store_version_row *row,
                           void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT version,base,delta_bytes,snapshot_bytes,accepted,"
                              "score_before,score_after,trained_seq,reason,t_us FROM versions"
                              " WHERE camera=? ORDER BY id DESC LIMIT ?",
                              "ti", camera, (int64_t)limit);
    if (st == ST_OK) {
        struct store_version v;
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_row(q, &v);
            row(&v, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}
