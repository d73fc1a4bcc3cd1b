/* groups.c - which cameras share a line of versions, now and before. A camera's move, the group
 * that it makes or empties and the version that it is to run change in one transaction, so that
 * whatever is found at start fits together. */
#include "store/db.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define NAME_TRIES_MAX 4096
#define GROUP_COLUMNS                                                                              \
    "id,version,(SELECT COUNT(*) FROM cameras WHERE line=lines.id),created_us,retired_us,"         \
    "versions,rejected,encoded,encoded_bytes,served,served_bytes,number"

static void read_group(sqlite3_stmt *q, struct store_group *g)
{
    db_text(q, 0, g->id, sizeof g->id);
    g->version = db_u64(q, 1);
    g->members = sqlite3_column_int(q, 2);
    g->created_us = db_u64(q, 3);
    g->retired_us = db_u64(q, 4);
    g->versions = db_u64(q, 5);
    g->rejected = db_u64(q, 6);
    g->encoded = db_u64(q, 7);
    g->encoded_bytes = db_u64(q, 8);
    g->served = db_u64(q, 9);
    g->served_bytes = db_u64(q, 10);
    g->number = db_u64(q, 11);
}

/* Under the lock. */
static enum status get(struct store *s, const char *id, struct store_group *ret, struct error *err)
{
    sqlite3_stmt *q;
    enum status st =
        db_query(s, err, &q, "SELECT " GROUP_COLUMNS " FROM lines WHERE id=?", "t", id);
    if (st != ST_OK)
        return st;
    st = db_step(s, q, err);
    if (st == ST_OK)
        read_group(q, ret);
    else if (st == ST_END)
        st = error_set(err, ST_NOT_FOUND, "there is no group '%.80s' here", id);
    sqlite3_finalize(q);
    return st;
}

enum status store_group_get(struct store *s, const char *id, struct store_group *ret,
                            struct error *err)
{
    db_lock(s);
    enum status st = get(s, id, ret, err);
    db_unlock(s);
    return st;
}

