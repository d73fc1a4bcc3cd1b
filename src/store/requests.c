/* requests.c - cameras whose world has changed, until somebody has answered them. The index
 * requests_open keeps a second open request of a camera out, whoever raises it. */
#include "store/db.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE_CHARS (SIGNATURE_VALUES * 16)

#define COLUMNS                                                                                    \
    "id,camera,kind,at_server,t_us,since_us,score,latitude,longitude,seq,signature,text,times,"    \
    "newest_us,closed_us,outcome"

/* ---- signatures as text ---- */

/* 9 digits bring a float back as it was. NULL without one. */
static const char *signature_text(const struct drift_request *r, char text[SIGNATURE_CHARS])
{
    int n = 0;
    if (!r->has_signature)
        return NULL;
    for (int i = 0; i < SIGNATURE_VALUES; i++)
        n += snprintf(text + n, (size_t)(SIGNATURE_CHARS - n), "%s%.9g", i ? " " : "",
                      (double)r->signature.value[i]);
    return text;
}

static bool signature_read(const char *text, struct signature *ret)
{
    for (int i = 0; i < SIGNATURE_VALUES; i++) {
        char *end;
        ret->value[i] = strtof(text, &end);
        if (end == text || !isfinite(ret->value[i]))
            return false;
        text = end;
    }
    return true;
}

/* ---- raising ---- */

static enum status insert(struct store *s, const struct drift_request *r, struct error *err)
{
    char signature[SIGNATURE_CHARS];
    return db_run(
        s, err,
        "INSERT INTO requests(camera,kind,at_server,t_us,since_us,score,latitude,"
        "longitude,seq,signature,text,newest_us) SELECT id,?2,?3,?4,?5,?6,"
        "COALESCE(?7,latitude),COALESCE(?8,longitude),CASE WHEN ?9=0 AND NOT ?12 THEN seq_last"
        " ELSE ?9 END,?10,?11,?4 FROM cameras"
        " WHERE id=?1",
        "tiiiifffitti", r->camera, (int64_t)r->kind, (int64_t)r->at_server, (int64_t)r->t_us,
        (int64_t)r->since_us, r->score, r->latitude_deg, r->longitude_deg, (int64_t)r->seq,
        signature_text(r, signature), r->text, (int64_t)(r->kind == DRIFT_MANUAL));
}

static enum status raise_again(struct store *s, int64_t id, const struct drift_request *r,
                               struct error *err)
{
    char signature[SIGNATURE_CHARS];
    enum status st = db_run(s, err,
                            "UPDATE requests SET times=times+1,newest_us=?2,score=MAX(score,?3),"
                            "signature=COALESCE(?4,signature) WHERE id=?1",
                            "iift", id, (int64_t)r->t_us, r->score, signature_text(r, signature));
    if (st == ST_OK && r->kind == DRIFT_VIEW)
        st = db_run(s, err, "UPDATE requests SET kind=?2,since_us=?3,seq=?4,text=?5 WHERE id=?1",
                    "iiiit", id, (int64_t)r->kind, (int64_t)r->since_us, (int64_t)r->seq, r->text);
    return st;
}

static enum status raise_locked(struct store *s, const struct drift_request *r, int64_t *ret_id,
                                bool *ret_new, struct error *err)
{
    /* The same alarm, told again after it was answered, is no second one. */
    enum status st =
        db_number(s, err, ret_id,
                  "SELECT id FROM requests WHERE camera=?1 AND kind=?2 AND"
                  " at_server=?3 AND since_us=?4 AND closed_us>0 LIMIT 1",
                  "tiii", r->camera, (int64_t)r->kind, (int64_t)r->at_server, (int64_t)r->since_us);
    *ret_new = false;
    if (st != ST_OK || *ret_id > 0)
        return st;
    st = db_number(s, err, ret_id, "SELECT id FROM requests WHERE camera=? AND closed_us=0", "t",
                   r->camera);
    *ret_new = st == ST_OK && *ret_id == 0;
    if (st != ST_OK || !*ret_new)
        return st == ST_OK ? raise_again(s, *ret_id, r, err) : st;
    st = insert(s, r, err);
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        return error_set(err, ST_NOT_FOUND, "there is no camera '%.80s' here", r->camera);
    *ret_id = sqlite3_last_insert_rowid(s->db);
    return st;
}

enum status store_request_raise(struct store *s, const struct drift_request *r, uint64_t *ret_id,
                                bool *ret_new, struct error *err)
{
    int64_t id = 0;
    bool is_new = false;
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK)
        st = db_end(s, raise_locked(s, r, &id, &is_new, err), err);
    db_unlock(s);
    if (st != ST_OK)
        return st;
    if (ret_id)
        *ret_id = (uint64_t)id;
    if (ret_new)
        *ret_new = is_new;
    return ST_OK;
}

enum status store_request_close(struct store *s, uint64_t id, const char *outcome, uint64_t now_us,
                                struct error *err)
{
    db_lock(s);
    enum status st =
        db_run(s, err, "UPDATE requests SET closed_us=?,outcome=? WHERE id=? AND closed_us=0",
               "iti", (int64_t)(now_us ? now_us : 1), outcome, (int64_t)id);
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        st = error_set(err, ST_NOT_FOUND, "request %llu is not open", (unsigned long long)id);
    db_unlock(s);
    return st;
}

/* ---- reading ---- */

static void read_row(sqlite3_stmt *q, struct store_request *r)
{
    struct drift_request *d = &r->drift;
    char signature[SIGNATURE_CHARS];
    memset(r, 0, sizeof *r);
    r->id = db_u64(q, 0);
    db_text(q, 1, d->camera, sizeof d->camera);
    d->kind = (enum drift_kind)sqlite3_column_int(q, 2);
    d->at_server = sqlite3_column_int(q, 3) != 0;
    d->t_us = db_u64(q, 4);
    d->since_us = db_u64(q, 5);
    d->score = db_real(q, 6);
    d->latitude_deg = db_real(q, 7);
    d->longitude_deg = db_real(q, 8);
    d->seq = db_u64(q, 9);
    db_text(q, 10, signature, sizeof signature);
    d->has_signature = signature_read(signature, &d->signature);
    db_text(q, 11, d->text, sizeof d->text);
    r->times = sqlite3_column_int(q, 12);
    r->newest_us = db_u64(q, 13);
    r->closed_us = db_u64(q, 14);
    db_text(q, 15, r->outcome, sizeof r->outcome);
}

/* Under the lock; ends q. */
static enum status read_rows(struct store *s, sqlite3_stmt *q, store_request_row *row,
                             void *context, struct error *err)
{
    struct store_request r;
    enum status st;
    while ((st = db_step(s, q, err)) == ST_OK) {
        read_row(q, &r);
        row(&r, context);
    }
    sqlite3_finalize(q);
    return st == ST_END ? ST_OK : st;
}

enum status store_requests_open(struct store *s, store_request_row *row, void *context,
                                struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st =
        db_query(s, err, &q, "SELECT " COLUMNS " FROM requests WHERE closed_us=0 ORDER BY id", "");
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}

enum status store_requests(struct store *s, const char *camera, int limit, store_request_row *row,
                           void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(
        s, err, &q, "SELECT " COLUMNS " FROM requests WHERE camera=? ORDER BY id DESC LIMIT ?",
        "ti", camera, (int64_t)limit);
    if (st == ST_OK)
        st = read_rows(s, q, row, context, err);
    db_unlock(s);
    return st;
}
