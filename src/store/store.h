/* store.h - what the server must not forget: one SQLite file and the files beside it.
 *
 *   DIR/attune.db                  cameras, groups, chunks, frames, versions, requests, events,
 * users DIR/chunks/CAMERA/SEQ.chunk    as uploaded DIR/labels/CAMERA/SEQ.labels   the teacher's
 * classes (label/label_file.h) DIR/labels/CAMERA/SEQ.answers  the student's, as the camera ran it
 * (the same form) DIR/models/GROUP/vN.delta      the version before -> N;  vN.snap: version 0 -> N
 *   DIR/models/GROUP/vN.learner    the worker's state (its format is train/learner.h's)
 *
 * A row never names a file that is not durable: files are written first (base/file.h), then the
 * row is committed (WAL, synchronous=FULL). A file without a row is rubbish and is written over.
 *
 * Owns:    the database handle; records are copied out.
 * Threads: safe; one lock around the one connection. Row callbacks run under it: they must not
 *          call the store and should only copy.
 * Time:    now_us and t_us are arguments, microseconds since 1970.
 * Memory:  small and fixed but for what SQLite caches (8 MiB at most).
 * Errors:  ST_NOT_FOUND, ST_CONFLICT, ST_LIMIT (bounds, full disk), ST_IO (SQLite or files).
 */
#ifndef ATTUNE_STORE_STORE_H
#define ATTUNE_STORE_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/records.h"

#define STORE_TEXT_CHARS_MAX 63
#define STORE_REASON_CHARS_MAX 255
#define STORE_EVENT_BYTES_MAX 4096
#define STORE_MODELS_KEPT 16      /* newest accepted versions of a group whose files stay */
#define STORE_MODELS_LEAST 4      /* of them, where the folder's size is bounded */
#define STORE_MEMBERS_MAX 64      /* cameras of a group */
#define STORE_MEMBERSHIPS_MAX 256 /* past ones that are kept, a camera */

struct store_options {
    int cameras_max;           /* default 64, 1..1024 */
    int backlog_max;           /* stored but unlabelled chunks a camera, default 32 */
    int events_max;            /* default 20000; older ones are deleted */
    int frames_max;            /* frame rows a camera, default 50000 */
    int versions_max;          /* version rows a group, default 500 */
    int trainings_max;         /* trainings of the fleet's history, default 10000 */
    int requests_max;          /* closed requests of the fleet, default 2000 */
    uint64_t disk_free_min_mb; /* refuse chunks below, default 256 */
    uint64_t retention_us; /* samples, frames and events are kept so long; 0, the default: samples
                            * as long as they are needed, rows by number */
    uint64_t state_bytes_max; /* of the folder, 0: no bound */
};

void store_options_init(struct store_options *o);

struct store;

/* Creates what is missing. ST_CONFLICT: another process has the folder open, or the database is of
 * a newer attune. */
enum status store_open(const char *dir, const struct store_options *options, struct store **ret,
                       struct error *err);
void store_close(struct store **s);

/* From now on these bounds; cameras_max stays what it was. */
void store_set_limits(struct store *s, const struct store_options *o);
const char *store_dir(const struct store *s);

/* True for [a-z0-9_-]{1,63}. */
bool store_camera_id_valid(const char *id);

/* Small settings that must survive ("student": identity). ST_NOT_FOUND when absent. */
enum status store_meta_get(struct store *s, const char *key, char *ret, size_t size_bytes,
                           struct error *err);
enum status store_meta_put(struct store *s, const char *key, const char *value, struct error *err);

/* ---- cameras ---- */

