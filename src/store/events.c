/* events.c - every decision with its reason, numbered for good (AUTOINCREMENT), so that a reader
 * that was away can go on where it stopped. */
#include "store/db.h"

#include <string.h>

enum status store_event_put(struct store *s, uint64_t t_us, const char *camera, const char *kind,
                            const char *json, uint64_t *ret_id, struct error *err)
{
    if (strlen(json) >= STORE_EVENT_BYTES_MAX)
        return error_set(err, ST_LIMIT, "an event may have %d bytes", STORE_EVENT_BYTES_MAX - 1);
    db_lock(s);
    enum status st = db_run(s, err, "INSERT INTO events(t_us,camera,kind,json) VALUES(?,?,?,?)",
                            "ittt", (int64_t)t_us, camera, kind, json);
    uint64_t id = (uint64_t)sqlite3_last_insert_rowid(s->db);
    db_unlock(s);
    if (st == ST_OK && ret_id)
        *ret_id = id;
    return st;
}

static void read_row(sqlite3_stmt *q, struct store_event *e)
{
    e->id = db_u64(q, 0);
    e->t_us = db_u64(q, 1);
    db_text(q, 2, e->camera, sizeof e->camera);
    db_text(q, 3, e->kind, sizeof e->kind);
    db_text(q, 4, e->json, sizeof e->json);
}

/* Calls row for what the query yields and ends it. */
static enum status read_rows(struct store *s, sqlite3_stmt *q, store_event_row *row, void *context,
                             struct error *err)
{
    struct store_event e;
    enum status st;
    while ((st = db_step(s, q, err)) == ST_OK) {
        read_row(q, &e);
        row(&e, context);
    }
    sqlite3_finalize(q);
    return st == ST_END ? ST_OK : st;
}

enum status store_events(struct store *s, uint64_t after, int limit, store_event_row *row,
                         void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT id,t_us,camera,kind,json FROM events WHERE id>?"
                              " ORDER BY id LIMIT ?",
                              "ii", (int64_t)after, (int64_t)limit);
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}

enum status store_events_before(struct store *s, uint64_t before, int limit, const char *without,
                                store_event_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT id,t_us,camera,kind,json FROM events WHERE (?1=0 OR id<?1)"
                              " AND instr(','||?2||',',','||kind||',')=0 ORDER BY id DESC LIMIT ?3",
                              "iti", (int64_t)before, without ? without : "", (int64_t)limit);
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}

uint64_t store_event_last(struct store *s)
{
    int64_t id = 0;
    db_lock(s);
    enum status st = db_number(s, NULL, &id, "SELECT MAX(id) FROM events", "");
    db_unlock(s);
    return st == ST_OK ? (uint64_t)id : 0;
}
