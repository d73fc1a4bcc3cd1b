/* versions.c - every candidate that a training phase made, accepted or not, with the scores and
 * the reason; the version of the group and its cameras moves in the same transaction. */
#include "store/db.h"

#define COLUMNS                                                                                    \
    "v.version,v.base,v.delta_bytes,v.snapshot_bytes,v.accepted,v.score_before,v.score_after,"     \
    "v.reason,v.t_us"

static enum status insert(struct store *s, const char *group, const struct store_version *v,
                          struct error *err)
{
    return db_run(s, err,
                  "INSERT INTO versions(line,version,base,delta_bytes,snapshot_bytes,accepted,"
                  "score_before,score_after,reason,t_us) VALUES(?,?,?,?,?,?,?,?,?,?)",
                  "tiiiiiffti", group, (int64_t)v->version, (int64_t)v->base,
                  (int64_t)v->delta_bytes, (int64_t)v->snapshot_bytes, (int64_t)v->accepted,
                  v->score_before, v->score_after, v->reason, (int64_t)v->t_us);
}

/* Each version is encoded twice: the step and the snapshot. */
static enum status move_group(struct store *s, const char *group, const struct store_version *v,
                              struct error *err)
{
    enum status st =
        db_run(s, err,
               v->accepted ? "UPDATE lines SET version=?2,versions=versions+1,encoded=encoded+2,"
                             "encoded_bytes=encoded_bytes+?4 WHERE id=?1 AND version=?3 AND ?2>?3"
                           : "UPDATE lines SET rejected=rejected+1 WHERE id=?1 AND version=?3 AND"
                             " ?2>?3 AND ?4 IS NOT NULL",
               "tiii", group, (int64_t)v->version, (int64_t)v->base,
               (int64_t)(v->delta_bytes + v->snapshot_bytes));
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        return error_set(err, ST_CONFLICT, "version %llu of '%s' does not follow its latest",
                         (unsigned long long)v->version, group);
    return st;
}

static enum status move_cameras(struct store *s, const char *group, const struct store_version *v,
                                struct error *err)
{
    return db_run(s, err,
                  v->accepted ? "UPDATE cameras SET version=?2,versions=versions+1 WHERE line=?1"
                                " AND (paused_us=0 OR ?3)"
                              : "UPDATE cameras SET rejected=rejected+1 WHERE line=?1 AND"
                                " ?2 IS NOT NULL AND paused_us=0 AND ?3 IS NOT NULL",
                  "tii", group, (int64_t)v->version, (int64_t)v->for_paused);
}

enum status versions_put(struct store *s, const char *group, const struct store_version *v,
                         struct error *err)
{
    enum status st = move_group(s, group, v, err);
    if (st == ST_OK)
        st = move_cameras(s, group, v, err);
    return st == ST_OK ? insert(s, group, v, err) : st;
}

static enum status put(struct store *s, const char *group, const struct store_version *v,
                       const struct store_trained *trained, int count, struct error *err)
{
    enum status st = versions_put(s, group, v, err);
    for (int i = 0; i < count && st == ST_OK; i++)
        st = db_run(s, err, "UPDATE cameras SET trained_seq=? WHERE id=? AND line=?", "itt",
                    (int64_t)trained[i].seq, trained[i].camera, group);
    return st;
}

enum status store_version_put(struct store *s, const char *group, const struct store_version *v,
                              const struct store_trained *trained, int count, struct error *err)
{
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, put(s, group, v, trained, count, err), err);
    db_unlock(s);
    return st;
}

static void read_row(sqlite3_stmt *q, struct store_version *v)
{
    *v = (struct store_version){.version = db_u64(q, 0)};
    v->base = db_u64(q, 1);
    v->delta_bytes = db_u64(q, 2);
    v->snapshot_bytes = db_u64(q, 3);
    v->accepted = sqlite3_column_int(q, 4) != 0;
    v->score_before = db_real(q, 5);
    v->score_after = db_real(q, 6);
    db_text(q, 7, v->reason, sizeof v->reason);
    v->t_us = db_u64(q, 8);
}

static enum status read_rows(struct store *s, const char *sql, const char *id, int limit,
                             store_version_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q, sql, "ti", id, (int64_t)limit);
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

enum status store_versions(struct store *s, const char *group, int limit, store_version_row *row,
                           void *context, struct error *err)
{
    return read_rows(s,
                     "SELECT " COLUMNS " FROM versions v WHERE v.line=? ORDER BY v.id DESC LIMIT ?",
                     group, limit, row, context, err);
}

enum status store_camera_versions(struct store *s, const char *camera, int limit,
                                  store_version_row *row, void *context, struct error *err)
{
    return read_rows(s,
                     "SELECT " COLUMNS " FROM memberships m JOIN versions v ON v.line=m.line AND"
                     " v.t_us>=m.since_us AND (m.until_us=0 OR v.t_us<m.until_us)"
                     " WHERE m.camera=? ORDER BY v.id DESC LIMIT ?",
                     camera, limit, row, context, err);
}

enum status store_version_base(struct store *s, const char *group, uint64_t version, uint64_t *ret,
                               struct error *err)
{
    int64_t base = 0;
    db_lock(s);
    enum status st = db_number(s, err, &base,
                               "SELECT base+1 FROM versions WHERE line=? AND version=? AND"
                               " accepted=1 ORDER BY id DESC LIMIT 1",
                               "ti", group, (int64_t)version);
    db_unlock(s);
    if (st == ST_OK && base == 0)
        st = error_set(err, ST_NOT_FOUND, "'%s' has no version %llu", group,
                       (unsigned long long)version);
    if (st == ST_OK)
        *ret = (uint64_t)(base - 1);
    return st;
}