struct store_camera {
    char id[CAMERA_ID_CHARS_MAX + 1];
    char state[STORE_TEXT_CHARS_MAX + 1]; /* as the camera says */
    int width, height;
    double fps, sampling_fps;
    char group[CAMERA_ID_CHARS_MAX + 1]; /* that it learns with; its own to begin with */
    uint64_t version;                    /* latest accepted of its group, 0: none */
    uint64_t camera_version;             /* what it said it runs */
    uint64_t created_us, seen_us;
    uint64_t seq_last; /* highest sequence number ever stored */
    uint64_t chunks, up_bytes, down_bytes, versions, rejected;
    double accuracy, unadapted;         /* newest frame's, NaN for none */
    uint64_t frame_t_us;                /* its time, 0 for none */
    uint64_t frame_seq;                 /* its chunk */
    uint64_t trained_seq;               /* newest chunk that its group has trained on */
    double latitude_deg, longitude_deg; /* NaN (to the store both 0, too): not known */
    uint64_t paused_us; /* since when its learning is paused: `version` stays; 0: it is not */
};

/* Creates the camera, alone in a group of its own, or updates state, size, fps, camera_version,
 * seen_us and, where it is known, place of the one that is there. sampling_fps is used for a new
 * camera only. ST_LIMIT: cameras_max are there. */
enum status store_camera_hello(struct store *s, const struct store_camera *c, bool *ret_new,
                               struct error *err);
enum status store_camera_get(struct store *s, const char *id, struct store_camera *ret,
                             struct error *err);

typedef void store_camera_row(const struct store_camera *c, void *context);
enum status store_cameras(struct store *s, store_camera_row *row, void *context, struct error *err);
/* Learning is paused (now_us > 0), or goes on (0): then the camera has its group's version. *ret
 * (NULL allowed) is the row afterwards; *ret_news false: it was so already. ST_NOT_FOUND. */
enum status store_camera_pause(struct store *s, const char *id, uint64_t now_us,
                               struct store_camera *ret, bool *ret_news, struct error *err);
enum status store_camera_sampling(struct store *s, const char *id, double sampling_fps,
                                  struct error *err);
/* The camera asked for updates: it runs `version`. Adds down_bytes (0: nothing was sent). */
enum status store_camera_update(struct store *s, const char *id, uint64_t version,
                                uint64_t down_bytes, uint64_t now_us, struct error *err);

/* ---- chunks ---- */

enum store_chunk_state { STORE_STORED = 1, STORE_LABELLED, STORE_FAILED };

struct store_chunk {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    uint64_t seq, size_bytes, received_us;
    enum store_chunk_state state;
    char sha256_hex[65];
};

/* Stores the bytes durably, then the row. *ret_new false: the same bytes were there already.
 * ST_CONFLICT: other bytes have this number (or it is older than what is kept, or far beyond it).
 * ST_AGAIN: the backlog is full. ST_LIMIT: disk full. ST_NOT_FOUND: no such camera. */
enum status store_chunk_put(struct store *s, const char *camera, uint64_t seq, const void *data,
                            size_t n, uint64_t now_us, bool *ret_new, struct error *err);

enum status store_backlog(struct store *s, const char *camera /* NULL: all */, uint64_t *ret,
                          struct error *err);

typedef void store_chunk_row(const struct store_chunk *c, void *context);
/* Of each camera with chunks that wait for their labels the first one, who waits longest first. */
enum status store_chunks_waiting(struct store *s, store_chunk_row *row, void *context,
                                 struct error *err);
/* Labelled chunks with seq > after, lowest first, at most limit. */
enum status store_chunks_labelled(struct store *s, const char *camera, uint64_t after, int limit,
                                  store_chunk_row *row, void *context, struct error *err);

/* DIR/chunks/... and DIR/labels/... of a chunk, models/GROUP/NAME. A camera's folders are there
 * after its hello, a group's after store_group_name. ret_path[PATH_MAX]. */
void store_chunk_path(const struct store *s, const char *camera, uint64_t seq, char *ret_path);
void store_label_path(const struct store *s, const char *camera, uint64_t seq, char *ret_path);
void store_answer_path(const struct store *s, const char *camera, uint64_t seq, char *ret_path);
void store_model_path(const struct store *s, const char *group, const char *name, char *ret_path);

/* ---- frames: the accuracy over time ---- */

