/* doctor_machine.c - the state folder, the disk, the clock, processors and memory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/file.h"
#include "server/doctor.h"
#include "share/limiter.h"
#include "store/store.h"

#define CERTIFICATE_BYTES_MAX ((size_t)1 << 20)
#define DAY_S 86400.0
#define PROCESS_BYTES                                                                              \
    60e6 /* of a camera's process besides the student: decoder, encoder, frames                    \
          */

/* ---- state folder and disk ---- */

/* The nearest folder that is there: what will be made is made in it. */
static void existing_parent(const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s", path);
    while (access(ret, F_OK) != 0 && ret[0]) {
        char *slash = strrchr(ret, '/');
        if (slash == ret)
            ret[1] = '\0';
        else if (slash)
            *slash = '\0';
        else
            snprintf(ret, PATH_MAX, ".");
    }
}

static bool is_in_use(const char *state)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/lock", PATH_MAX - 8, state);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool used = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return used;
}

/* What uploads of so long, models and the database may come to. An estimate from above. */
static double bytes_of(const struct settings *s, double kept_s, int cameras,
                       const struct doctor_cost *cost)
{
    double chunks = kept_s * s->uplink_kbps * 1000 / 8;
    double waiting = s->backlog_max * s->chunk_s * s->uplink_kbps * 1000 / 8;
    double models = 4.0 * STORE_MODELS_KEPT * (double)cost->param_bytes;
    double rows = 200.0 * (s->frames_max + s->versions_max);
    return cameras * (2 * chunks + waiting + models + rows) + 500.0 * s->events_max;
}

/* Under the limits of retention: what training needs stays whatever they say. */
static double state_bytes(const struct settings *s, int cameras, const struct doctor_cost *cost)
{
    double needed_s = s->horizon_s * 1.5 + 60, asked_s = s->retention_days * DAY_S;
    double needed = bytes_of(s, needed_s, cameras, cost);
    double all = bytes_of(s, fmax(needed_s, asked_s), cameras, cost);
    double most = s->state_mb_max * 1048576.0;
    return s->state_mb_max > 0 ? fmin(all, fmax(most, needed)) : all;
}

/* The settings that would lower it most. */
static const char *lower(const struct settings *s)
{
    if (s->retention_days > 0)
        return s->state_mb_max > 0 ? "state_mb_max or retention_days"
                                   : "retention_days, or give a bound by state_mb_max";
    return "horizon_s, backlog_max or uplink_kbps";
}

static void look_at_disk(struct doctor *d, const struct settings *s, const char *folder,
                         int cameras, const struct doctor_cost *cost)
{
    struct statvfs v;
    if (statvfs(folder, &v) != 0)
        return;
    double free_mb = (double)v.f_bavail * (double)v.f_frsize / 1e6;
    double need_mb = state_bytes(s, cameras, cost) / 1e6 + s->disk_free_min_mb;
    if (free_mb < s->disk_free_min_mb)
        doctor_add(d, DOCTOR_FAIL, "disk",
                   "%.0f MB are free at %s, uploads are refused below %d (disk_free_min_mb); make "
                   "room",
                   free_mb, folder, s->disk_free_min_mb);
    else if (free_mb < need_mb)
        doctor_add(d, DOCTOR_WARN, "disk",
                   "%.0f MB are free at %s, %d camera%s may come to %.0f; make room, or lower %s",
                   free_mb, folder, cameras, cameras == 1 ? "" : "s", need_mb, lower(s));
    else
        doctor_add(d, DOCTOR_OK, "disk", "%.0f MB are free at %s, %d camera%s may come to %.0f",
                   free_mb, folder, cameras, cameras == 1 ? "" : "s", need_mb);
}

