/* store.c - opening, the schema, paths and small settings. The schema's number is in SQLite's
 * user_version; a newer one is refused rather than guessed at. */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char schema_first[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE cameras(id TEXT PRIMARY KEY, state TEXT, width INT, height INT, fps REAL,"
    " sampling_fps REAL, version INT DEFAULT 0, camera_version INT, created_us INT, seen_us INT,"
    " seq_last INT DEFAULT 0, seq_retired INT DEFAULT 0, chunks INT DEFAULT 0,"
    " up_bytes INT DEFAULT 0, down_bytes INT DEFAULT 0, versions INT DEFAULT 0,"
    " rejected INT DEFAULT 0, miou REAL, unadapted REAL, frame_t_us INT DEFAULT 0,"
    " frame_seq INT DEFAULT 0);"
    "CREATE TABLE chunks(camera TEXT, seq INT, sha256 TEXT, bytes INT, received_us INT,"
    " state INT, PRIMARY KEY(camera, seq)) WITHOUT ROWID;"
    "CREATE INDEX chunks_by_state ON chunks(state, received_us);"
    "CREATE INDEX chunks_by_time ON chunks(camera, received_us);"
    "CREATE TABLE downloads(camera TEXT, t_us INT, bytes INT);"
    "CREATE INDEX downloads_by_time ON downloads(camera, t_us);"
    "CREATE TABLE frames(camera TEXT, t_us INT, seq INT, idx INT, version INT,"
    " miou_student REAL, miou_unadapted REAL, sampling_fps REAL, up_kbps REAL, down_kbps REAL);"
    "CREATE INDEX frames_by_time ON frames(camera, t_us);"
    "CREATE TABLE versions(id INTEGER PRIMARY KEY, camera TEXT, version INT, base INT,"
    " delta_bytes INT, snapshot_bytes INT, accepted INT, score_before REAL, score_after REAL,"
    " trained_seq INT, reason TEXT, t_us INT);"
    "CREATE INDEX versions_by_camera ON versions(camera, id);"
    "CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, t_us INT, camera TEXT, kind TEXT,"
    " json TEXT);";

static const char schema_trainings[] =
    "CREATE TABLE trainings(id INTEGER PRIMARY KEY, camera TEXT, configuration TEXT, episode INT,"
    " accuracy_start REAL, accuracy_end REAL, profiled_start REAL, profiled_end REAL,"
    " compute_s REAL, steps INT, accepted INT, t_us INT);";

/* A camera has one open request at most. */
static const char schema_requests[] =
    "ALTER TABLE cameras ADD COLUMN latitude REAL;"
    "ALTER TABLE cameras ADD COLUMN longitude REAL;"
    "CREATE TABLE requests(id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT, kind INT,"
    " at_server INT, t_us INT, since_us INT, score REAL, latitude REAL, longitude REAL, seq INT,"
    " signature TEXT, text TEXT, times INT DEFAULT 1, newest_us INT, closed_us INT DEFAULT 0,"
    " outcome TEXT);"
    "CREATE UNIQUE INDEX requests_open ON requests(camera) WHERE closed_us=0;"
    "CREATE INDEX requests_by_camera ON requests(camera, id);";

/* Until then each camera had its own line of versions: a group with one camera. */
static const char schema_groups[] =
    "ALTER TABLE versions RENAME COLUMN camera TO line;"
    "ALTER TABLE cameras ADD COLUMN line TEXT DEFAULT '';"
    "ALTER TABLE cameras ADD COLUMN trained_seq INT DEFAULT 0;"
    "CREATE INDEX cameras_by_line ON cameras(line);"
    "CREATE TABLE lines(id TEXT PRIMARY KEY, version INT DEFAULT 0, created_us INT,"
    " retired_us INT DEFAULT 0, versions INT DEFAULT 0, rejected INT DEFAULT 0,"
    " encoded INT DEFAULT 0, encoded_bytes INT DEFAULT 0, served INT DEFAULT 0,"
    " served_bytes INT DEFAULT 0);"
    "CREATE TABLE memberships(id INTEGER PRIMARY KEY, camera TEXT, line TEXT, from_version INT,"
    " since_us INT, until_us INT DEFAULT 0, reason TEXT);"
    "CREATE INDEX memberships_by_camera ON memberships(camera, id);"
    "INSERT INTO lines(id,version,created_us,versions,rejected)"
    " SELECT id,version,created_us,versions,rejected FROM cameras;"
    "INSERT INTO memberships(camera,line,from_version,since_us,reason)"
    " SELECT id,id,0,0,'its own group' FROM cameras;"
    "UPDATE cameras SET line=id,trained_seq=COALESCE((SELECT trained_seq FROM versions"
    " WHERE line=cameras.id ORDER BY id DESC LIMIT 1),0);";

static const char schema_numbers[] = "ALTER TABLE lines ADD COLUMN number INT DEFAULT 0;";

static const char schema_agreement[] = "ALTER TABLE frames ADD COLUMN agreement REAL;";

static const char schema_paused[] = "ALTER TABLE cameras ADD COLUMN paused_us INT DEFAULT 0;";

/* Of tokens and codes their SHA-256 only. kind: enum store_token_kind. */
static const char schema_access[] =
    "CREATE TABLE users(name TEXT PRIMARY KEY, role TEXT, hash TEXT, created_us INT);"
    "CREATE TABLE tokens(id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT UNIQUE, kind INT,"
    " name TEXT, role TEXT, created_us INT, revoked_us INT DEFAULT 0);"
    "CREATE TABLE codes(hash TEXT PRIMARY KEY, camera TEXT, created_us INT, expires_us INT);";

/* Script n leads from schema n to n + 1. */
static const char *const schemas[] = {schema_first,  schema_trainings, schema_requests,
                                      schema_groups, schema_numbers,   schema_agreement,
                                      schema_paused, schema_access};
#define SCHEMA_VERSION ((int)(sizeof schemas / sizeof schemas[0]))

void store_options_init(struct store_options *o)
{
    *o = (struct store_options){.cameras_max = 64,
                                .backlog_max = 32,
                                .events_max = 20000,
                                .frames_max = 50000,
                                .versions_max = 500,
                                .trainings_max = 10000,
                                .requests_max = 2000,
                                .disk_free_min_mb = 256};
}

static enum status script(struct store *s, const char *sql, struct error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ST_OK : db_fail(s, err);
}

static enum status migrate(struct store *s, struct error *err)
{
    int64_t version;
    enum status st = db_number(s, err, &version, "PRAGMA user_version", "");
    if (st != ST_OK || version == SCHEMA_VERSION)
        return st;
    if (version > SCHEMA_VERSION)
        return error_set(err, ST_CONFLICT,
                         "%s/attune.db is of a newer attune (schema %d, this one knows %d); use "
                         "that one or another state folder",
                         s->dir, (int)version, SCHEMA_VERSION);
    char number[64];
    snprintf(number, sizeof number, "PRAGMA user_version=%d", SCHEMA_VERSION);
    st = db_begin(s, err);
    if (st != ST_OK)
        return st;
    for (int64_t v = version < 0 ? 0 : version; v < SCHEMA_VERSION && st == ST_OK; v++)
        st = script(s, schemas[v], err);
    if (st == ST_OK)
        st = script(s, number, err);
    return db_end(s, st, err);
}

/* For us alone, as SQLite's files beside it then are: it holds who may do what. */
static enum status make_private(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int bad = fd < 0 ? -1 : fchmod(fd, 0600), code = errno;
    if (fd >= 0)
        close(fd);
    return bad ? error_set(err, ST_IO, "cannot create %s: %s", path, strerror(code)) : ST_OK;
}

static enum status open_database(struct store *s, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/attune.db", s->dir);
    enum status st = make_private(path, err);
    if (st != ST_OK)
        return st;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
        return s->db ? db_fail(s, err) : error_set(err, ST_NOMEM, "no memory for %s", path);
    sqlite3_busy_timeout(s->db, 5000);
    st = script(s,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "PRAGMA cache_size=-8192; PRAGMA journal_size_limit=16777216;",
                err);
    return st == ST_OK ? migrate(s, err) : st;
}

static enum status make_folders(struct store *s, struct error *err)
{
    static const char *const names[] = {"", "/chunks", "/labels", "/models"};
    enum status st = ST_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && st == ST_OK; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s%s", s->dir, names[i]);
        st = file_mkdirs(path, err);
    }
    return st;
}

/* A restored folder has no empty folders. `sql` lists names. */
static enum status make_folders_of(struct store *s, const char *kind, const char *sql,
                                   struct error *err)
{
    sqlite3_stmt *q;
    enum status st = db_query(s, err, &q, sql, "");
    if (st != ST_OK)
        return st;
    while ((st = db_step(s, q, err)) == ST_OK) {
        char path[PATH_MAX], name[CAMERA_ID_CHARS_MAX + 1];
        db_text(q, 0, name, sizeof name);
        snprintf(path, sizeof path, "%s/%s/%s", s->dir, kind, name);
        st = file_mkdirs(path, err);
        if (st != ST_OK)
            break;
    }
    sqlite3_finalize(q);
    return st == ST_END ? ST_OK : st;
}

static enum status make_all_folders(struct store *s, struct error *err)
{
    enum status st = make_folders_of(s, "chunks", "SELECT id FROM cameras", err);
    if (st == ST_OK)
        st = make_folders_of(s, "labels", "SELECT id FROM cameras", err);
    if (st == ST_OK)
        st = make_folders_of(s, "models", "SELECT id FROM lines WHERE retired_us=0", err);
    return st;
}

static int sweep_one(const char *path, const struct stat *at, int kind, struct FTW *where)
{
    (void)at;
    if (kind == FTW_F && strstr(path + where->base, ".tmp."))
        unlink(path);
    return 0;
}

/* Half-written files of a process that was killed (base/file.h names them so). Only the owner of
 * the folder may do this, so the lock comes first. */
static void sweep(const struct store *s)
{
    static const char *const names[] = {"chunks", "labels", "models"};
    for (int i = 0; i < 3; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        nftw(path, sweep_one, 8, FTW_PHYS);
    }
}

/* Held until the process ends or closes it, however it ends. */
static enum status take_lock(struct store *s, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return error_set(err, ST_IO, "cannot create %s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, ST_CONFLICT,
                         "the state folder %s is in use by another server; stop that one or give "
                         "another folder",
                         s->dir);
    return ST_OK;
}

enum status store_open(const char *dir, const struct store_options *options, struct store **ret,
                       struct error *err)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory to open the store");
    s->lock_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->put_lock, NULL);
    if (options)
        s->options = *options;
    else
        store_options_init(&s->options);
    enum status st = ST_OK;
    if (!dir[0] || strlen(dir) >= sizeof s->dir)
        st = error_set(err, ST_INVALID, "the path of the state folder is empty or too long");
    snprintf(s->dir, sizeof s->dir, "%.*s", (int)sizeof s->dir - 1, dir);
    if (st == ST_OK)
        st = make_folders(s, err);
    if (st == ST_OK)
        st = take_lock(s, err);
    if (st == ST_OK)
        sweep(s);
    if (st == ST_OK)
        st = open_database(s, err);
    if (st == ST_OK)
        st = make_all_folders(s, err);
    if (st != ST_OK) {
        store_close(&s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void store_set_limits(struct store *s, const struct store_options *o)
{
    pthread_mutex_lock(&s->put_lock);
    db_lock(s);
    struct store_options now = *o;
    now.cameras_max = s->options.cameras_max;
    s->options = now;
    db_unlock(s);
    pthread_mutex_unlock(&s->put_lock);
}

void store_close(struct store **s)
{
    if (!s || !*s)
        return;
    sqlite3_close_v2((*s)->db);
    if ((*s)->lock_fd >= 0)
        close((*s)->lock_fd);
    pthread_mutex_destroy(&(*s)->lock);
    pthread_mutex_destroy(&(*s)->put_lock);
    free(*s);
    *s = NULL;
}

int store_schema(void)
{
    return SCHEMA_VERSION;
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

bool store_camera_id_valid(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return n >= 1 && n <= CAMERA_ID_CHARS_MAX && id[n] == '\0';
}

enum status store_meta_get(struct store *s, const char *key, char *ret, size_t size_bytes,
                           struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q, "SELECT value FROM meta WHERE key=?", "t", key);
    if (st == ST_OK) {
        st = db_step(s, q, err);
        if (st == ST_OK)
            db_text(q, 0, ret, size_bytes);
        else if (st == ST_END)
            st = error_set(err, ST_NOT_FOUND, "the store has no '%s'", key);
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st;
}

enum status store_meta_put(struct store *s, const char *key, const char *value, struct error *err)
{
    db_lock(s);
    enum status st = db_run(s, err, "INSERT OR REPLACE INTO meta VALUES(?,?)", "tt", key, value);
    db_unlock(s);
    return st;
}

void store_chunk_path(const struct store *s, const char *camera, uint64_t seq, char *ret_path)
{
    snprintf(ret_path, PATH_MAX, "%s/chunks/%s/%llu.chunk", s->dir, camera,
             (unsigned long long)seq);
}

void store_label_path(const struct store *s, const char *camera, uint64_t seq, char *ret_path)
{
    snprintf(ret_path, PATH_MAX, "%s/labels/%s/%llu.labels", s->dir, camera,
             (unsigned long long)seq);
}

void store_answer_path(const struct store *s, const char *camera, uint64_t seq, char *ret_path)
{
    snprintf(ret_path, PATH_MAX, "%s/labels/%s/%llu.answers", s->dir, camera,
             (unsigned long long)seq);
}

void store_model_path(const struct store *s, const char *group, const char *name, char *ret_path)
{
    snprintf(ret_path, PATH_MAX, "%s/models/%s/%s", s->dir, group, name);
}
