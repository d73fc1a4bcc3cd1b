/* cameras.c - a row a camera, with its counters kept up to date by the writers of the other
 * tables, so that the page's list costs one query. */
#include "store/db.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"

#define COLUMNS                                                                                    \
    "id,state,width,height,fps,sampling_fps,version,camera_version,created_us,seen_us,seq_last,"   \
    "chunks,up_bytes,down_bytes,versions,rejected,miou,unadapted,frame_t_us,frame_seq,latitude,"   \
    "longitude,line,trained_seq,paused_us"

static void read_row(sqlite3_stmt *q, struct store_camera *c)
{
    db_text(q, 0, c->id, sizeof c->id);
    db_text(q, 1, c->state, sizeof c->state);
    c->width = sqlite3_column_int(q, 2);
    c->height = sqlite3_column_int(q, 3);
    c->fps = sqlite3_column_double(q, 4);
    c->sampling_fps = sqlite3_column_double(q, 5);
    c->version = db_u64(q, 6);
    c->camera_version = db_u64(q, 7);
    c->created_us = db_u64(q, 8);
    c->seen_us = db_u64(q, 9);
    c->seq_last = db_u64(q, 10);
    c->chunks = db_u64(q, 11);
    c->up_bytes = db_u64(q, 12);
    c->down_bytes = db_u64(q, 13);
    c->versions = db_u64(q, 14);
    c->rejected = db_u64(q, 15);
    c->accuracy = db_real(q, 16);
    c->unadapted = db_real(q, 17);
    c->frame_t_us = db_u64(q, 18);
    c->frame_seq = db_u64(q, 19);
    c->latitude_deg = db_real(q, 20);
    c->longitude_deg = db_real(q, 21);
    db_text(q, 22, c->group, sizeof c->group);
    c->trained_seq = db_u64(q, 23);
    c->paused_us = db_u64(q, 24);
}

/* NaN where there is no place: nothing is written. */
static double known_deg(const struct store_camera *c, double deg)
{
    return c->latitude_deg == 0 && c->longitude_deg == 0 ? (double)NAN : deg;
}

static enum status make_folders(const struct store *s, const char *id, struct error *err)
{
    static const char *const kinds[] = {"chunks", "labels", "models"};
    enum status st = ST_OK;
    for (int i = 0; i < 3 && st == ST_OK; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s/%s", s->dir, kinds[i], id);
        st = file_mkdirs(path, err);
    }
    return st;
}

/* With the group that is its own. */
static enum status insert(struct store *s, const struct store_camera *c, struct error *err)
{
    int64_t count;
    enum status st = db_number(s, err, &count, "SELECT COUNT(*) FROM cameras", "");
    if (st != ST_OK)
        return st;
    if (count >= s->options.cameras_max)
        return error_set(err, ST_LIMIT,
                         "%d cameras have joined already; raise cameras_max to add '%s'",
                         (int)count, c->id);
    st = make_folders(s, c->id, err);
    if (st == ST_OK)
        st = db_run(s, err,
                    "INSERT INTO cameras(id,state,width,height,fps,sampling_fps,camera_version,"
                    "created_us,seen_us,latitude,longitude) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                    "ttiiffiiiff", c->id, c->state, (int64_t)c->width, (int64_t)c->height, c->fps,
                    c->sampling_fps, (int64_t)c->camera_version, (int64_t)c->seen_us,
                    (int64_t)c->seen_us, known_deg(c, c->latitude_deg),
                    known_deg(c, c->longitude_deg));
    if (st != ST_OK)
        return st;
    struct store_version none = {.version = 0};
    struct store_move own = {.camera = c->id,
                             .group = c->id,
                             .found = &none,
                             .t_us = c->seen_us,
                             .reason = "its own group"};
    return groups_move(s, &own, err);
}

static enum status greet(struct store *s, const struct store_camera *c, bool *ret_new,
                         struct error *err)
{
    enum status st = db_run(s, err,
                            "UPDATE cameras SET state=?,width=?,height=?,fps=?,camera_version=?,"
                            "seen_us=?,latitude=COALESCE(?,latitude),"
                            "longitude=COALESCE(?,longitude) WHERE id=?",
                            "tiifiifft", c->state, (int64_t)c->width, (int64_t)c->height, c->fps,
                            (int64_t)c->camera_version, (int64_t)c->seen_us,
                            known_deg(c, c->latitude_deg), known_deg(c, c->longitude_deg), c->id);
    bool is_new = st == ST_OK && sqlite3_changes(s->db) == 0;
    if (is_new)
        st = insert(s, c, err);
    if (st == ST_OK)
        *ret_new = is_new;
    return st;
}

