/* doctor_sources.c - a few threads take one camera after the other; the main thread shows how far
 * they are, and writes the lines in the order of the file. */
#include "cmd/doctor_sources.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "edge/probe.h"

#define AT_ONCE 8
#define LOOK_US 100000
#define PACE_WRONG 0.1 /* stamps that run by more than this part faster or slower */

struct job {
    const struct camera_settings *camera;
    enum status status;
    struct probe seen;
    struct error err;
};

struct pool {
    const struct doctor_sources *what;
    struct job *jobs;
    int count;
    atomic_int next, done;
};

static void probe(const struct pool *p, struct job *j)
{
    const struct camera_settings *c = j->camera;
    struct feed_options o = {.url = c->source,
                             .credentials_file =
                                 c->credentials_file[0] ? c->credentials_file : NULL,
                             .tls_ca = c->tls_ca[0] ? c->tls_ca : NULL,
                             .timeout_s = fmin(p->what->timeout_s, c->timeout_s)};
    video_transport_parse(c->transport, &o.transport);
    j->status = probe_source(&o, p->what->look_s, &j->seen, &j->err);
}

static void *work(void *context)
{
    struct pool *p = context;
    for (int i = p->next++; i < p->count; i = p->next++) {
        probe(p, &p->jobs[i]);
        p->done++;
    }
    return NULL;
}

static void show_progress(struct pool *p)
{
    struct progress bar;
    progress_init(&bar, "cameras", (uint64_t)p->count, p->what->quiet, clock_mono_us());
    while (p->done < p->count) {
        progress_update(&bar, (uint64_t)p->done, NULL, clock_mono_us());
        clock_sleep_until_us(clock_mono_us() + LOOK_US);
    }
    progress_clear(&bar);
}

static void run(struct pool *p)
{
    pthread_t threads[AT_ONCE];
    int count = 0;
    while (count < AT_ONCE && count < p->count &&
           pthread_create(&threads[count], NULL, work, p) == 0)
        count++;
    if (count == 0)
        work(p);
    show_progress(p);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* ---- what was seen ---- */

static void describe(const struct probe *s, char *ret, size_t size)
{
    char fps[32] = "";
    if (s->seen_fps > 0)
        snprintf(fps, sizeof fps, " at %.3g frames/s", s->seen_fps);
    else if (s->fps > 0)
        snprintf(fps, sizeof fps, " at %.3g frames/s", s->fps);
    snprintf(ret, size, "%s%s%d x %d%s, first picture after %.1f s", s->codec,
             s->codec[0] ? ", " : "", s->width, s->height, fps, s->open_s);
}

static void tell(struct doctor *d, const struct job *j)
{
    char about[80], seen[160];
    const struct probe *s = &j->seen;
    snprintf(about, sizeof about, "camera %.63s", j->camera->id);
    describe(s, seen, sizeof seen);
    if (j->status != ST_OK)
        doctor_add(
            d, DOCTOR_FAIL, about, "%s%s", j->err.message,
            strchr(j->err.message, ';') ? "" : "; correct its source (see docs/configuration.md)");
    else if (s->pace > 0 && fabs(s->pace - 1) > PACE_WRONG)
        doctor_add(d, DOCTOR_WARN, about,
                   "%s; its stamps run %.2f times as fast as the clock: look at the camera's clock "
                   "and frame rate",
                   seen, s->pace);
    else if (s->damaged > 0)
        doctor_add(d, DOCTOR_WARN, about,
                   "%s; %llu of %llu pictures came damaged: try 'transport: tcp', or a lower bit "
                   "rate at the camera",
                   seen, (unsigned long long)s->damaged,
                   (unsigned long long)(s->frames + s->damaged));
    else
        doctor_add(d, DOCTOR_OK, about, "%s", seen);
}

enum status doctor_sources(struct doctor *d, const struct doctor_sources *what, struct error *err)
{
    struct pool p = {.what = what};
    size_t room = (size_t)what->cameras->count;
    if (room == 0)
        return ST_OK;
    p.jobs = calloc(room, sizeof *p.jobs);
    if (!p.jobs)
        return error_set(err, ST_NOMEM, "no memory to look at %zu cameras", room);
    for (int i = 0; i < what->cameras->count; i++) {
        const struct camera_settings *c = &what->cameras->cameras[i];
        if (c->source[0] && (!what->only || strcmp(what->only, c->id) == 0))
            p.jobs[p.count++].camera = c;
    }
    run(&p);
    for (int i = 0; i < p.count; i++)
        tell(d, &p.jobs[i]);
    free(p.jobs);
    return ST_OK;
}
