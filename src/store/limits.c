/* limits.c - retention by age and by the folder's size; by number is retire.c. */
#include "store/db.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUND_MAX 256

/* ---- age ---- */

uint64_t store_samples_since(struct store *s, uint64_t needed_since_us, uint64_t now_us)
{
    db_lock(s);
    uint64_t keep_us = s->options.retention_us;
    db_unlock(s);
    uint64_t since_us = now_us > keep_us ? now_us - keep_us : 0;
    return keep_us == 0 || since_us > needed_since_us ? needed_since_us : since_us;
}

static enum status delete_before(struct store *s, const char *sql, uint64_t before_us,
                                 uint64_t *ret, struct error *err)
{
    enum status st = db_run(s, err, sql, "i", (int64_t)before_us);
    if (st == ST_OK)
        *ret += (uint64_t)sqlite3_changes(s->db);
    return st;
}

static enum status rows_before(struct store *s, uint64_t before_us, struct store_retired *r,
                               struct error *err)
{
    uint64_t ignored = 0;
    enum status st =
        delete_before(s, "DELETE FROM frames WHERE t_us<?", before_us, &r->frames, err);
    if (st == ST_OK)
        st = delete_before(s, "DELETE FROM events WHERE t_us<?", before_us, &r->events, err);
    if (st == ST_OK)
        st = delete_before(s, "DELETE FROM requests WHERE closed_us>0 AND closed_us<?", before_us,
                           &r->requests, err);
    if (st == ST_OK)
        st = delete_before(s, "DELETE FROM memberships WHERE until_us>0 AND until_us<?", before_us,
                           &ignored, err);
    return st;
}

enum status store_retire_old(struct store *s, uint64_t now_us, struct store_retired *ret,
                             struct error *err)
{
    struct store_retired r = {0};
    enum status st = ST_OK;
    db_lock(s);
    uint64_t keep_us = s->options.retention_us;
    if (keep_us > 0 && now_us > keep_us) {
        st = db_begin(s, err);
        if (st == ST_OK)
            st = db_end(s, rows_before(s, now_us - keep_us, &r, err), err);
    }
    db_unlock(s);
    if (st == ST_OK)
        *ret = r;
    return st;
}

/* ---- size ---- */

uint64_t store_bytes_max(struct store *s)
{
    db_lock(s);
    uint64_t most = s->options.state_bytes_max;
    db_unlock(s);
    return most;
}

static _Thread_local uint64_t walked_bytes; /* nftw has no context */

static int add_size(const char *path, const struct stat *at, int kind, struct FTW *where)
{
    (void)path, (void)where;
    if (kind == FTW_F)
        walked_bytes += (uint64_t)at->st_blocks * 512;
    return 0;
}

uint64_t store_bytes(const struct store *s)
{
    walked_bytes = 0;
    nftw(s->dir, add_size, 16, FTW_PHYS);
    return walked_bytes;
}

uint64_t store_oldest(struct store *s)
{
    int64_t sample = 0, frame = 0;
    db_lock(s);
    if (db_number(s, NULL, &sample, "SELECT MIN(received_us) FROM chunks", "") != ST_OK ||
        db_number(s, NULL, &frame, "SELECT MIN(t_us) FROM frames", "") != ST_OK)
        sample = frame = 0;
    db_unlock(s);
    return (uint64_t)(sample == 0 || (frame > 0 && frame < sample) ? frame : sample);
}

struct sample {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    uint64_t seq;
};

