/* retire.c - everything that grows has an end. Files go first and rows after, so that a crash in
 * between leaves rows whose files are gone for the next round to finish, never files without an
 * owner. */
#include "store/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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
        store_answer_path(s, camera, old.seq[i], path);
        unlink(path);
    }
    db_lock(s);
    st = forget(s, camera, &old, err);
    db_unlock(s);
    if (st == ST_OK)
        *ret += (uint64_t)old.count;
    return st;
}

/* The version in "v12.delta" or "v12.snap", 0 for another file. */
static uint64_t version_in(const char *name)
{
    unsigned long long v;
    int n = 0;
    if (sscanf(name, "v%llu.%n", &v, &n) != 1 || n == 0)
        return 0;
    return strcmp(name + n, "delta") == 0 || strcmp(name + n, "snap") == 0 ? v : 0;
}

/* The newest versions that have files, in order, [0] the newest. */
struct newest {
    uint64_t version[STORE_MODELS_KEPT];
    int count;
};

static void insert_newest(struct newest *n, uint64_t version)
{
    int at = 0;
    while (at < n->count && n->version[at] > version)
        at++;
    if (at == STORE_MODELS_KEPT || (at < n->count && n->version[at] == version))
        return;
    if (n->count < STORE_MODELS_KEPT)
        n->count++;
    memmove(n->version + at + 1, n->version + at, (size_t)(n->count - at - 1) * sizeof *n->version);
    n->version[at] = version;
}

/* Versions are not numbered without gaps: what is there is counted. */
static void find_newest(DIR *folder, uint64_t latest, struct newest *ret)
{
    const struct dirent *e;
    ret->count = 0;
    while ((e = readdir(folder))) {
        uint64_t v = version_in(e->d_name);
        if (v > 0 && v <= latest)
            insert_newest(ret, v);
    }
}

/* Files of one version are counted once. */
static void remove_version(struct store *s, const char *group, uint64_t version, uint64_t *ret)
{
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "v%llu.delta", (unsigned long long)version);
    store_model_path(s, group, name, path);
    bool gone = unlink(path) == 0;
    snprintf(name, sizeof name, "v%llu.snap", (unsigned long long)version);
    store_model_path(s, group, name, path);
    *ret += unlink(path) == 0 || gone;
}

/* Versions that a group's cameras are to run: of paused ones not the newest. */
struct in_use {
    uint64_t version[STORE_MEMBERS_MAX];
    int count;
};

static bool is_in_use(const struct in_use *u, uint64_t version)
{
    for (int i = 0; i < u->count; i++)
        if (u->version[i] == version)
            return true;
    return false;
}

