#include "share/limiter.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/names.h"
#include "share/cgroup.h"
#include "share/mps.h"
#include "share/throttle.h"

#define BACKGROUND_WEIGHT 0.1

struct member {
    bool there, background;
    char name[LIMITER_NAME_CHARS_MAX + 1];
    double share;
    int started_percent;     /* mps: what the process was started with, 0: not started */
    struct share_page *page; /* NULL with mps */
    int fd;
    pid_t pid;        /* 0: none */
    uint64_t base_us; /* used by earlier processes, less what this one had used when it joined */
    uint64_t used_us; /* last reading */
};

struct limiter {
    enum share_means means;
    double capacity;
    char reason[512];
    struct cgroup group;
    pthread_mutex_t lock; /* of the members */
    struct member *members;
    int count; /* slots in use or free again */
};

/* ---- names, capacity ---- */

static const char *const means_names[] = {"auto", "cgroup", "pacing", "mps"};

const char *share_means_name(enum share_means m)
{
    return names_text(means_names, NAMES_COUNT(means_names), (size_t)m, "");
}

int share_means_parse(const char *name)
{
    return names_find(means_names, NAMES_COUNT(means_names), name, -1);
}

double limiter_processors(void)
{
    int version;
    char base[PATH_MAX];
    double usable = cores_usable_count();
    if (cgroup_find(&version, base, NULL) != ST_OK)
        return usable;
    return fmin(usable, cgroup_quota_of(version, base));
}

/* ---- open ---- */

static enum status open_cgroup(struct limiter *l, struct error *err)
{
    int version;
    char base[PATH_MAX];
    enum status st = cgroup_find(&version, base, err);
    if (st == ST_OK)
        st = cgroup_open(version, base, &l->group, err);
    if (st != ST_OK)
        return st;
    l->means = SHARE_CGROUP;
    snprintf(l->reason, sizeof l->reason, "cgroup v%d quotas in %.300s", version, l->group.path);
    return ST_OK;
}

static enum status open_mps(struct limiter *l, struct error *err)
{
    enum status st = mps_reachable(NULL, err);
    l->means = SHARE_MPS;
    snprintf(l->reason, sizeof l->reason, "percentages of the GPU, by NVIDIA's MPS");
    return st == ST_OK ? ST_OK : error_set(err, ST_UNSUPPORTED, "%s", err->message);
}

static void open_pacing(struct limiter *l, const char *why)
{
    l->means = SHARE_PACING;
    snprintf(l->reason, sizeof l->reason, "processes pace themselves, step by step%s%.400s",
             why ? "; no quotas: " : "", why ? why : "");
}

static enum status open_means(struct limiter *l, enum share_means means, struct error *err)
{
    struct error why = {0};
    enum status st = ST_OK;
    if (means == SHARE_MPS)
        st = open_mps(l, &why);
    else if (means == SHARE_PACING)
        open_pacing(l, NULL);
    else if ((st = open_cgroup(l, &why)) != ST_OK && means == SHARE_AUTO) {
        open_pacing(l, why.message);
        st = ST_OK;
    }
    return st == ST_OK ? ST_OK : error_set(err, st, "%s", why.message);
}

enum status limiter_open(enum share_means means, double capacity, struct limiter **ret,
                         struct error *err)
{
    struct limiter *l = calloc(1, sizeof *l);
    if (!l || pthread_mutex_init(&l->lock, NULL) != 0) {
        free(l);
        return error_set(err, ST_NOMEM, "no memory for the shares");
    }
    l->capacity = capacity > 0 ? capacity : means == SHARE_MPS ? 1 : limiter_processors();
    l->members = calloc(LIMITER_MEMBERS_MAX, sizeof *l->members);
    enum status st = l->members ? open_means(l, means, err)
                                : error_set(err, ST_NOMEM, "no memory for the shares");
    if (st != ST_OK) {
        limiter_close(&l);
        return st;
    }
    *ret = l;
    return ST_OK;
}

void limiter_close(struct limiter **ptr)
{
    struct limiter *l = ptr ? *ptr : NULL;
    if (!l)
        return;
    for (int i = 0; l->members && i < l->count; i++)
        limiter_remove(l, i);
    cgroup_close(&l->group);
    pthread_mutex_destroy(&l->lock);
    free(l->members);
    free(l);
    *ptr = NULL;
}

enum share_means limiter_means(const struct limiter *l)
{
    return l->means;
}

const char *limiter_reason(const struct limiter *l)
{
    return l->reason;
}

double limiter_capacity(const struct limiter *l)
{
    return l->capacity;
}

/* ---- members, under the lock ---- */

static double within(const struct limiter *l, double share)
{
    return fmax(LIMITER_SHARE_MIN, fmin(share, l->capacity));
}

static struct member *find(struct limiter *l, int id)
{
    return id >= 0 && id < l->count && l->members[id].there ? &l->members[id] : NULL;
}

static struct member *find_name(struct limiter *l, const char *name)
{
    for (int i = 0; i < l->count; i++)
        if (l->members[i].there && strcmp(l->members[i].name, name) == 0)
            return &l->members[i];
    return NULL;
}

/* An unused slot's number, -1 for none. */
static int free_slot(const struct limiter *l)
{
    for (int i = 0; i < l->count; i++)
        if (!l->members[i].there)
            return i;
    return l->count < LIMITER_MEMBERS_MAX ? l->count : -1;
}

static void apply(struct limiter *l, struct member *m)
{
    if (!m->page)
        return;
    share_page_set(m->page, m->share);
    atomic_store(&m->page->paced, l->means == SHARE_PACING);
}

static double weight_of(const struct member *m)
{
    return m->there ? m->share * (m->background ? BACKGROUND_WEIGHT : 1) : 0;
}