void doctor_state(struct doctor *d, const struct settings *s, const struct camera_list *cameras,
                  const struct doctor_cost *cost)
{
    char parent[PATH_MAX];
    existing_parent(s->state, parent);
    if (access(parent, W_OK | X_OK) != 0)
        doctor_add(d, DOCTOR_FAIL, "state folder",
                   "%s: %s for user %d; chown it, or name another folder (state)", parent,
                   strerror(errno), (int)getuid());
    else if (is_in_use(s->state))
        doctor_add(d, DOCTOR_OK, "state folder", "%s is in use by a server that runs", s->state);
    else
        doctor_add(d, DOCTOR_OK, "state folder", "%s %s", s->state,
                   strcmp(parent, s->state) == 0 ? "can be written" : "can be made");
    look_at_disk(d, s, parent, cameras->count > 0 ? cameras->count : 1, cost);
}

/* ---- certificate and clock ---- */

static bool expiry_of(const char *path, time_t *ret)
{
    struct buf pem;
    gnutls_x509_crt_t cert;
    buf_init(&pem);
    bool read = file_read(path, CERTIFICATE_BYTES_MAX, &pem, NULL) == ST_OK &&
                gnutls_x509_crt_init(&cert) == 0;
    if (read) {
        const gnutls_datum_t text = {pem.data, (unsigned)pem.size_bytes};
        read = gnutls_x509_crt_import(cert, &text, GNUTLS_X509_FMT_PEM) == 0;
        *ret = gnutls_x509_crt_get_expiration_time(cert);
        gnutls_x509_crt_deinit(cert);
    }
    buf_clear(&pem);
    return read;
}

static bool others_read_the_key(const char *state)
{
    char path[PATH_MAX];
    struct stat is;
    snprintf(path, sizeof path, "%.*s/tls/key.pem", PATH_MAX - 16, state);
    return stat(path, &is) == 0 && (is.st_mode & 077);
}

void doctor_certificate(struct doctor *d, const struct settings *s, uint64_t now_us)
{
    char path[PATH_MAX];
    time_t until = 0;
    if (strcmp(s->listen, "off") == 0)
        return;
    snprintf(path, sizeof path, "%.*s/tls/cert.pem", PATH_MAX - 16, s->state);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        doctor_add(d, DOCTOR_OK, "certificate", "made at the first start");
        return;
    }
    if (others_read_the_key(s->state))
        doctor_add(d, DOCTOR_FAIL, "certificate",
                   "others can read the key of %s; chmod 600 key.pem beside it", path);
    double left_s = expiry_of(path, &until) ? difftime(until, (time_t)(now_us / 1000000)) : NAN;
    if (isnan(left_s))
        doctor_add(d, DOCTOR_FAIL, "certificate",
                   "%s cannot be read as a certificate; put a PEM file there, or delete it: the "
                   "server makes one for the key beside it, which cameras know",
                   path);
    else if (left_s < 0)
        doctor_add(d, DOCTOR_FAIL, "certificate",
                   "%s expired %.0f days ago; put a new one there, or delete it: the server makes "
                   "one for the key beside it, which cameras know",
                   path, -left_s / DAY_S);
    else
        doctor_add(d, left_s < 30 * DAY_S ? DOCTOR_WARN : DOCTOR_OK, "certificate",
                   "good for %.0f more days%s", left_s / DAY_S,
                   left_s < 30 * DAY_S ? "; put a new one into tls/ of the state folder" : "");
}

#define YEAR_2025_US UINT64_C(1735689600000000)

void doctor_clock(struct doctor *d, uint64_t now_us)
{
    struct timex t = {.modes = 0};
    int state = adjtimex(&t);
    if (now_us < YEAR_2025_US)
        doctor_add(d, DOCTOR_FAIL, "clock",
                   "it is %.0f years after 1970 by this clock; set it, then install chrony",
                   (double)now_us / 1e6 / DAY_S / 365.25);
    else if (state < 0 || state == TIME_ERROR || (t.status & STA_UNSYNC))
        doctor_add(d, DOCTOR_WARN, "clock",
                   "not synchronised as far as the kernel knows; install chrony or "
                   "systemd-timesyncd, or frames of different cameras are not of one time");
    else
        doctor_add(d, DOCTOR_OK, "clock", "synchronised, within %.0f ms", (double)t.maxerror / 1e3);
}

