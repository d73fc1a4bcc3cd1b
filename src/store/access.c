/* access.c - users, tokens and enrolment codes. Of tokens and codes only a SHA-256 is kept, of
 * passwords what base/secret.h makes: whoever reads the file can use none of them. */
#include "store/db.h"

#include <stdio.h>
#include <string.h>

#define USER_COLUMNS "name,role,hash,created_us"
#define TOKEN_COLUMNS "id,kind,name,role,created_us,revoked_us"

/* That the clock may have been set back since a code was made: further, and it would live on. */
#define CODE_CLOCK_BACK_US ((uint64_t)300 * 1000000)

/* ---- users ---- */

static void read_user(sqlite3_stmt *q, struct store_user *ret)
{
    db_text(q, 0, ret->name, sizeof ret->name);
    db_text(q, 1, ret->role, sizeof ret->role);
    db_text(q, 2, ret->hash, sizeof ret->hash);
    ret->created_us = db_u64(q, 3);
}

enum status store_user_put(struct store *s, const struct store_user *u, struct error *err)
{
    int64_t count = 0;
    db_lock(s);
    enum status st =
        db_number(s, err, &count, "SELECT COUNT(*) FROM users WHERE name<>?", "t", u->name);
    if (st == ST_OK && count >= STORE_USERS_MAX)
        st = error_set(err, ST_LIMIT, "there may be %d users; remove one first", STORE_USERS_MAX);
    if (st == ST_OK)
        st = db_run(s, err,
                    "INSERT INTO users(" USER_COLUMNS ") VALUES(?1,?2,?3,?4) ON CONFLICT(name)"
                    " DO UPDATE SET role=excluded.role,hash=excluded.hash",
                    "ttti", u->name, u->role, u->hash, (int64_t)u->created_us);
    db_unlock(s);
    return st;
}