/* The members as a whole weigh what they weigh one by one. */
static void weigh_all(struct limiter *l)
{
    double sum = 0;
    for (int i = 0; i < l->count; i++)
        sum += weight_of(&l->members[i]);
    if (l->means == SHARE_CGROUP)
        cgroup_weigh(&l->group, sum, NULL); /* quotas hold without it */
}

/* *m with another share or standing takes the place of what is there. */
static enum status change(struct limiter *l, struct member *m, const struct member *to,
                          struct error *err)
{
    enum status st = ST_OK;
    if (l->means == SHARE_CGROUP)
        st = cgroup_set(&l->group, m->name, to->share, weight_of(to), err);
    if (st != ST_OK)
        return st;
    *m = *to;
    apply(l, m);
    weigh_all(l);
    return ST_OK;
}

static enum status add(struct limiter *l, const char *name, double share, int *ret_id,
                       struct error *err)
{
    int id = free_slot(l);
    if (strlen(name) > LIMITER_NAME_CHARS_MAX)
        return error_set(err, ST_INVALID, "the name '%.63s...' is too long", name);
    if (id < 0)
        return error_set(err, ST_LIMIT, "%d processes have shares already", LIMITER_MEMBERS_MAX);
    if (find_name(l, name))
        return error_set(err, ST_CONFLICT, "'%s' has a share already", name);
    struct member m = {.there = true, .share = within(l, share), .fd = -1};
    snprintf(m.name, sizeof m.name, "%s", name);
    enum status st = ST_OK;
    if (l->means != SHARE_MPS)
        st = share_page_open(&m.page, &m.fd, err);
    if (st == ST_OK && l->means == SHARE_CGROUP)
        st = cgroup_add(&l->group, name, m.share, weight_of(&m), err);
    if (st != ST_OK) {
        share_page_close(&m.page, &m.fd);
        return st;
    }
    apply(l, &m);
    l->members[id] = m;
    l->count += id == l->count;
    weigh_all(l);
    *ret_id = id;
    return ST_OK;
}

/* Reads the process's clock into the account. */
static void take_reading(struct member *m)
{
    uint64_t used_us = m->pid ? clock_process_cpu_us(m->pid) : UINT64_MAX;
    if (used_us != UINT64_MAX && m->base_us + used_us > m->used_us)
        m->used_us = m->base_us + used_us;
}

static enum status join(struct limiter *l, struct member *m, pid_t pid, struct error *err)
{
    take_reading(m);
    uint64_t before_us = clock_process_cpu_us(pid);
    m->pid = pid;
    m->base_us = m->used_us - (before_us == UINT64_MAX ? 0 : before_us);
    return l->means == SHARE_CGROUP ? cgroup_join(&l->group, m->name, pid, err) : ST_OK;
}

/* ---- the same for others ---- */

enum status limiter_add(struct limiter *l, const char *name, double share, int *ret_id,
                        struct error *err)
{
    pthread_mutex_lock(&l->lock);
    enum status st = add(l, name, share, ret_id, err);
    pthread_mutex_unlock(&l->lock);
    return st;
}

void limiter_remove(struct limiter *l, int id)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    if (m) {
        if (l->means == SHARE_CGROUP) /* a group that is kept by its process goes at close */
            cgroup_remove(&l->group, m->name, NULL);
        share_page_close(&m->page, &m->fd);
        *m = (struct member){.there = false};
        weigh_all(l);
    }
    pthread_mutex_unlock(&l->lock);
}

int limiter_descriptor(struct limiter *l, int id)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    int fd = m ? m->fd : -1;
    pthread_mutex_unlock(&l->lock);
    return fd;
}

void limiter_environment(struct limiter *l, int id, int child_fd,
                         char ret_text[LIMITER_ENVIRONMENT_BYTES])
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    assert(m);
    if (l->means == SHARE_MPS) {
        m->started_percent = mps_percentage(m->share);
        mps_setting(m->share, ret_text);
    } else
        snprintf(ret_text, LIMITER_ENVIRONMENT_BYTES, THROTTLE_ENVIRONMENT "=%d", child_fd);
    pthread_mutex_unlock(&l->lock);
}

static enum status no_member(struct error *err)
{
    return error_set(err, ST_NOT_FOUND, "no such process has a share");
}

enum status limiter_join(struct limiter *l, int id, pid_t pid, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    enum status st = m ? join(l, m, pid, err) : no_member(err);
    pthread_mutex_unlock(&l->lock);
    return st;
}

enum status limiter_set(struct limiter *l, int id, double share, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id), to = m ? *m : (struct member){0};
    to.share = within(l, share);
    enum status st = !m ? no_member(err) : to.share == m->share ? ST_OK : change(l, m, &to, err);
    pthread_mutex_unlock(&l->lock);
    return st;
}

enum status limiter_set_background(struct limiter *l, int id, bool background, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id), to = m ? *m : (struct member){0};
    to.background = background;
    enum status st = m ? change(l, m, &to, err) : no_member(err);
    pthread_mutex_unlock(&l->lock);
    return st;
}

double limiter_share(struct limiter *l, int id)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    double share = m ? m->share : 0;
    pthread_mutex_unlock(&l->lock);
    return share;
}

bool limiter_restart_due(struct limiter *l, int id)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    bool due = m && l->means == SHARE_MPS && m->started_percent != mps_percentage(m->share);
    pthread_mutex_unlock(&l->lock);
    return due;
}

uint64_t limiter_used_us(struct limiter *l, int id)
{
    pthread_mutex_lock(&l->lock);
    struct member *m = find(l, id);
    if (m)
        take_reading(m);
    uint64_t used_us = m ? m->used_us : 0;
    pthread_mutex_unlock(&l->lock);
    return used_us;
}
