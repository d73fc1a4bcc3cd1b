/* db.h - the store's own thin layer over SQLite: one place for binding, stepping and messages.
 *
 * Internal to src/store. Callers hold the lock (db_lock) around every call below.
 *
 * `types` has a letter an argument: t text (NULL: SQL NULL), i int64_t, f double (NaN: SQL NULL).
 */
#ifndef ATTUNE_STORE_DB_H
#define ATTUNE_STORE_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/store.h"

struct store {
    char dir[PATH_MAX - 256]; /* room for the longest path inside */
    struct store_options options;
    sqlite3 *db;
    int lock_fd;              /* one process a folder */
    pthread_mutex_t lock;     /* the connection */
    pthread_mutex_t put_lock; /* one upload at a time: file and row of a number belong together */
};

void db_lock(struct store *s);
void db_unlock(struct store *s);

enum status db_fail(struct store *s, struct error *err);

/* Prepares and binds; the caller steps and sqlite3_finalizes. */
enum status db_query(struct store *s, struct error *err, sqlite3_stmt **ret, const char *sql,
                     const char *types, ...);
/* ST_OK: a row is there; ST_END: no more. */
enum status db_step(struct store *s, sqlite3_stmt *q, struct error *err);
/* Prepares, binds and runs to the end; sqlite3_changes tells the rows. */
enum status db_run(struct store *s, struct error *err, const char *sql, const char *types, ...);
/* First column of the first row as an integer; 0 when there is no row or it is NULL. */
enum status db_number(struct store *s, struct error *err, int64_t *ret, const char *sql,
                      const char *types, ...);

enum status db_begin(struct store *s, struct error *err);
/* Commits when st is ST_OK, else rolls back; returns the first failure. */
enum status db_end(struct store *s, enum status st, struct error *err);

/* store_move_put within the caller's transaction. */
enum status groups_move(struct store *s, const struct store_move *m, struct error *err);
/* store_version_put within the caller's transaction, without what was trained on. */
enum status versions_put(struct store *s, const char *group, const struct store_version *v,
                         struct error *err);

/* May files be deleted now, while no backup is made, or one that has been silent for too long?
 * *ret_fd is for store_release afterwards. */
bool retire_may(const struct store *s, uint64_t now_us, int *ret_fd);
/* Model files but the newest `keep` (STORE_MODELS_KEPT at most) and those in use. */
enum status retire_models(struct store *s, const char *group, int keep, uint64_t *ret,
                          struct error *err);

/* Copies a text column, cut to size; NULL becomes "". */
void db_text(sqlite3_stmt *q, int column, char *ret, size_t size_bytes);
/* NaN for NULL. */
double db_real(sqlite3_stmt *q, int column);
uint64_t db_u64(sqlite3_stmt *q, int column);

#endif