struct store_frame {
    uint64_t t_us, seq;
    int index;                  /* within the chunk */
    uint64_t version;           /* as the camera reported */
    double accuracy, unadapted; /* over the seconds before */
    double sampling_fps, up_kbps, down_kbps;
    double agreement; /* of this frame alone, NaN: not known */
};

/* One transaction: the rows, the camera's newest accuracy, the chunk's state. */
enum status store_chunk_labelled(struct store *s, const char *camera, uint64_t seq,
                                 const struct store_frame *frames, int count, struct error *err);
enum status store_chunk_failed(struct store *s, const char *camera, uint64_t seq,
                               struct error *err);

typedef void store_frame_row(const struct store_frame *f, void *context);
/* The newest `limit` frames with t_us > since_us, oldest first. */
enum status store_frames(struct store *s, const char *camera, uint64_t since_us, int limit,
                         store_frame_row *row, void *context, struct error *err);

/* The frame that was sampled at t_us, of several (crops of one picture) number `index` of its
 * chunk, or the first (index -1). ST_NOT_FOUND. */
enum status store_frame_get(struct store *s, const char *camera, uint64_t t_us, int index,
                            struct store_frame *ret, struct error *err);

/* Where student and teacher agree least: of each labelled chunk that is still kept the worst frame,
 * worst first, at most `limit`; of the newest STORE_DOUBTS_FROM frames. */
#define STORE_DOUBTS_FROM 2000
enum status store_frames_doubtful(struct store *s, const char *camera, int limit,
                                  store_frame_row *row, void *context, struct error *err);

/* Bytes received from and sent to the camera in (now_us - window_us, now_us]. */
enum status store_rates(struct store *s, const char *camera, uint64_t window_us, uint64_t now_us,
                        double *ret_up_kbps, double *ret_down_kbps, struct error *err);

/* ---- groups: cameras that share one model, and with it one line of versions ----
 *
 * Every camera is in one group. A group's id is that of the camera that it was made for, with a
 * number where that id was taken ("gate", "gate.2"), and names its folder of models. A camera's
 * versions only ever grow, whatever groups it passes through: from the version with which it joined
 * on, its version numbers are those of the group. */

struct store_group {
    char id[CAMERA_ID_CHARS_MAX + 1];
    uint64_t version; /* latest accepted, 0: none */
    int members;
    uint64_t created_us;
    uint64_t retired_us;             /* when its last camera left, 0: it has some */
    uint64_t versions, rejected;     /* of candidates */
    uint64_t encoded, encoded_bytes; /* files of updates that were made, steps and snapshots */
    uint64_t served, served_bytes;   /* answers to cameras with one of them */
    uint64_t number; /* what whoever decides calls the group (group/group.h), 0: nothing yet */
};

/* ST_NOT_FOUND. */
enum status store_group_get(struct store *s, const char *id, struct store_group *ret,
                            struct error *err);
typedef void store_group_row(const struct store_group *g, void *context);
/* Those that have members, by id. */
enum status store_groups(struct store *s, store_group_row *row, void *context, struct error *err);

enum status store_group_number(struct store *s, const char *id, uint64_t number, struct error *err);

/* An id for another group of this camera's: ret[CAMERA_ID_CHARS_MAX + 1]. ST_LIMIT: too many groups
 * were made lately. */
enum status store_group_name(struct store *s, const char *camera, char *ret, struct error *err);

/* ---- versions ---- */

struct store_version {
    uint64_t version, base, delta_bytes, snapshot_bytes, t_us;
    bool accepted;
    double score_before, score_after; /* NaN: not scored */
    bool for_paused; /* of one that is put: cameras whose learning is paused have it, too */
    char reason[STORE_REASON_CHARS_MAX + 1];
};

/* What a group's learner had of a camera. */
struct store_trained {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    uint64_t seq; /* newest chunk */
};

/* One transaction: the row, the group's counters, what was trained on (count 0: of nobody), and
 * when accepted the version of the group and its members, but for paused ones. The files vN.delta,
 * vN.snap and the learner's state are durable by then. ST_CONFLICT: base is not the group's
 * version, or version is not above it. */
