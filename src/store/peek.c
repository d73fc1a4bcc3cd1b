/* peek.c - a look into the folder of a server that may be running: nothing is changed, and nothing
 * waits for it. */
#include <stdio.h>
#include <unistd.h>

#include "store/db.h"

/* *ret NULL: there is no database. Close it with sqlite3_close_v2. */
static enum status open_to_read(const char *dir, sqlite3 **ret, struct error *err)
{
    char path[PATH_MAX];
    *ret = NULL;
    int n = snprintf(path, sizeof path, "%s/attune.db", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_set(err, ST_LIMIT, "the path %s is too long", dir);
    if (access(path, F_OK) != 0)
        return ST_OK;
    if (sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        return error_set(err, ST_IO, "cannot open %s", path);
    sqlite3_busy_timeout(*ret, 5000);
    return ST_OK;
}

static enum status peek_group(sqlite3 *db, const char *camera, char *ret, struct error *err)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, "SELECT line FROM cameras WHERE id=?", -1, &q, NULL) != SQLITE_OK) {
        snprintf(ret, CAMERA_ID_CHARS_MAX + 1, "%s", camera); /* of before there were groups */
        return ST_OK;
    }
    sqlite3_bind_text(q, 1, camera, -1, SQLITE_STATIC);
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW)
        db_text(q, 0, ret, CAMERA_ID_CHARS_MAX + 1);
    sqlite3_finalize(q);
    if (code == SQLITE_ROW)
        return ST_OK;
    return code == SQLITE_DONE
               ? error_set(err, ST_NOT_FOUND, "there is no camera '%.80s' in this folder", camera)
               : error_set(err, ST_IO, "cannot read the database: %s", sqlite3_errmsg(db));
}

enum status store_peek_group(const char *dir, const char *camera, char *ret, struct error *err)
{
    sqlite3 *db;
    enum status st = open_to_read(dir, &db, err);
    if (st == ST_OK && !db)
        snprintf(ret, CAMERA_ID_CHARS_MAX + 1, "%s", camera);
    else if (st == ST_OK)
        st = peek_group(db, camera, ret, err);
    sqlite3_close_v2(db);
    return st;
}

enum status store_peek_meta(const char *dir, const char *key, char *ret, size_t size_bytes,
                            struct error *err)
{
    sqlite3 *db;
    sqlite3_stmt *q = NULL;
    enum status st = open_to_read(dir, &db, err);
    if (st == ST_OK && !db)
        st = error_set(err, ST_NOT_FOUND, "%s is no state folder of attune server", dir);
    if (st == ST_OK &&
        sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key=?", -1, &q, NULL) != SQLITE_OK)
        st = error_set(err, ST_IO, "cannot read the database in %s: %s", dir, sqlite3_errmsg(db));
    if (st == ST_OK) {
        sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
        if (sqlite3_step(q) == SQLITE_ROW)
            db_text(q, 0, ret, size_bytes);
        else
            st = error_set(err, ST_UNSUPPORTED, "the database in %s has no '%s'", dir, key);
    }
    sqlite3_finalize(q);
    sqlite3_close_v2(db);
    return st;
}