/* The oldest of all cameras that nobody needs. */
static enum status list_oldest(struct store *s, uint64_t before_us, struct sample *ret, int *count,
                               struct error *err)
{
    sqlite3_stmt *q;
    *count = 0;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT camera,seq FROM chunks WHERE received_us<? AND state!=1"
                              " ORDER BY received_us,camera,seq LIMIT 256",
                              "i", (int64_t)before_us);
    if (st == ST_OK) {
        while (*count < ROUND_MAX && (st = db_step(s, q, err)) == ST_OK) {
            db_text(q, 0, ret[*count].camera, sizeof ret->camera);
            ret[(*count)++].seq = db_u64(q, 1);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

static uint64_t remove_file(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && unlink(path) == 0 ? (uint64_t)at.st_blocks * 512 : 0;
}

/* What came free. */
static uint64_t remove_files(const struct store *s, const struct sample *c)
{
    char path[PATH_MAX];
    store_chunk_path(s, c->camera, c->seq, path);
    uint64_t freed = remove_file(path);
    store_label_path(s, c->camera, c->seq, path);
    freed += remove_file(path);
    store_answer_path(s, c->camera, c->seq, path);
    return freed + remove_file(path);
}

static enum status forget(struct store *s, const struct sample *c, struct error *err)
{
    enum status st = db_run(s, err, "DELETE FROM chunks WHERE camera=? AND seq=?", "ti", c->camera,
                            (int64_t)c->seq);
    if (st == ST_OK)
        st = db_run(s, err, "UPDATE cameras SET seq_retired=MAX(seq_retired,?) WHERE id=?", "it",
                    (int64_t)c->seq, c->camera);
    return st;
}

/* Files first, as ever, and without the lock. */
static enum status drop_samples(struct store *s, uint64_t needed_since_us, uint64_t excess,
                                struct store_retired *r, uint64_t *freed, struct error *err)
{
    struct sample oldest[ROUND_MAX];
    int count = 0, gone = 0;
    enum status st = list_oldest(s, needed_since_us, oldest, &count, err);
    if (st != ST_OK)
        return st;
    while (gone < count && *freed < excess)
        *freed += remove_files(s, &oldest[gone++]);
    if (gone == 0)
        return ST_OK;
    db_lock(s);
    st = db_begin(s, err);
    if (st == ST_OK) {
        for (int i = 0; i < gone && st == ST_OK; i++)
            st = forget(s, &oldest[i], err);
        st = db_end(s, st, err);
    }
    db_unlock(s);
    if (st == ST_OK)
        r->chunks += (uint64_t)gone;
    return st;
}

struct group_names {
    char (*ids)[CAMERA_ID_CHARS_MAX + 1];
    int count, count_max;
};

static void note_group(const struct store_group *g, void *context)
{
    struct group_names *n = context;
    if (n->count < n->count_max)
        snprintf(n->ids[n->count++], sizeof *n->ids, "%s", g->id);
}

static enum status drop_models(struct store *s, struct store_retired *r, struct error *err)
{
    struct group_names n = {.count = 0};
    db_lock(s);
    n.count_max = s->options.cameras_max;
    db_unlock(s);
    n.ids = calloc((size_t)n.count_max, sizeof *n.ids);
    if (!n.ids)
        return error_set(err, ST_NOMEM, "no memory for a list of groups");
    enum status st = store_groups(s, note_group, &n, err);
    for (int i = 0; i < n.count && st == ST_OK; i++)
        st = retire_models(s, n.ids[i], STORE_MODELS_LEAST, &r->models, err);
    free(n.ids);
    return st;
}

static enum status shrink(struct store *s, uint64_t needed_since_us, uint64_t excess,
                          struct store_retired *r, struct error *err)
{
    uint64_t freed = 0, before;
    enum status st = ST_OK;
    do {
        before = r->chunks;
        st = drop_samples(s, needed_since_us, excess, r, &freed, err);
    } while (st == ST_OK && freed < excess && r->chunks > before);
    return st == ST_OK && freed < excess ? drop_models(s, r, err) : st;
}

enum status store_retire_size(struct store *s, uint64_t needed_since_us, uint64_t now_us,
                              uint64_t *ret_bytes, struct store_retired *ret, struct error *err)
{
    struct store_retired r = {0};
    uint64_t bytes = store_bytes(s), most = store_bytes_max(s);
    enum status st = ST_OK;
    int fd = -1;
    if (most > 0 && bytes > most && retire_may(s, now_us, &fd)) {
        st = shrink(s, needed_since_us, bytes - most, &r, err);
        store_release(fd);
        bytes = store_bytes(s);
    }
    if (st == ST_OK) {
        *ret = r;
        *ret_bytes = bytes;
    }
    return st;
}
