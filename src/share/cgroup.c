/* cgroup.c - every setting is a small file that is written in one piece. */
#include "share/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define SELF_LEAF "server"
#define PREFIX "attune-"
#define FILE_BYTES_MAX ((size_t)1 << 16)
#define WEIGHT_V1_MIN 2
#define WEIGHT_V1_MAX 262144
#define WEIGHT_V2_MAX 10000

/* ---- files ---- */

static enum status join_path(char out[PATH_MAX], const char *a, const char *b, const char *c,
                             struct error *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s%s", a, b, c ? "/" : "", c ? c : "");
    return n > 0 && n < PATH_MAX ? ST_OK
                                 : error_set(err, ST_LIMIT, "the path of a cgroup is too long");
}

static enum status write_file(const char *dir, const char *file, const char *text,
                              struct error *err)
{
    char path[PATH_MAX];
    enum status st = join_path(path, dir, file, NULL, err);
    if (st != ST_OK)
        return st;
    size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ssize_t done = fd >= 0 ? write(fd, text, n) : -1;
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (done == (ssize_t)n)
        return ST_OK;
    st = code == EACCES || code == EPERM || code == EROFS || code == EBUSY ? ST_DENIED : ST_IO;
    return error_set(err, st, "cannot write '%s' to %.300s: %s", text, path, strerror(code));
}

/* A file as text into *out; empty when it cannot be read. */
static const char *read_text(const char *dir, const char *file, struct buf *out)
{
    char path[PATH_MAX];
    out->size_bytes = 0;
    if (join_path(path, dir, file, NULL, NULL) == ST_OK)
        file_read(path, FILE_BYTES_MAX, out, NULL);
    buf_put_u8(out, 0);
    return out->failed ? "" : (const char *)out->data;
}

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* ---- finding ---- */

struct mounts {
    char v1[PATH_MAX], v2[PATH_MAX]; /* "" for none */
};

static void find_mounts(struct mounts *ret)
{
    struct mntent *m;
    ret->v1[0] = ret->v2[0] = '\0';
    FILE *f = setmntent("/proc/self/mounts", "re");
    while (f && (m = getmntent(f))) {
        if (strcmp(m->mnt_type, "cgroup") == 0 && hasmntopt(m, "cpu"))
            snprintf(ret->v1, PATH_MAX, "%s", m->mnt_dir);
        else if (strcmp(m->mnt_type, "cgroup2") == 0)
            snprintf(ret->v2, PATH_MAX, "%s", m->mnt_dir);
    }
    if (f)
        endmntent(f);
}

/* Is `word` one of those in `list`, which `separators` part? */
static bool has_word(const char *list, const char *separators, const char *word)
{
    size_t length = strlen(word);
    while (*list) {
        size_t n = strcspn(list, separators);
        if (n == length && strncmp(list, word, n) == 0)
            return true;
        list += n + strspn(list + n, separators);
    }
    return false;
}

/* The path of this process's group within the hierarchy, from a line "3:cpu,cpuacct:/a/b" (v2:
 * "0::/a/b"); "" when there is none. */