/* ---- processors and memory ---- */

static double available_bytes(void)
{
    char line[128];
    double kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lf", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

/* Processors that inferring every frame here would take; rate and resolution lower it. */
static double wanted_processors(const struct camera_list *cameras, const struct doctor_cost *cost,
                                int *ret_streams)
{
    double sum = 0;
    *ret_streams = 0;
    for (int i = 0; i < cameras->count; i++) {
        const struct camera_settings *c = &cameras->cameras[i];
        double fps = c->fps > 0 ? c->fps : 25, part = c->rate > 0 ? c->rate : 1;
        if (!c->source[0])
            continue;
        (*ret_streams)++;
        sum += fps * part * cost->student_s;
    }
    return sum;
}

static void look_at_processors(struct doctor *d, const struct camera_list *cameras,
                               const struct doctor_cost *cost)
{
    int streams;
    double have = limiter_processors(), want = wanted_processors(cameras, cost, &streams);
    if (streams == 0 || cost->student_s <= 0)
        doctor_add(d, DOCTOR_OK, "processors", "%.3g; cameras that infer by themselves need none",
                   have);
    else if (want > have)
        doctor_add(d, DOCTOR_WARN, "processors",
                   "%.3g, and to infer every frame of %d stream%s takes %.3g: each gets the frame "
                   "rate that fits; lower fps, or give the server more",
                   have, streams, streams == 1 ? "" : "s", want);
    else
        doctor_add(d, DOCTOR_OK, "processors",
                   "%.3g; to infer every frame of %d stream%s takes %.3g", have, streams,
                   streams == 1 ? "" : "s", want);
}

static void look_at_memory(struct doctor *d, const struct settings *s,
                           const struct camera_list *cameras, const struct doctor_cost *cost)
{
    int streams, workers = s->workers > 0 ? s->workers : (int)limiter_processors();
    wanted_processors(cameras, cost, &streams);
    double have = available_bytes();
    double want = streams * (PROCESS_BYTES + cost->student_bytes) + cost->teacher_bytes +
                  2 * cost->student_bytes + workers * 16 * cost->student_bytes;
    bool little = have > 0 && want > have;
    doctor_add(d, little ? DOCTOR_WARN : DOCTOR_OK, "memory",
               "%.0f MB are free, %d stream%s and %d worker%s may take %.0f%s", have / 1e6, streams,
               streams == 1 ? "" : "s", workers, workers == 1 ? "" : "s", want / 1e6,
               little ? "; fewer workers, or smaller models" : "");
}

static void look_at_shares(struct doctor *d, const struct settings *s)
{
    struct limiter *l;
    struct error err;
    int means = share_means_parse(s->share_means);
    if (limiter_open((enum share_means)(means < 0 ? SHARE_AUTO : means), s->compute, &l, &err) ==
        ST_OK) {
        doctor_add(d, DOCTOR_OK, "shares", "%s", limiter_reason(l));
        limiter_close(&l);
    } else {
        doctor_add(d, DOCTOR_FAIL, "shares", "%s; 'share_means: auto' takes what there is",
                   err.message);
    }
}

static void look_at_gpu(struct doctor *d)
{
    bool there = access("/dev/nvidia0", F_OK) == 0;
    doctor_add(d, DOCTOR_OK, "GPU",
               there ? "there is one; 'share_means: mps' divides it" : "none, and none is needed");
}

void doctor_machine(struct doctor *d, const struct settings *s, const struct camera_list *cameras,
                    const struct doctor_cost *cost)
{
    look_at_processors(d, cameras, cost);
    look_at_memory(d, s, cameras, cost);
    look_at_shares(d, s);
    look_at_gpu(d);
}
