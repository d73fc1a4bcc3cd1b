/* spool.c - the waiting chunks are a sorted array in memory and one file each on disk.
 *
 * Files come and go through three functions: append (file_write makes it durable before the entry
 * exists), forget (unlink, after the number is safe in `next`), and scan at open. The only order
 * that matters for the numbers: the file with the highest number goes only after `next` is above
 * it.
 */
#include "uplink/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

#define CHUNK_MAGIC 0x50535441u /* "ATSP" */
#define NEXT_MAGIC 0x4e535441u  /* "ATSN" */
#define CHUNK_HEADER_BYTES 16
#define FOLDER_CHARS_MAX (PATH_MAX - 64)

struct entry {
    uint64_t seq, size_bytes; /* of the payload */
};

struct spool {
    char folder[PATH_MAX];
    int lock_fd;
    struct spool_options options;
    pthread_mutex_t mutex;
    struct entry *entries; /* ascending; one more than count_max, for append */
    uint64_t next_saved;   /* what the file `next` holds */
    struct spool_stats stats;
};

void spool_options_init(struct spool_options *o)
{
    *o = (struct spool_options){.bytes_max = (uint64_t)256 << 20, .count_max = 4096};
}

static void chunk_path(const struct spool *s, uint64_t seq, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s/%020" PRIu64 ".chunk", FOLDER_CHARS_MAX, s->folder, seq);
}

static void named_path(const struct spool *s, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s/%.60s", FOLDER_CHARS_MAX, s->folder, name);
}

static enum status save_next(struct spool *s, struct error *err)
{
    struct buf b;
    buf_init(&b);
    buf_put_u32(&b, NEXT_MAGIC);
    buf_put_u64(&b, s->stats.next_seq);
    enum status st = ST_NOMEM;
    if (!b.failed)
        buf_put_u32(&b, file_crc32(b.data, b.size_bytes));
    if (b.failed) {
        error_set(err, ST_NOMEM, "no memory to save the spool's next number");
        goto out;
    }
    char path[PATH_MAX];
    named_path(s, "next", path);
    st = file_write(path, b.data, b.size_bytes, err);
    if (st == ST_OK)
        s->next_saved = s->stats.next_seq;
out:
    buf_clear(&b);
    return st;
}

/* A missing or damaged file counts as 1: the files' names and the server's hello know better. */
static uint64_t read_next(const struct spool *s)
{
    struct buf b;
    buf_init(&b);
    char path[PATH_MAX];
    named_path(s, "next", path);
    uint64_t next = 1;
    if (file_read(path, 64, &b, NULL) == ST_OK && b.size_bytes == 16) {
        struct cursor c;
        cursor_init(&c, b.data, b.size_bytes);
        uint32_t magic = cursor_u32(&c);
        uint64_t value = cursor_u64(&c);
        if (magic == NEXT_MAGIC && cursor_u32(&c) == file_crc32(b.data, 12) && value > 0)
            next = value;
    }
    buf_clear(&b);
    return next;
}

/* Appends the payload of chunk file seq to *out when the file is whole. */
static enum status read_chunk(const struct spool *s, uint64_t seq, struct buf *out,
                              struct error *err)
{
    char path[PATH_MAX];
    chunk_path(s, seq, path);
    struct buf file;
    buf_init(&file);
    enum status st = file_read(path, SPOOL_PAYLOAD_BYTES_MAX + CHUNK_HEADER_BYTES, &file, err);
    if (st != ST_OK)
        goto out;
    struct cursor c;
    cursor_init(&c, file.data, file.size_bytes);
    uint32_t magic = cursor_u32(&c);
    uint32_t crc32 = cursor_u32(&c);
    uint64_t named = cursor_u64(&c);
    if (c.failed || magic != CHUNK_MAGIC || named != seq ||
        crc32 != file_crc32(c.data, c.left_bytes)) {
        st = error_set(err, ST_FORMAT, "%s is damaged and was left out", path);
        goto out;
    }
    buf_put(out, c.data, c.left_bytes);
    if (out->failed)
        st = error_set(err, ST_NOMEM, "no memory for %s", path);
out:
    buf_clear(&file);
    return st;
}

/* The number in "DIGITS.chunk", 0 for any other name. */
static uint64_t seq_of_name(const char *name)
{
    if (strspn(name, "0123456789") != 20 || strcmp(name + 20, ".chunk") != 0)
        return 0;
    errno = 0;
    uint64_t seq = strtoull(name, NULL, 10);
    return errno || seq == UINT64_MAX ? 0 : seq;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->seq, y = ((const struct entry *)b)->seq;
    return (x > y) - (x < y);
}

/* Index of seq among the entries, -1 when it is not there. */
static int entry_find(const struct spool *s, uint64_t seq)
{
    struct entry key = {.seq = seq};
    const struct entry *e =
        bsearch(&key, s->entries, (size_t)s->stats.waiting_count, sizeof *s->entries, by_seq);
    return e ? (int)(e - s->entries) : -1;
}