static void own_group(int version, char ret[PATH_MAX])
{
    struct buf text;
    char *save, *at;
    ret[0] = '\0';
    buf_init(&text);
    read_text("/proc/self", "cgroup", &text);
    at = text.failed ? NULL : (char *)text.data;
    for (char *line = at ? strtok_r(at, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        if (version == 2 ? controllers[0] == '\0' : has_word(controllers, ",", "cpu"))
            snprintf(ret, PATH_MAX, "%s", path);
    }
    buf_clear(&text);
}

/* A container may see the hierarchy from its own group on: then the path leads nowhere. */
static void own_folder(int version, const char *mount, char ret[PATH_MAX])
{
    char group[PATH_MAX];
    own_group(version, group);
    int n = snprintf(ret, PATH_MAX, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    if (n >= PATH_MAX || !is_folder(ret))
        snprintf(ret, PATH_MAX, "%s", mount);
}

static bool controls_cpu(const char *folder)
{
    struct buf text;
    buf_init(&text);
    bool yes = has_word(read_text(folder, "cgroup.controllers", &text), " \n", "cpu");
    buf_clear(&text);
    return yes;
}

enum status cgroup_find(int *ret_version, char ret_base[PATH_MAX], struct error *err)
{
    struct mounts m;
    char folder[PATH_MAX];
    find_mounts(&m);
    int version = m.v1[0] ? 1 : 2;
    if (!m.v1[0] && !m.v2[0])
        return error_set(err, ST_UNSUPPORTED, "no cgroup hierarchy is mounted here");
    own_folder(version, version == 1 ? m.v1 : m.v2, folder);
    if (version == 2 && !controls_cpu(folder))
        return error_set(err, ST_UNSUPPORTED,
                         "the group %.200s has no cpu controller; start the server with "
                         "Delegate=cpu (systemd) or as root",
                         folder);
    memcpy(ret_base, folder, PATH_MAX);
    *ret_version = version;
    return ST_OK;
}

double cgroup_quota_of(int version, const char *base)
{
    struct buf a, b;
    double quota_us = -1, period_us = -1;
    buf_init(&a);
    buf_init(&b);
    if (version == 2) {
        if (sscanf(read_text(base, "cpu.max", &a), "%lf %lf", &quota_us, &period_us) != 2)
            quota_us = -1; /* "max 100000" */
    } else if (sscanf(read_text(base, "cpu.cfs_quota_us", &a), "%lf", &quota_us) != 1 ||
               sscanf(read_text(base, "cpu.cfs_period_us", &b), "%lf", &period_us) != 1)
        quota_us = -1;
    buf_clear(&a);
    buf_clear(&b);
    return quota_us > 0 && period_us > 0 ? quota_us / period_us : INFINITY;
}

/* ---- our folder ---- */

/* Field 22 of /proc/PID/stat: when the process started, in ticks since boot; 0: no such process. */
static unsigned long long started_ticks(pid_t pid)
{
    char folder[32];
    struct buf text;
    unsigned long long ticks = 0;
    buf_init(&text);
    snprintf(folder, sizeof folder, "/proc/%d", (int)pid);
    const char *at = strrchr(read_text(folder, "stat", &text), ')'); /* the name may have spaces */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at)
        ticks = strtoull(at + 1, NULL, 10);
    buf_clear(&text);
    return ticks;
}

void cgroup_own_name(char ret_name[CGROUP_NAME_CHARS_MAX + 1])
{
    snprintf(ret_name, CGROUP_NAME_CHARS_MAX + 1, PREFIX "%d-%llu", (int)getpid(),
             started_ticks(getpid()));
}

/* Removes a group and those directly below it; false when processes keep it. */
static bool remove_tree(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    char below[PATH_MAX];
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.' && join_path(below, path, e->d_name, NULL, NULL) == ST_OK &&
            is_folder(below))
            rmdir(below);
    if (d)
        closedir(d);
    return rmdir(path) == 0 || errno == ENOENT;
}

static bool is_stale(const char *name)
{
    int pid, n = 0;
    unsigned long long ticks;
    return sscanf(name, PREFIX "%d-%llu%n", &pid, &ticks, &n) == 2 && !name[n] && pid > 0 &&
           started_ticks(pid) != ticks;
}

static void remove_stale(const char *base)
{
    DIR *d = opendir(base);
    struct dirent *e;
    char path[PATH_MAX];
    int removed = 0;
    while (d && removed < CGROUP_STALE_MAX && (e = readdir(d)))
        if (is_stale(e->d_name) && join_path(path, base, e->d_name, NULL, NULL) == ST_OK)
            removed += remove_tree(path);
    if (d)
        closedir(d);
}

static enum status make_folder(const char *path, struct error *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return ST_OK;
    return error_set(err, errno == EACCES || errno == EPERM || errno == EROFS ? ST_DENIED : ST_IO,
                     "cannot make the group %.300s: %s", path, strerror(errno));
}

/* ---- v2: the controller is handed down, from groups without processes only ---- */

/* Is this process alone in the group? */
static bool alone_in(const char *folder)
{
    struct buf text;
    buf_init(&text);
    char *end;
    long pid = strtol(read_text(folder, "cgroup.procs", &text), &end, 10);
    bool alone = pid == getpid() && strcmp(end, "\n") == 0;
    buf_clear(&text);
    return alone;
}

static enum status move_self(struct cgroup *g, struct error *err)
{
    char leaf[PATH_MAX];
    if (!alone_in(g->base))
        return error_set(err, ST_DENIED,
                         "other processes are in the group %.200s too; start the server in one of "
                         "its own (systemd-run --scope -p Delegate=cpu, or a service with it)",
                         g->base);
    enum status st = join_path(leaf, g->path, SELF_LEAF, NULL, err);
    if (st == ST_OK)
        st = make_folder(leaf, err);
    if (st == ST_OK)
        st = write_file(leaf, "cgroup.procs", "0", err);
    g->moved = st == ST_OK;
    return st;
}

static enum status hand_down(struct cgroup *g, struct error *err)
{
    struct error first;
    enum status st = write_file(g->base, "cgroup.subtree_control", "+cpu", &first);
    if (st != ST_OK) {
        st = move_self(g, err);
        if (st == ST_OK)
            st = write_file(g->base, "cgroup.subtree_control", "+cpu", err);
    }
    return st == ST_OK ? write_file(g->path, "cgroup.subtree_control", "+cpu", err) : st;
}

