/* db.c - statements are prepared anew for each use: at a few dozen a second that costs nothing
 * next to the sync of a commit, and no statement outlives an error. */
#include "store/db.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void db_lock(struct store *s)
{
    int bad = pthread_mutex_lock(&s->lock);
    assert(bad == 0);
}

void db_unlock(struct store *s)
{
    int bad = pthread_mutex_unlock(&s->lock);
    assert(bad == 0);
}

enum status db_fail(struct store *s, struct error *err)
{
    int code = sqlite3_errcode(s->db);
    enum status st = code == SQLITE_NOMEM ? ST_NOMEM : code == SQLITE_FULL ? ST_LIMIT : ST_IO;
    return error_set(err, st, "the database %s/attune.db failed: %s", s->dir,
                     sqlite3_errmsg(s->db));
}

static int bind_one(sqlite3_stmt *q, int at, char type, va_list *args)
{
    if (type == 't') {
        const char *text = va_arg(*args, const char *);
        return sqlite3_bind_text(q, at, text, -1, SQLITE_TRANSIENT);
    }
    if (type == 'i')
        return sqlite3_bind_int64(q, at, va_arg(*args, int64_t));
    assert(type == 'f');
    double v = va_arg(*args, double);
    return isnan(v) ? sqlite3_bind_null(q, at) : sqlite3_bind_double(q, at, v);
}

static enum status prepare(struct store *s, struct error *err, sqlite3_stmt **ret, const char *sql,
                           const char *types, va_list *args)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return db_fail(s, err);
    for (int i = 0; types[i]; i++)
        if (bind_one(q, i + 1, types[i], args) != SQLITE_OK) {
            enum status st = db_fail(s, err);
            sqlite3_finalize(q);
            return st;
        }
    *ret = q;
    return ST_OK;
}

enum status db_query(struct store *s, struct error *err, sqlite3_stmt **ret, const char *sql,
                     const char *types, ...)
{
    va_list args;
    va_start(args, types);
    enum status st = prepare(s, err, ret, sql, types, &args);
    va_end(args);
    return st;
}

enum status db_step(struct store *s, sqlite3_stmt *q, struct error *err)
{
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW)
        return ST_OK;
    return code == SQLITE_DONE ? ST_END : db_fail(s, err);
}

static enum status run(struct store *s, struct error *err, int64_t *ret, const char *sql,
                       const char *types, va_list *args)
{
    sqlite3_stmt *q;
    enum status st = prepare(s, err, &q, sql, types, args);
    if (st != ST_OK)
        return st;
    int64_t first = 0;
    bool have = false;
    while ((st = db_step(s, q, err)) == ST_OK)
        if (!have) {
            first = sqlite3_column_int64(q, 0);
            have = true;
        }
    sqlite3_finalize(q);
    if (st != ST_END)
        return st;
    if (ret)
        *ret = first;
    return ST_OK;
}

enum status db_run(struct store *s, struct error *err, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    enum status st = run(s, err, NULL, sql, types, &args);
    va_end(args);
    return st;
}

enum status db_number(struct store *s, struct error *err, int64_t *ret, const char *sql,
                      const char *types, ...)
{
    va_list args;
    va_start(args, types);
    enum status st = run(s, err, ret, sql, types, &args);
    va_end(args);
    return st;
}

enum status db_begin(struct store *s, struct error *err)
{
    return db_run(s, err, "BEGIN IMMEDIATE", "");
}

enum status db_end(struct store *s, enum status st, struct error *err)
{
    if (st == ST_OK)
        st = db_run(s, err, "COMMIT", "");
    /* A failed COMMIT may leave the transaction open. */
    if (st != ST_OK && !sqlite3_get_autocommit(s->db))
        db_run(s, NULL, "ROLLBACK", "");
    return st;
}

void db_text(sqlite3_stmt *q, int column, char *ret, size_t size_bytes)
{
    const unsigned char *text = sqlite3_column_text(q, column);
    snprintf(ret, size_bytes, "%s", text ? (const char *)text : "");
}

double db_real(sqlite3_stmt *q, int column)
{
    return sqlite3_column_type(q, column) == SQLITE_NULL ? NAN : sqlite3_column_double(q, column);
}

uint64_t db_u64(sqlite3_stmt *q, int column)
{
    return (uint64_t)sqlite3_column_int64(q, column);
}