enum status store_camera_hello(struct store *s, const struct store_camera *c, bool *ret_new,
                               struct error *err)
{
    if (!store_camera_id_valid(c->id))
        return error_set(err, ST_INVALID, "a camera id is 1 to 63 of a-z, 0-9, _ and -");
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, greet(s, c, ret_new, err), err);
    db_unlock(s);
    return st;
}

static enum status get(struct store *s, const char *id, struct store_camera *ret, struct error *err)
{
    sqlite3_stmt *q;
    enum status st = db_query(s, err, &q, "SELECT " COLUMNS " FROM cameras WHERE id=?", "t", id);
    if (st == ST_OK) {
        st = db_step(s, q, err);
        if (st == ST_OK)
            read_row(q, ret);
        else if (st == ST_END)
            st = error_set(err, ST_NOT_FOUND,
                           "there is no camera '%.80s' here; its hello comes first", id);
        sqlite3_finalize(q);
    }
    return st;
}

enum status store_camera_get(struct store *s, const char *id, struct store_camera *ret,
                             struct error *err)
{
    db_lock(s);
    enum status st = get(s, id, ret, err);
    db_unlock(s);
    return st;
}

/* While it was paused its group has gone on. */
static enum status set_paused(struct store *s, const char *id, uint64_t now_us,
                              struct store_camera *ret, bool *ret_news, struct error *err)
{
    enum status st = get(s, id, ret, err);
    if (st == ST_OK)
        *ret_news = (ret->paused_us > 0) != (now_us > 0);
    if (st != ST_OK || !*ret_news)
        return st;
    st = now_us > 0 ? db_run(s, err, "UPDATE cameras SET paused_us=? WHERE id=?", "it",
                             (int64_t)now_us, id)
                    : db_run(s, err,
                             "UPDATE cameras SET paused_us=0,version="
                             "(SELECT version FROM lines WHERE lines.id=cameras.line) WHERE id=?",
                             "t", id);
    return st == ST_OK ? get(s, id, ret, err) : st;
}

enum status store_camera_pause(struct store *s, const char *id, uint64_t now_us,
                               struct store_camera *ret, bool *ret_news, struct error *err)
{
    struct store_camera c = {.version = 0};
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, set_paused(s, id, now_us, &c, ret_news, err), err);
    db_unlock(s);
    if (st == ST_OK && ret)
        *ret = c;
    return st;
}

enum status store_cameras(struct store *s, store_camera_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q, "SELECT " COLUMNS " FROM cameras ORDER BY id", "");
    if (st == ST_OK) {
        struct store_camera c;
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_row(q, &c);
            row(&c, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

enum status store_camera_sampling(struct store *s, const char *id, double sampling_fps,
                                  struct error *err)
{
    db_lock(s);
    enum status st =
        db_run(s, err, "UPDATE cameras SET sampling_fps=? WHERE id=?", "ft", sampling_fps, id);
    db_unlock(s);
    return st;
}

enum status store_camera_update(struct store *s, const char *id, uint64_t version,
                                uint64_t down_bytes, uint64_t now_us, struct error *err)
{
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK) {
        st = db_run(s, err,
                    "UPDATE cameras SET camera_version=?,seen_us=?,down_bytes=down_bytes+?"
                    " WHERE id=?",
                    "iiit", (int64_t)version, (int64_t)now_us, (int64_t)down_bytes, id);
        if (st == ST_OK && down_bytes > 0)
            st = db_run(s, err, "INSERT INTO downloads VALUES(?,?,?)", "tii", id, (int64_t)now_us,
                        (int64_t)down_bytes);
        if (st == ST_OK && down_bytes > 0)
            st = db_run(s, err,
                        "UPDATE lines SET served=served+1,served_bytes=served_bytes+?"
                        " WHERE id=(SELECT line FROM cameras WHERE id=?)",
                        "it", (int64_t)down_bytes, id);
        st = db_end(s, st, err);
    }
    db_unlock(s);
    return st;
}