static void move_back(struct cgroup *g)
{
    if (!g->moved)
        return;
    write_file(g->path, "cgroup.subtree_control", "-cpu", NULL);
    write_file(g->base, "cgroup.subtree_control", "-cpu", NULL);
    write_file(g->base, "cgroup.procs", "0", NULL);
}

/* ---- open, close ---- */

enum status cgroup_open(int version, const char *base, struct cgroup *ret, struct error *err)
{
    struct cgroup g = {.version = version};
    char name[CGROUP_NAME_CHARS_MAX + 1];
    cgroup_own_name(name);
    remove_stale(base);
    int n = snprintf(g.base, PATH_MAX, "%s", base);
    enum status st = n < PATH_MAX ? join_path(g.path, base, name, NULL, err)
                                  : error_set(err, ST_LIMIT, "the path of a cgroup is too long");
    if (st == ST_OK)
        st = make_folder(g.path, err);
    if (st != ST_OK)
        return st;
    if (version == 2)
        st = hand_down(&g, err);
    if (st != ST_OK) {
        cgroup_close(&g);
        return st;
    }
    *ret = g;
    return ST_OK;
}

void cgroup_close(struct cgroup *g)
{
    if (!g->version)
        return;
    move_back(g);
    remove_tree(g->path);
    *g = (struct cgroup){.version = 0};
}

/* ---- members ---- */

static bool valid_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return n > 0 && n <= CGROUP_NAME_CHARS_MAX && !name[n] && strcmp(name, SELF_LEAF) != 0;
}

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* Of one ordinary process: 1024 in v1, 100 in v2. */
static enum status write_weight(int version, const char *folder, double weight, struct error *err)
{
    char text[64];
    double v = version == 2 ? clamp(round(weight * 100), 1, WEIGHT_V2_MAX)
                            : clamp(round(weight * 1024), WEIGHT_V1_MIN, WEIGHT_V1_MAX);
    snprintf(text, sizeof text, "%.0f", v);
    return write_file(folder, version == 2 ? "cpu.weight" : "cpu.shares", text, err);
}

enum status cgroup_weigh(const struct cgroup *g, double weight, struct error *err)
{
    return write_weight(g->version, g->path, weight, err);
}

static enum status write_quota(int version, const char *folder, double share, struct error *err)
{
    char text[64];
    double quota_us = round(share * CGROUP_PERIOD_US);
    if (version == 2) {
        snprintf(text, sizeof text, "%.0f %d", quota_us, CGROUP_PERIOD_US);
        return write_file(folder, "cpu.max", text, err);
    }
    snprintf(text, sizeof text, "%d", CGROUP_PERIOD_US);
    enum status st = write_file(folder, "cpu.cfs_period_us", text, err);
    snprintf(text, sizeof text, "%.0f", quota_us);
    return st == ST_OK ? write_file(folder, "cpu.cfs_quota_us", text, err) : st;
}

enum status cgroup_set(const struct cgroup *g, const char *name, double share, double weight,
                       struct error *err)
{
    char folder[PATH_MAX];
    enum status st = join_path(folder, g->path, name, NULL, err);
    if (st == ST_OK)
        st = write_quota(g->version, folder, share, err);
    return st == ST_OK ? write_weight(g->version, folder, weight, err) : st;
}

enum status cgroup_add(const struct cgroup *g, const char *name, double share, double weight,
                       struct error *err)
{
    char folder[PATH_MAX];
    if (!valid_name(name))
        return error_set(err, ST_INVALID, "'%.63s' is no name for a group", name);
    enum status st = join_path(folder, g->path, name, NULL, err);
    if (st == ST_OK)
        st = make_folder(folder, err);
    if (st != ST_OK)
        return st;
    st = cgroup_set(g, name, share, weight, err);
    if (st != ST_OK)
        rmdir(folder);
    return st;
}

enum status cgroup_join(const struct cgroup *g, const char *name, pid_t pid, struct error *err)
{
    char folder[PATH_MAX], text[32];
    enum status st = join_path(folder, g->path, name, NULL, err);
    snprintf(text, sizeof text, "%d", (int)pid);
    return st == ST_OK ? write_file(folder, "cgroup.procs", text, err) : st;
}

enum status cgroup_remove(const struct cgroup *g, const char *name, struct error *err)
{
    char folder[PATH_MAX];
    enum status st = join_path(folder, g->path, name, NULL, err);
    if (st != ST_OK || rmdir(folder) == 0 || errno == ENOENT)
        return st;
    return error_set(err, errno == EBUSY ? ST_CONFLICT : ST_IO,
                     "cannot remove the group %.300s: %s", folder, strerror(errno));
}