/* Removes entry i and its file; the file of the highest number only when `next` is above it. */
static enum status forget(struct spool *s, int i, struct error *err)
{
    assert(i >= 0 && i < s->stats.waiting_count);
    struct entry gone = s->entries[i];
    if (i == s->stats.waiting_count - 1 && gone.seq >= s->next_saved) {
        enum status st = save_next(s, err);
        if (st != ST_OK)
            return st;
    }
    char path[PATH_MAX];
    chunk_path(s, gone.seq, path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(err, ST_IO, "cannot remove %s: %s", path, strerror(errno));
    s->stats.waiting_count--;
    s->stats.waiting_bytes -= gone.size_bytes;
    memmove(s->entries + i, s->entries + i + 1,
            (size_t)(s->stats.waiting_count - i) * sizeof *s->entries);
    return ST_OK;
}

static bool over_bounds(const struct spool *s)
{
    return s->stats.waiting_count > s->options.count_max ||
           s->stats.waiting_bytes > s->options.bytes_max;
}

static enum status drop_oldest_over_bounds(struct spool *s, struct error *err)
{
    while (over_bounds(s)) {
        enum status st = forget(s, 0, err);
        if (st != ST_OK)
            return st;
        s->stats.dropped_full++;
    }
    return ST_OK;
}

/* Takes one file of the folder in, or deletes it when it is damaged or was never finished. */
static enum status scan_file(struct spool *s, const char *name, struct entry **entries,
                             size_t *capacity, struct error *err)
{
    char path[PATH_MAX];
    if (strstr(name, ".tmp.")) {
        named_path(s, name, path);
        (void)unlink(path);
        return ST_OK;
    }
    uint64_t seq = seq_of_name(name);
    if (seq == 0)
        return ST_OK;
    if (s->stats.next_seq <= seq)
        s->stats.next_seq = seq + 1;
    struct buf payload;
    buf_init(&payload);
    enum status st = read_chunk(s, seq, &payload, err);
    uint64_t size_bytes = payload.size_bytes;
    buf_clear(&payload);
    if (st == ST_NOMEM)
        return st;
    size_t count = (size_t)s->stats.waiting_count;
    if (count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 64;
        struct entry *grown = realloc(*entries, wanted * sizeof *grown);
        if (!grown)
            return error_set(err, ST_NOMEM, "no memory for the spool's list");
        *entries = grown;
        *capacity = wanted;
    }
    /* Damaged files are listed with the size that no payload has, and forgotten after the scan,
     * when the highest number is known. */
    (*entries)[count] = (struct entry){.seq = seq, .size_bytes = st == ST_OK ? size_bytes : 0};
    s->stats.waiting_count++;
    s->stats.waiting_bytes += (*entries)[count].size_bytes;
    return ST_OK;
}

static enum status scan_folder(struct spool *s, struct error *err)
{
    DIR *folder = opendir(s->folder);
    if (!folder)
        return error_set(err, ST_IO, "cannot list %s: %s", s->folder, strerror(errno));
    size_t capacity = 0;
    enum status st = ST_OK;
    for (struct dirent *d; st == ST_OK && (d = readdir(folder));)
        st = scan_file(s, d->d_name, &s->entries, &capacity, err);
    closedir(folder);
    if (st != ST_OK)
        return st;
    if (s->stats.waiting_count > 0)
        qsort(s->entries, (size_t)s->stats.waiting_count, sizeof *s->entries, by_seq);
    for (int i = s->stats.waiting_count - 1; i >= 0; i--) {
        if (s->entries[i].size_bytes > 0)
            continue;
        if ((st = forget(s, i, err)) != ST_OK)
            return st;
        s->stats.dropped_torn++;
    }
    st = drop_oldest_over_bounds(s, err);
    if (st != ST_OK)
        return st;
    struct entry *fixed =
        realloc(s->entries, ((size_t)s->options.count_max + 1) * sizeof *s->entries);
    if (!fixed)
        return error_set(err, ST_NOMEM, "no memory for the spool's list");
    s->entries = fixed;
    return ST_OK;
}

static enum status take_lock(struct spool *s, struct error *err)
{
    char path[PATH_MAX];
    named_path(s, "lock", path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return error_set(err, ST_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, ST_CONFLICT,
                         "%s is in use by another camera process; give each its own state folder",
                         s->folder);
    return ST_OK;
}

enum status spool_open(const char *folder, const struct spool_options *options, struct spool **ret,
                       struct error *err)
{
    if (strlen(folder) >= FOLDER_CHARS_MAX)
        return error_set(err, ST_LIMIT, "the spool's folder name is too long: %.80s...", folder);
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "no memory for the spool");
    s->lock_fd = -1;
    pthread_mutex_init(&s->mutex, NULL);
    if (options)
        s->options = *options;
    else
        spool_options_init(&s->options);
    assert(s->options.count_max >= 1 && s->options.count_max <= SPOOL_COUNT_MAX);
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    enum status st = file_mkdirs(folder, err);
    if (st == ST_OK)
        st = take_lock(s, err);
    if (st == ST_OK) {
        s->stats.next_seq = s->next_saved = read_next(s);
        st = scan_folder(s, err);
    }
    if (st != ST_OK) {
        spool_close(&s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void spool_close(struct spool **s)
{
    if (!s || !*s)
        return;
    if ((*s)->lock_fd >= 0)
        close((*s)->lock_fd);
    pthread_mutex_destroy(&(*s)->mutex);
    free((*s)->entries);
    free(*s);
    *s = NULL;
}

static enum status write_chunk(struct spool *s, uint64_t seq, const void *payload, size_t n,
                               struct error *err)
{
    struct buf b;
    buf_init(&b);
    buf_put_u32(&b, CHUNK_MAGIC);
    buf_put_u32(&b, file_crc32(payload, n));
    buf_put_u64(&b, seq);
    buf_put(&b, payload, n);
    enum status st;
    if (b.failed) {
        st = error_set(err, ST_NOMEM, "no memory to write a chunk of %zu bytes", n);
    } else {
        char path[PATH_MAX];
        chunk_path(s, seq, path);
        st = file_write(path, b.data, b.size_bytes, err);
    }
    buf_clear(&b);
    return st;
}

uint64_t spool_reserve(struct spool *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t seq = s->stats.next_seq++;
    pthread_mutex_unlock(&s->mutex);
    return seq;
}

enum status spool_append(struct spool *s, uint64_t seq, const void *payload, size_t n,
                         struct error *err)
{
    if (n == 0 || n > SPOOL_PAYLOAD_BYTES_MAX || n > s->options.bytes_max)
        return error_set(err, ST_LIMIT, "a chunk of %zu bytes does not fit the spool %s", n,
                         s->folder);
    pthread_mutex_lock(&s->mutex);
    int count = s->stats.waiting_count;
    assert(seq < s->stats.next_seq && (count == 0 || seq > s->entries[count - 1].seq));
    /* Only after a failure to drop is the list still over its bounds here. */
    enum status st = drop_oldest_over_bounds(s, err);
    if (st == ST_OK)
        st = write_chunk(s, seq, payload, n, err);
    if (st == ST_OK) {
        s->entries[s->stats.waiting_count++] = (struct entry){.seq = seq, .size_bytes = n};
        s->stats.waiting_bytes += n;
        s->stats.appended++;
        (void)drop_oldest_over_bounds(s, NULL); /* the new chunk is safe; tried again next time */
    }
    pthread_mutex_unlock(&s->mutex);
    return st;
}

enum status spool_peek(struct spool *s, uint64_t *ret_seq, struct buf *out, struct error *err)
{
    enum status st = ST_AGAIN;
    pthread_mutex_lock(&s->mutex);
    while (s->stats.waiting_count > 0) {
        uint64_t seq = s->entries[0].seq;
        st = read_chunk(s, seq, out, err);
        if (st == ST_OK) {
            *ret_seq = seq;
            break;
        }
        if (st != ST_FORMAT && st != ST_NOT_FOUND && st != ST_LIMIT)
            break;
        if ((st = forget(s, 0, err)) != ST_OK)
            break;
        s->stats.dropped_torn++;
        st = ST_AGAIN;
    }
    pthread_mutex_unlock(&s->mutex);
    return st == ST_AGAIN ? error_set(err, ST_AGAIN, "no chunk waits") : st;
}

/* Forgets seq where it is known and adds one to *counter. */
static enum status settle(struct spool *s, uint64_t seq, uint64_t *counter, struct error *err)
{
    enum status st = ST_OK;
    pthread_mutex_lock(&s->mutex);
    int i = entry_find(s, seq);
    if (i >= 0)
        st = forget(s, i, err);
    if (i >= 0 && st == ST_OK)
        ++*counter;
    pthread_mutex_unlock(&s->mutex);
    return st;
}

enum status spool_acknowledge(struct spool *s, uint64_t seq, struct error *err)
{
    return settle(s, seq, &s->stats.acknowledged, err);
}

enum status spool_drop(struct spool *s, uint64_t seq, struct error *err)
{
    return settle(s, seq, &s->stats.dropped_given, err);
}

enum status spool_skip_to(struct spool *s, uint64_t seq, struct error *err)
{
    enum status st = ST_OK;
    pthread_mutex_lock(&s->mutex);
    if (seq > s->stats.next_seq && seq < UINT64_MAX) {
        s->stats.next_seq = seq;
        st = save_next(s, err);
    }
    pthread_mutex_unlock(&s->mutex);
    return st;
}

void spool_stats_get(struct spool *s, struct spool_stats *ret)
{
    pthread_mutex_lock(&s->mutex);
    *ret = s->stats;
    pthread_mutex_unlock(&s->mutex);
}
