/* retire.c - everything that grows has an end. Files go first and rows after, so that a crash in
 * between leaves rows whose files are gone for the next round to finish, never files without an
 * owner. */
#include "store/db.h"

#include <stdio.h>
#include <unistd.h>

#define ROUND_MAX 256 /* chunks a call, so that one call is short */

struct old_chunks {
    int count;
    uint64_t seq[ROUND_MAX];
};

static enum status old_chunks(struct store *s, const char *camera, uint64_t keep_since_us,
                              struct old_chunks *ret, struct error *err)
{
    sqlite3_stmt *q;
    ret->count = 0;
    db_lock(s);
    /* The chunk with the newest labelled frame stays: the page shows it. */
    enum status st = db_query(s, err, &q,
                              "SELECT seq FROM chunks WHERE camera=?1 AND received_us<?2"
                              " AND state!=1 AND seq!=(SELECT frame_seq FROM cameras WHERE id=?1)"
                              " ORDER BY seq LIMIT 256",
                              "ti", camera, (int64_t)keep_since_us);
    if (st == ST_OK) {
        while (ret->count < ROUND_MAX && (st = db_step(s, q, err)) == ST_OK)
            ret->seq[ret->count++] = db_u64(q, 0);
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

static enum status forget(struct store *s, const char *camera, const struct old_chunks *old,
                          struct error *err)
{
    enum status st = db_begin(s, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < old->count && st == ST_OK; i++)
        st = db_run(s, err, "DELETE FROM chunks WHERE camera=? AND seq=?", "ti", camera,
                    (int64_t)old->seq[i]);
    if (st == ST_OK)
        st = db_run(s, err, "UPDATE cameras SET seq_retired=MAX(seq_retired,?) WHERE id=?", "it",
                    (int64_t)old->seq[old->count - 1], camera);
    return db_end(s, st, err);
}

static enum status retire_chunks(struct store *s, const char *camera, uint64_t keep_since_us,
                                 uint64_t *ret, struct error *err)
{
    struct old_chunks old;
    enum status st = old_chunks(s, camera, keep_since_us, &old, err);
    if (st != ST_OK || old.count == 0)
        return st;
    for (int i = 0; i < old.count; i++) {
        char path[PATH_MAX];
        store_chunk_path(s, camera, old.seq[i], path);
        unlink(path);
        store_label_path(s, camera, old.seq[i], path);
        unlink(path);
    }
    db_lock(s);
    st = forget(s, camera, &old, err);
    db_unlock(s);
    if (st == ST_OK)
        *ret += (uint64_t)old.count;
    return st;
}

/* Model files older than those kept: walks down until a version has none. */
static enum status retire_models(struct store *s, const char *camera, uint64_t *ret,
                                 struct error *err)
{
    struct store_camera c;
    enum status st = store_camera_get(s, camera, &c, err);
    if (st != ST_OK || c.version <= STORE_MODELS_KEPT)
        return st;
    for (uint64_t v = c.version - STORE_MODELS_KEPT; v > 0; v--) {
        char name[64], path[PATH_MAX];
        snprintf(name, sizeof name, "v%llu.delta", (unsigned long long)v);
        store_model_path(s, camera, name, path);
        int bad = unlink(path);
        snprintf(name, sizeof name, "v%llu.snap", (unsigned long long)v);
        store_model_path(s, camera, name, path);
        if (unlink(path) != 0 && bad)
            break;
        (*ret)++;
    }
    return ST_OK;
}

/* Deletes and counts under the lock that the caller holds. */
static enum status trim(struct store *s, uint64_t *ret, const char *sql, const char *camera,
                        int64_t keep, struct error *err)
{
    enum status st = db_run(s, err, sql, "ti", camera, keep);
    if (st == ST_OK)
        *ret += (uint64_t)sqlite3_changes(s->db);
    return st;
}

static enum status retire_rows(struct store *s, const char *camera, uint64_t keep_since_us,
                               struct store_retired *r, struct error *err)
{
    uint64_t ignored = 0;
    enum status st = trim(s, &r->frames,
                          "DELETE FROM frames WHERE camera=?1 AND t_us<=(SELECT t_us FROM frames"
                          " WHERE camera=?1 ORDER BY t_us DESC LIMIT 1 OFFSET ?2)",
                          camera, s->options.frames_max, err);
    if (st == ST_OK)
        st = trim(s, &r->versions,
                  "DELETE FROM versions WHERE camera=?1 AND id<=(SELECT id FROM versions"
                  " WHERE camera=?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                  camera, s->options.versions_max, err);
    if (st == ST_OK)
        st = trim(s, &ignored, "DELETE FROM downloads WHERE camera=? AND t_us<?", camera,
                  (int64_t)keep_since_us, err);
    if (st == ST_OK)
        st = trim(s, &r->trainings,
                  "DELETE FROM trainings WHERE ?1 IS NOT NULL AND id<=(SELECT MAX(id) FROM"
                  " trainings)-?2",
                  camera, s->options.trainings_max, err);
    if (st == ST_OK)
        st =
            trim(s, &r->requests,
                 "DELETE FROM requests WHERE ?1 IS NOT NULL AND closed_us>0 AND id<=(SELECT MAX(id)"
                 " FROM requests)-?2",
                 camera, s->options.requests_max, err);
    if (st == ST_OK)
        st = trim(s, &r->events,
                  "DELETE FROM events WHERE ?1 IS NOT NULL AND id<=(SELECT MAX(id) FROM events)-?2",
                  camera, s->options.events_max, err);
    return st;
}

enum status store_retire(struct store *s, const char *camera, uint64_t keep_since_us,
                         struct store_retired *ret, struct error *err)
{
    struct store_retired r = {0};
    enum status st = retire_chunks(s, camera, keep_since_us, &r.chunks, err);
    if (st == ST_OK)
        st = retire_models(s, camera, &r.models, err);
    if (st != ST_OK)
        return st;
    db_lock(s);
    st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, retire_rows(s, camera, keep_since_us, &r, err), err);
    db_unlock(s);
    if (st == ST_OK)
        *ret = r;
    return st;
}