enum status store_version_put(struct store *s, const char *group, const struct store_version *v,
                              const struct store_trained *trained, int count, struct error *err);
typedef void store_version_row(const struct store_version *v, void *context);
/* Newest first. */
enum status store_versions(struct store *s, const char *group, int limit, store_version_row *row,
                           void *context, struct error *err);
/* The same of all groups that the camera was in, while it was. */
enum status store_camera_versions(struct store *s, const char *camera, int limit,
                                  store_version_row *row, void *context, struct error *err);
/* The version that the accepted one's delta leads from. ST_NOT_FOUND. */
enum status store_version_base(struct store *s, const char *group, uint64_t version, uint64_t *ret,
                               struct error *err);

/* ---- who is in which group ---- */

/* The camera's group in the folder of a server that may be running; nothing is changed. ret:
 * [CAMERA_ID_CHARS_MAX + 1]. A folder without a database, or of before there were groups: the
 * camera itself. ST_NOT_FOUND: no such camera. */
enum status store_peek_group(const char *dir, const char *camera, char *ret, struct error *err);

/* A small setting (store_meta_get) in such a folder. ST_NOT_FOUND: no database;
 * ST_UNSUPPORTED: that is not there, it is of an older server. */
enum status store_peek_meta(const char *dir, const char *key, char *ret, size_t size_bytes,
                            struct error *err);

struct store_move {
    const char *camera, *group;
    const struct store_version *found; /* the group is new and begins with this version, whose files
                                        * are durable (version 0: with the file's own weights);
                                        * NULL: it is there */
    uint64_t number;                   /* of a new group */
    uint64_t t_us;
    const char *reason;
};

/* The camera joins the group, one transaction; a group that nobody is in is retired. ST_CONFLICT:
 * the group's version is below the camera's, the group is retired, or (found) exists. ST_LIMIT: it
 * is full. */
enum status store_move_put(struct store *s, const struct store_move *m, struct error *err);

/* The group whose version `version` is for this camera, and the first version that it has from it:
 * ret[CAMERA_ID_CHARS_MAX + 1]. */
enum status store_group_of(struct store *s, const char *camera, uint64_t version, char *ret,
                           uint64_t *ret_from, struct error *err);

struct store_membership {
    uint64_t id;
    char camera[CAMERA_ID_CHARS_MAX + 1], group[CAMERA_ID_CHARS_MAX + 1];
    uint64_t from_version;
    uint64_t since_us, until_us; /* until 0: now; since 0: from the first */
    char reason[STORE_REASON_CHARS_MAX + 1];
};

typedef void store_membership_row(const struct store_membership *m, void *context);
/* Those that ended after since_us or not yet, oldest first, the newest `limit`; camera NULL: of
 * all. */
enum status store_memberships(struct store *s, const char *camera, uint64_t since_us, int limit,
                              store_membership_row *row, void *context, struct error *err);

/* ---- trainings: the fleet's history, from which estimates are made ---- */

struct store_training {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    char configuration[STORE_TEXT_CHARS_MAX + 1];
    uint64_t episode;  /* trainings of a camera with the same number began from the same model */
    double start, end; /* accuracy before and after, NaN: not scored */
    double profiled_start, profiled_end; /* what a profile said, NaN without one */
    double compute_s;                    /* in seconds of one processor */
    int steps;
    bool accepted;
    uint64_t t_us;
};

enum status store_training_put(struct store *s, const struct store_training *t, struct error *err);
typedef void store_training_row(const struct store_training *t, void *context);
/* The newest `limit`, newest first; camera NULL: of all. */
enum status store_trainings(struct store *s, const char *camera, int limit, store_training_row *row,
                            void *context, struct error *err);

/* ---- requests: cameras whose world has changed ---- */

struct store_request {
    uint64_t id;
    struct drift_request drift;
    int times;                                /* raised so often while it was open */
    uint64_t newest_us;                       /* the last time */
    uint64_t closed_us;                       /* 0: open */
    char outcome[STORE_REASON_CHARS_MAX + 1]; /* what became of it */
};