enum status store_user_get(struct store *s, const char *name, struct store_user *ret,
                           struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st =
        db_query(s, err, &q, "SELECT " USER_COLUMNS " FROM users WHERE name=?", "t", name);
    if (st == ST_OK) {
        st = db_step(s, q, err);
        if (st == ST_OK)
            read_user(q, ret);
        else if (st == ST_END)
            st = error_set(err, ST_NOT_FOUND, "there is no user '%s'", name);
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st;
}

/* ST_NOT_FOUND with the sentence where the last statement changed nothing. */
static enum status changed_one(struct store *s, enum status st, const char *what, const char *name,
                               struct error *err)
{
    if (st == ST_OK && sqlite3_changes(s->db) == 0)
        return error_set(err, ST_NOT_FOUND, "there is no %s '%s'", what, name);
    return st;
}

enum status store_user_remove(struct store *s, const char *name, struct error *err)
{
    db_lock(s);
    enum status st = db_run(s, err, "DELETE FROM users WHERE name=?", "t", name);
    st = changed_one(s, st, "user", name, err);
    db_unlock(s);
    return st;
}

enum status store_users(struct store *s, store_user_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    struct store_user u;
    db_lock(s);
    enum status st = db_query(s, err, &q, "SELECT " USER_COLUMNS " FROM users ORDER BY name", "");
    if (st == ST_OK) {
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_user(q, &u);
            row(&u, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

/* ---- tokens ---- */

static void read_token(sqlite3_stmt *q, struct store_token *ret)
{
    ret->id = db_u64(q, 0);
    ret->kind = (enum store_token_kind)db_u64(q, 1);
    db_text(q, 2, ret->name, sizeof ret->name);
    db_text(q, 3, ret->role, sizeof ret->role);
    ret->created_us = db_u64(q, 4);
    ret->revoked_us = db_u64(q, 5);
}

static enum status revoke(struct store *s, enum store_token_kind kind, const char *name,
                          uint64_t now_us, struct error *err)
{
    return db_run(s, err, "UPDATE tokens SET revoked_us=? WHERE kind=? AND name=? AND revoked_us=0",
                  "iit", (int64_t)now_us, (int64_t)kind, name);
}

/* Within the caller's transaction. */
static enum status insert_token(struct store *s, const struct store_token *t, const char *hash_hex,
                                struct error *err)
{
    int64_t count = 0;
    enum status st =
        db_number(s, err, &count, "SELECT COUNT(*) FROM tokens WHERE revoked_us=0", "");
    if (st == ST_OK && count >= STORE_TOKENS_MAX)
        return error_set(err, ST_LIMIT, "there may be %d tokens; revoke one first",
                         STORE_TOKENS_MAX);
    if (st == ST_OK)
        st = db_run(s, err, "INSERT INTO tokens(hash,kind,name,role,created_us) VALUES(?,?,?,?,?)",
                    "titti", hash_hex, (int64_t)t->kind, t->name, t->role, (int64_t)t->created_us);
    if (st == ST_OK) /* revoked ones are known for a while, so that they can be told so */
        st = db_run(s, err,
                    "DELETE FROM tokens WHERE revoked_us>0 AND id<=(SELECT id FROM tokens WHERE"
                    " revoked_us>0 ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    "i", (int64_t)STORE_REVOKED_KEPT);
    return st;
}

enum status store_token_put(struct store *s, const struct store_token *t, const char *hash_hex,
                            struct error *err)
{
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK) {
        st = revoke(s, t->kind, t->name, t->created_us, err);
        if (st == ST_OK)
            st = insert_token(s, t, hash_hex, err);
        st = db_end(s, st, err);
    }
    db_unlock(s);
    return st;
}

enum status store_token_find(struct store *s, const char *hash_hex, struct store_token *ret,
                             struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st =
        db_query(s, err, &q, "SELECT " TOKEN_COLUMNS " FROM tokens WHERE hash=?", "t", hash_hex);
    if (st == ST_OK) {
        st = db_step(s, q, err);
        if (st == ST_OK)
            read_token(q, ret);
        else if (st == ST_END)
            st = error_set(err, ST_NOT_FOUND, "nobody was given this token");
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st;
}

enum status store_token_revoke(struct store *s, enum store_token_kind kind, const char *name,
                               uint64_t now_us, struct error *err)
{
    db_lock(s);
    enum status st = revoke(s, kind, name, now_us, err);
    st = changed_one(s, st, kind == STORE_TOKEN_CAMERA ? "enrolled camera" : "token", name, err);
    db_unlock(s);
    return st;
}

enum status store_tokens(struct store *s, store_token_row *row, void *context, struct error *err)
{
    sqlite3_stmt *q;
    struct store_token t;
    db_lock(s);
    enum status st =
        db_query(s, err, &q, "SELECT " TOKEN_COLUMNS " FROM tokens ORDER BY kind,name,id", "");
    if (st == ST_OK) {
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_token(q, &t);
            row(&t, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

/* ---- codes ---- */

enum status store_code_put(struct store *s, const struct store_code *c, const char *hash_hex,
                           struct error *err)
{
    int64_t count = 0;
    db_lock(s);
    enum status st = db_run(s, err, "DELETE FROM codes WHERE expires_us<=? OR camera=?", "it",
                            (int64_t)c->created_us, c->camera);
    if (st == ST_OK)
        st = db_number(s, err, &count, "SELECT COUNT(*) FROM codes", "");
    if (st == ST_OK && count >= STORE_CODES_MAX)
        st = error_set(err, ST_LIMIT, "%d codes wait to be used already", STORE_CODES_MAX);
    if (st == ST_OK)
        st = db_run(s, err, "INSERT INTO codes(hash,camera,created_us,expires_us) VALUES(?,?,?,?)",
                    "ttii", hash_hex, c->camera, (int64_t)c->created_us, (int64_t)c->expires_us);
    db_unlock(s);
    return st;
}

/* The camera that the code is for; deletes it, within the caller's transaction. */
static enum status take_code(struct store *s, const char *hash_hex, const char *want,
                             uint64_t now_us, char *camera, struct error *err)
{
    sqlite3_stmt *q;
    enum status st =
        db_query(s, err, &q,
                 "DELETE FROM codes WHERE hash=?1 AND expires_us>?2 AND created_us<=?3"
                 " RETURNING camera",
                 "tii", hash_hex, (int64_t)now_us, (int64_t)(now_us + CODE_CLOCK_BACK_US));
    if (st != ST_OK)
        return st;
    st = db_step(s, q, err);
    if (st == ST_OK) {
        db_text(q, 0, camera, CAMERA_ID_CHARS_MAX + 1);
        st = db_step(s, q, err);
    } else if (st == ST_END) {
        st = error_set(err, ST_DENIED, "this code was used, has expired or never was");
    }
    sqlite3_finalize(q);
    if (st == ST_END && want && strcmp(want, camera) != 0)
        return error_set(err, ST_CONFLICT, "this code is for the camera '%s', not for '%s'", camera,
                         want);
    return st == ST_END ? ST_OK : st;
}

enum status store_code_use(struct store *s, const char *hash_hex, const char *camera,
                           const char *token_hash_hex, uint64_t now_us, char *ret_camera,
                           struct error *err)
{
    struct store_token t = {.kind = STORE_TOKEN_CAMERA, .created_us = now_us};
    db_lock(s);
    enum status st = db_begin(s, err);
    if (st == ST_OK) {
        st = take_code(s, hash_hex, camera, now_us, t.name, err);
        if (st == ST_OK)
            st = revoke(s, t.kind, t.name, now_us, err);
        if (st == ST_OK)
            st = insert_token(s, &t, token_hash_hex, err);
        st = db_end(s, st, err);
    }
    if (st == ST_OK)
        snprintf(ret_camera, CAMERA_ID_CHARS_MAX + 1, "%s", t.name);
    db_unlock(s);
    return st;
}