enum status store_groups(struct store *s, store_group_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(
        s, err, &q, "SELECT " GROUP_COLUMNS " FROM lines WHERE retired_us=0 ORDER BY id", "");
    if (st == ST_OK) {
        struct store_group g;
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_group(q, &g);
            row(&g, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

enum status store_group_number(struct store *s, const char *id, uint64_t number, struct error *err)
{
    db_lock(s);
    enum status st =
        db_run(s, err, "UPDATE lines SET number=? WHERE id=?", "it", (int64_t)number, id);
    db_unlock(s);
    return st;
}

/* ---- a new group's name ---- */

static enum status is_free(struct store *s, const char *id, bool *ret, struct error *err)
{
    int64_t count = 0;
    enum status st = db_number(s, err, &count, "SELECT COUNT(*) FROM lines WHERE id=?", "t", id);
    if (st == ST_OK)
        *ret = count == 0;
    return st;
}

/* Groups that were retired lately keep their files for a while: they are bounded here. */
static enum status check_room(struct store *s, struct error *err)
{
    int64_t count = 0;
    enum status st = db_number(s, err, &count, "SELECT COUNT(*) FROM lines", "");
    if (st == ST_OK && count >= 4 * (int64_t)s->options.cameras_max)
        st = error_set(err, ST_LIMIT, "%d groups were made lately; try again later", (int)count);
    return st;
}

static enum status choose_name(struct store *s, const char *camera, char *ret, struct error *err)
{
    bool found = false;
    enum status st = check_room(s, err);
    for (int n = 1; n <= NAME_TRIES_MAX && st == ST_OK && !found; n++) {
        if (n == 1)
            snprintf(ret, CAMERA_ID_CHARS_MAX + 1, "%s", camera);
        else
            snprintf(ret, CAMERA_ID_CHARS_MAX + 1, "%.*s.%d", CAMERA_ID_CHARS_MAX - 5, camera, n);
        st = is_free(s, ret, &found, err);
    }
    if (st == ST_OK && !found)
        st = error_set(err, ST_LIMIT, "'%s' has made too many groups lately", camera);
    return st;
}

enum status store_group_name(struct store *s, const char *camera, char *ret, struct error *err)
{
    char name[CAMERA_ID_CHARS_MAX + 1], path[PATH_MAX];
    db_lock(s);
    enum status st = choose_name(s, camera, name, err);
    db_unlock(s);
    if (st != ST_OK)
        return st;
    snprintf(path, sizeof path, "%s/models/%s", s->dir, name);
    st = file_mkdirs(path, err);
    if (st == ST_OK)
        memcpy(ret, name, sizeof name);
    return st;
}

/* ---- moves ---- */

static enum status insert_group(struct store *s, const struct store_move *m, struct error *err)
{
    bool free = false;
    enum status st = is_free(s, m->group, &free, err);
    if (st == ST_OK && !free)
        st = error_set(err, ST_CONFLICT, "there is a group '%s' already", m->group);
    if (st == ST_OK)
        st = db_run(s, err, "INSERT INTO lines(id,created_us,number) VALUES(?,?,?)", "tii",
                    m->group, (int64_t)m->t_us, (int64_t)m->number);
    if (st == ST_OK && m->found->version > 0)
        st = versions_put(s, m->group, m->found, err);
    return st;
}

static enum status check_target(const struct store_move *m, const struct store_group *g,
                                uint64_t version, struct error *err)
{
    if (g->retired_us > 0)
        return error_set(err, ST_CONFLICT, "nobody is in group '%s' any more", g->id);
    if (g->members >= STORE_MEMBERS_MAX)
        return error_set(err, ST_LIMIT, "group '%s' has %d cameras, no more can join", g->id,
                         g->members);
    if (g->version < version)
        return error_set(err, ST_CONFLICT,
                         "group '%s' is at version %llu, camera '%s' at %llu: a camera's version "
                         "cannot fall",
                         g->id, (unsigned long long)g->version, m->camera,
                         (unsigned long long)version);
    return ST_OK;
}

static enum status note_membership(struct store *s, const struct store_move *m, uint64_t from,
                                   struct error *err)
{
    enum status st =
        db_run(s, err, "UPDATE memberships SET until_us=? WHERE camera=? AND until_us=0", "it",
               (int64_t)m->t_us, m->camera);
    if (st == ST_OK)
        st =
            db_run(s, err,
                   "INSERT INTO memberships(camera,line,from_version,since_us,reason) VALUES(?1,?2,"
                   "?3,CASE WHEN EXISTS(SELECT 1 FROM memberships WHERE camera=?1) THEN ?4 ELSE 0"
                   " END,?5)",
                   "ttiit", m->camera, m->group, (int64_t)from, (int64_t)m->t_us, m->reason);
    return st;
}

static enum status retire_empty(struct store *s, uint64_t t_us, struct error *err)
{
    return db_run(s, err,
                  "UPDATE lines SET retired_us=? WHERE retired_us=0 AND NOT EXISTS"
                  " (SELECT 1 FROM cameras WHERE line=lines.id)",
                  "i", (int64_t)(t_us ? t_us : 1));
}

enum status groups_move(struct store *s, const struct store_move *m, struct error *err)
{
    int64_t version = 0;
    struct store_group g;
    enum status st =
        db_number(s, err, &version, "SELECT version FROM cameras WHERE id=?", "t", m->camera);
    if (st == ST_OK && m->found)
        st = insert_group(s, m, err);
    if (st == ST_OK)
        st = get(s, m->group, &g, err);
    if (st == ST_OK)
        st = check_target(m, &g, (uint64_t)version, err);
    if (st == ST_OK)
        st = db_run(s, err, "UPDATE cameras SET line=?,version=?,trained_seq=0 WHERE id=?", "tit",
                    m->group, (int64_t)g.version, m->camera);
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        st = error_set(err, ST_NOT_FOUND, "there is no camera '%.80s' here", m->camera);
    if (st == ST_OK)
        st = note_membership(s, m, g.version, err);
    return st == ST_OK ? retire_empty(s, m->t_us, err) : st;
}

enum status store_move_put(struct store *s, const struct store_move *m, struct error *err)
{
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, groups_move(s, m, err), err);
    db_unlock(s);
    return st;
}

/* ---- memberships ---- */

enum status store_group_of(struct store *s, const char *camera, uint64_t version, char *ret,
                           uint64_t *ret_from, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT line,from_version FROM memberships WHERE camera=? AND"
                              " from_version<=? ORDER BY id DESC LIMIT 1",
                              "ti", camera, (int64_t)version);
    if (st == ST_OK) {
        st = db_step(s, q, err);
        if (st == ST_OK) {
            db_text(q, 0, ret, CAMERA_ID_CHARS_MAX + 1);
            *ret_from = db_u64(q, 1);
        } else if (st == ST_END)
            st = error_set(err, ST_NOT_FOUND,
                           "it is not known which group's version %llu of '%s' is",
                           (unsigned long long)version, camera);
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st;
}

static void read_membership(sqlite3_stmt *q, struct store_membership *m)
{
    m->id = db_u64(q, 0);
    db_text(q, 1, m->camera, sizeof m->camera);
    db_text(q, 2, m->group, sizeof m->group);
    m->from_version = db_u64(q, 3);
    m->since_us = db_u64(q, 4);
    m->until_us = db_u64(q, 5);
    db_text(q, 6, m->reason, sizeof m->reason);
}

enum status store_memberships(struct store *s, const char *camera, uint64_t since_us, int limit,
                              store_membership_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st =
        db_query(s, err, &q,
                 "SELECT * FROM (SELECT id,camera,line,from_version,since_us,until_us,reason"
                 " FROM memberships WHERE (?1='' OR camera=?1) AND (until_us=0 OR until_us>?2)"
                 " ORDER BY id DESC LIMIT ?3) ORDER BY id",
                 "tii", camera ? camera : "", (int64_t)since_us, (int64_t)limit);
    if (st == ST_OK) {
        struct store_membership m;
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_membership(q, &m);
            row(&m, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}