/* A camera has one open request at most. Where there is one already it stays, raised once more,
 * with the larger score and the newest signature; a moved camera (DRIFT_VIEW) takes kind, text and
 * since over, as nothing that was seen before holds for it. *ret_new: there was none. Where the
 * place is not known the camera's is taken. The same
 * alarm (kind, where it was noticed, since when) told again after it was closed changes nothing.
 * ST_NOT_FOUND: no such camera. */
enum status store_request_raise(struct store *s, const struct drift_request *r, uint64_t *ret_id,
                                bool *ret_new, struct error *err);

/* ST_NOT_FOUND: it is not open. */
enum status store_request_close(struct store *s, uint64_t id, const char *outcome, uint64_t now_us,
                                struct error *err);

typedef void store_request_row(const struct store_request *r, void *context);
/* All that are open, oldest first: at most one a camera. */
enum status store_requests_open(struct store *s, store_request_row *row, void *context,
                                struct error *err);
/* Of a camera, open or closed, newest first. */
enum status store_requests(struct store *s, const char *camera, int limit, store_request_row *row,
                           void *context, struct error *err);

/* ---- events ---- */

struct store_event {
    uint64_t id, t_us;
    char camera[CAMERA_ID_CHARS_MAX + 1]; /* "" for the server's own */
    char kind[32];
    char json[STORE_EVENT_BYTES_MAX]; /* an object with the event's own members */
};

/* *ret_id (NULL allowed): ever increasing, also across restarts. */
enum status store_event_put(struct store *s, uint64_t t_us, const char *camera, const char *kind,
                            const char *json, uint64_t *ret_id, struct error *err);
typedef void store_event_row(const struct store_event *e, void *context);
/* id > after, lowest first, at most limit. */
enum status store_events(struct store *s, uint64_t after, int limit, store_event_row *row,
                         void *context, struct error *err);
/* id < before (0: all), highest first, at most limit; `without` (NULL: none): kinds that are left
 * out, "a,b". */
enum status store_events_before(struct store *s, uint64_t before, int limit, const char *without,
                                store_event_row *row, void *context, struct error *err);
/* Highest id, 0 for none. */
uint64_t store_event_last(struct store *s);

/* ---- access: who may ask for what ---- */

#define STORE_USERS_MAX 64
#define STORE_TOKENS_MAX 2048   /* that hold */
#define STORE_REVOKED_KEPT 1024 /* newest revoked ones that are still known */
#define STORE_CODES_MAX 256     /* that wait to be used */
#define STORE_ROLE_CHARS_MAX 15

struct store_user {
    char name[STORE_TEXT_CHARS_MAX + 1];
    char role[STORE_ROLE_CHARS_MAX + 1];
    char hash[STORE_TEXT_CHARS_MAX * 4 + 4]; /* of the password, base/secret.h */
    uint64_t created_us;
};

/* Adds, or gives another role and password. ST_LIMIT. */
enum status store_user_put(struct store *s, const struct store_user *u, struct error *err);
/* ST_NOT_FOUND. */
enum status store_user_get(struct store *s, const char *name, struct store_user *ret,
                           struct error *err);
enum status store_user_remove(struct store *s, const char *name, struct error *err);
typedef void store_user_row(const struct store_user *u, void *context);
enum status store_users(struct store *s, store_user_row *row, void *context, struct error *err);

enum store_token_kind { STORE_TOKEN_CAMERA = 1, STORE_TOKEN_SCRIPT };

struct store_token {
    uint64_t id;
    enum store_token_kind kind;
    char name[STORE_TEXT_CHARS_MAX + 1];
    char role[STORE_ROLE_CHARS_MAX + 1]; /* "" of a camera */
    uint64_t created_us, revoked_us;     /* revoked_us 0: it holds */
};

/* Takes the place of the one that holds under this kind and name. hash_hex: SHA-256 of the token.
 * ST_LIMIT. */