static enum status list_in_use(struct store *s, const char *group, struct in_use *ret,
                               struct error *err)
{
    sqlite3_stmt *q;
    ret->count = 0;
    db_lock(s);
    enum status st =
        db_query(s, err, &q, "SELECT DISTINCT version FROM cameras WHERE line=?", "t", group);
    if (st == ST_OK) {
        while (ret->count < STORE_MEMBERS_MAX && (st = db_step(s, q, err)) == ST_OK)
            ret->version[ret->count++] = db_u64(q, 0);
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}

/* Model files of versions below `floor` that no camera is to run. */
static void remove_below(struct store *s, const char *group, DIR *folder, uint64_t floor,
                         const struct in_use *used, uint64_t *ret)
{
    const struct dirent *e;
    while ((e = readdir(folder))) {
        uint64_t v = version_in(e->d_name);
        if (v > 0 && v < floor && !is_in_use(used, v))
            remove_version(s, group, v, ret);
    }
}

enum status retire_models(struct store *s, const char *group, int keep, uint64_t *ret,
                          struct error *err)
{
    struct store_group g;
    struct newest newest;
    struct in_use used;
    char path[PATH_MAX];
    enum status st = store_group_get(s, group, &g, err);
    if (st == ST_OK)
        st = list_in_use(s, group, &used, err);
    if (st != ST_OK)
        return st;
    store_model_path(s, group, ".", path);
    DIR *folder = opendir(path);
    if (!folder)
        return ST_OK; /* no version yet */
    find_newest(folder, g.version, &newest);
    rewinddir(folder);
    if (newest.count >= keep)
        remove_below(s, group, folder, newest.version[keep - 1], &used, ret);
    closedir(folder);
    return ST_OK;
}

static int remove_one(const char *path, const struct stat *at, int kind, struct FTW *where)
{
    (void)at, (void)kind, (void)where;
    (void)remove(path);
    return 0;
}

/* The oldest group that was retired before keep_since_us, one a call. Its folder is made empty but
 * stays where a camera has the name. */
static enum status retire_group(struct store *s, uint64_t keep_since_us, struct error *err)
{
    char id[CAMERA_ID_CHARS_MAX + 1] = "", path[PATH_MAX];
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT id FROM lines WHERE retired_us>0 AND retired_us<?"
                              " ORDER BY retired_us LIMIT 1",
                              "i", (int64_t)keep_since_us);
    if (st == ST_OK) {
        st = db_step(s, q, err);
        if (st == ST_OK)
            db_text(q, 0, id, sizeof id);
        sqlite3_finalize(q);
    }
    db_unlock(s);
    if (st != ST_OK)
        return st == ST_END ? ST_OK : st;
    store_model_path(s, id, "", path);
    nftw(path, remove_one, 8, FTW_PHYS | FTW_DEPTH);
    db_lock(s);
    st = db_begin(s, err);
    if (st == ST_OK) {
        st = db_run(s, err, "DELETE FROM versions WHERE line=?", "t", id);
        if (st == ST_OK)
            st = db_run(s, err, "DELETE FROM lines WHERE id=?", "t", id);
        st = db_end(s, st, err);
    }
    db_unlock(s);
    return st;
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
                  "DELETE FROM versions WHERE line=(SELECT line FROM cameras WHERE id=?1) AND id<="
                  "(SELECT id FROM versions WHERE line=(SELECT line FROM cameras WHERE id=?1)"
                  " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                  camera, s->options.versions_max, err);
    if (st == ST_OK)
        st = trim(s, &ignored,
                  "DELETE FROM memberships WHERE camera=?1 AND id<=(SELECT id FROM memberships"
                  " WHERE camera=?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                  camera, STORE_MEMBERSHIPS_MAX, err);
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

/* ---- a backup that is under way ---- */

static int open_hold(const char *dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/backup", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return -1;
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

enum status store_hold(const char *dir, int *ret_fd, struct error *err)
{
    int fd = open_hold(dir);
    if (fd < 0)
        return error_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO,
                         "%s is no state folder that this user can write to: %s", dir,
                         strerror(errno));
    store_hold_beat(fd);
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            return error_set(err, ST_IO, "cannot hold %s: %s", dir, strerror(errno));
        }
    if (ftruncate(fd, 0) != 0) {
        close(fd);
        return error_set(err, ST_IO, "cannot hold %s: %s", dir, strerror(errno));
    }
    store_hold_beat(fd);
    *ret_fd = fd;
    return ST_OK;
}

void store_hold_beat(int fd)
{
    if (fd >= 0)
        futimens(fd, NULL);
}

/* Retention that went on has left a byte. */
bool store_hold_kept(int fd)
{
    struct stat at;
    return fstat(fd, &at) == 0 && at.st_size == 0;
}

void store_release(int fd)
{
    if (fd >= 0)
        close(fd);
}

static enum status retire(struct store *s, const char *camera, uint64_t keep_since_us,
                          uint64_t now_us, struct store_retired *ret, struct error *err)
{
    struct store_retired r = {0};
    struct store_camera c;
    enum status st =
        retire_chunks(s, camera, store_samples_since(s, keep_since_us, now_us), &r.chunks, err);
    if (st == ST_OK)
        st = store_camera_get(s, camera, &c, err);
    if (st == ST_OK)
        st = retire_models(s, c.group, STORE_MODELS_KEPT, &r.models, err);
    if (st == ST_OK)
        st = retire_group(s, keep_since_us, err);
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

/* Stopped, or on a disk that does not answer: the server's own disk must not fill for that. */
static bool is_silent(int fd, uint64_t now_us)
{
    struct stat at;
    if (fstat(fd, &at) != 0)
        return false;
    uint64_t beat_us = (uint64_t)at.st_mtim.tv_sec * 1000000 + (uint64_t)at.st_mtim.tv_nsec / 1000;
    return at.st_size > 0 || (now_us > beat_us && now_us - beat_us > STORE_HOLD_SILENT_US);
}

bool retire_may(const struct store *s, uint64_t now_us, int *ret_fd)
{
    *ret_fd = open_hold(s->dir);
    if (*ret_fd < 0 || flock(*ret_fd, LOCK_SH | LOCK_NB) == 0)
        return true;
    if (is_silent(*ret_fd, now_us) && ftruncate(*ret_fd, 1) == 0)
        return true;
    store_release(*ret_fd);
    return false;
}

/* Files and rows go together, or not now. */
enum status store_retire(struct store *s, const char *camera, uint64_t keep_since_us,
                         uint64_t now_us, struct store_retired *ret, struct error *err)
{
    int fd;
    *ret = (struct store_retired){0};
    if (!retire_may(s, now_us, &fd))
        return ST_OK;
    enum status st = retire(s, camera, keep_since_us, now_us, ret, err);
    store_release(fd);
    return st;
}