enum status store_token_put(struct store *s, const struct store_token *t, const char *hash_hex,
                            struct error *err);
/* Also one that was revoked. ST_NOT_FOUND. */
enum status store_token_find(struct store *s, const char *hash_hex, struct store_token *ret,
                             struct error *err);
/* ST_NOT_FOUND: none holds. */
enum status store_token_revoke(struct store *s, enum store_token_kind kind, const char *name,
                               uint64_t now_us, struct error *err);
typedef void store_token_row(const struct store_token *t, void *context);
enum status store_tokens(struct store *s, store_token_row *row, void *context, struct error *err);

struct store_code {
    char camera[CAMERA_ID_CHARS_MAX + 1];
    uint64_t created_us, expires_us;
};

/* Takes the place of an unused one for the same camera. ST_LIMIT. */
enum status store_code_put(struct store *s, const struct store_code *c, const char *hash_hex,
                           struct error *err);
/* Once: the code is gone, the camera has this token and no other. camera: that it must be for,
 * NULL: any. ret_camera: [CAMERA_ID_CHARS_MAX + 1]. ST_DENIED: it was used, has expired or never
 * was; ST_CONFLICT: it is another camera's, and stays. */
enum status store_code_use(struct store *s, const char *hash_hex, const char *camera,
                           const char *token_hash_hex, uint64_t now_us, char *ret_camera,
                           struct error *err);

/* The number of the database's form that this attune writes. */
int store_schema(void);

/* Retention of the folder's server waits from here until store_release, or until the process ends:
 * no file that a row names goes. Waits for one that is under way. */
enum status store_hold(const char *dir, int *ret_fd, struct error *err);
/* Who holds is at work: retention that hears nothing for STORE_HOLD_SILENT_US goes on without. */
void store_hold_beat(int fd);
/* False: it did, and files that rows name may have gone. */
bool store_hold_kept(int fd);
/* -1: nothing. */
void store_release(int fd);
#define STORE_HOLD_SILENT_US ((uint64_t)600 * 1000000)

/* ---- retention ---- */

struct store_retired {
    uint64_t chunks, models, versions, frames, trainings, requests, events;
};

/* Deletes chunks (rows and files, labels too) received before keep_since_us, longer ago under
 * retention_us, that are labelled or failed, version, frame, membership, training and closed
 * request rows over their bounds, model files of the camera's group beyond STORE_MODELS_KEPT that
 * no camera of it is to run, groups that were retired before keep_since_us, events over their
 * bound. The numbers of deleted chunks stay used. While a backup is made nothing goes. now_us: wall
 * clock. */
enum status store_retire(struct store *s, const char *camera, uint64_t keep_since_us,
                         uint64_t now_us, struct store_retired *ret, struct error *err);

/* Samples that were received since then stay: all that are needed, more under retention_us. */
uint64_t store_samples_since(struct store *s, uint64_t needed_since_us, uint64_t now_us);
/* Under retention_us: older frames, events, closed requests and memberships that ended, of all. */
enum status store_retire_old(struct store *s, uint64_t now_us, struct store_retired *ret,
                             struct error *err);
/* Under state_bytes_max, where the folder is larger: the oldest samples that are not needed, and
 * when that is not enough versions but the newest STORE_MODELS_LEAST of a group and those in use.
 * *ret_bytes: the folder's size afterwards; more than the bound where no more can go. */
enum status store_retire_size(struct store *s, uint64_t needed_since_us, uint64_t now_us,
                              uint64_t *ret_bytes, struct store_retired *ret, struct error *err);

/* The option in force. */
uint64_t store_bytes_max(struct store *s);
/* Of the folder's files on disk. */
uint64_t store_bytes(const struct store *s);
/* When the oldest sample or frame is from, 0 for none. */
uint64_t store_oldest(struct store *s);
/* The camera's newest sample before `us`, 0 for none. */
enum status store_chunk_before(struct store *s, const char *camera, uint64_t us, uint64_t *ret,
                               struct error *err);

#endif
