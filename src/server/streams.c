/* streams.c - one thread looks after all children: reads what they say, starts what is due. */
#include "server/streams.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/access.h"
#include "server/board.h"
#include "server/http.h"
#include "uplink/client.h"

#define LOOK_US 200000
#define IDLE_LOOK_US 2000000 /* without any stream; a reload rings the bell */
#define SOURCE_VARIABLE "ATTUNE_SOURCE="
#define TOKEN_VARIABLE "ATTUNE_TOKEN="
#define ARGUMENTS_MAX 64
#define NUMBER_CHARS 32
#define SHARE_FD 3 /* the child's number of the page with its share */

enum stream_phase {
    STREAM_RUNS = 1,
    STREAM_RENEWS, /* its process is to end and start with other settings */
    STREAM_LEAVES  /* its process is to end: the camera is not of the configuration any more */
};

struct stream {
    struct server *server;
    char id[CAMERA_ID_CHARS_MAX + 1];
    struct camera_settings settings;
    int number; /* of all that there were, from 1 on */
    enum stream_phase phase;
    uint64_t kill_us; /* 0: not asked to end yet */
    struct child child;
    struct backoff backoff;
    uint64_t started_us, due_us;
    bool down;  /* it was said to have failed, and has not been said to be back */
    int member; /* of the server's limiter */
    double share;
    uint64_t used_us;                         /* entered into the account */
    char said[STREAM_REASON_CHARS_MAX + 1];   /* its last line */
    char reason[STREAM_REASON_CHARS_MAX + 1]; /* of the last failure */
    struct stream_view view; /* under the mutex of the struct streams, all else is the thread's */
};

struct streams {
    struct server *server;
    struct stream *streams[CAMERA_LIST_MAX]; /* changed under the mutex, by the thread */
    int count, numbers;
    uint64_t generation; /* of the configuration that they follow */
    struct rng rng;
    pthread_mutex_t mutex;
    pthread_t thread;
    bool running;
};

bool streams_wanted(const struct camera_list *cameras)
{
    for (int i = 0; i < cameras->count; i++)
        if (cameras->cameras[i].source[0])
            return true;
    return false;
}

bool streams_look(struct streams *s, const char *camera, struct stream_view *ret)
{
    bool found = false;
    if (!s)
        return false;
    pthread_mutex_lock(&s->mutex);
    for (int i = 0; i < s->count && !found; i++) {
        found = strcmp(s->streams[i]->id, camera) == 0;
        if (found)
            *ret = s->streams[i]->view;
    }
    pthread_mutex_unlock(&s->mutex);
    return found;
}

static void show(struct streams *all, struct stream *s, bool started)
{
    pthread_mutex_lock(&all->mutex);
    s->view.pid = (int)s->child.pid;
    s->view.starts += started;
    snprintf(s->view.reason, sizeof s->view.reason, "%s", s->down ? s->reason : "");
    pthread_mutex_unlock(&all->mutex);
}

/* ---- starting ---- */

/* The command line of a child, with room for its numbers. */
struct command {
    char *argv[ARGUMENTS_MAX + 1];
    int count;
    char server[64], state[PATH_MAX], fps[NUMBER_CHARS], threads[NUMBER_CHARS], seed[NUMBER_CHARS];
    char mqtt_fps[NUMBER_CHARS], timeout[NUMBER_CHARS];
    char source[sizeof SOURCE_VARIABLE + SETTING_TEXT_BYTES], share[LIMITER_ENVIRONMENT_BYTES];
    char token[sizeof TOKEN_VARIABLE + SECRET_TOKEN_CHARS];
};

static void add(struct command *c, const char *name, const char *value)
{
    c->argv[c->count++] = (char *)(uintptr_t)name;
    if (value)
        c->argv[c->count++] = (char *)(uintptr_t)value;
}

static void add_given(struct command *c, const char *name, const char *value)
{
    if (value[0])
        add(c, name, value);
}

/* What it sees it tells the broker itself: that is too much to go by way of us. */
static void add_mqtt(struct command *c, const struct settings *own)
{
    if (!own->mqtt[0] || own->mqtt_results_fps <= 0)
        return;
    snprintf(c->mqtt_fps, sizeof c->mqtt_fps, "%.10g", own->mqtt_results_fps);
    add(c, "--mqtt", own->mqtt);
    add_given(c, "--mqtt-user", own->mqtt_user);
    add_given(c, "--mqtt-password-file", own->mqtt_password_file);
    add_given(c, "--mqtt-ca", own->mqtt_ca);
    add(c, "--mqtt-prefix", own->mqtt_prefix);
    add(c, "--mqtt-fps", c->mqtt_fps);
    if (own->mqtt_insecure)
        add(c, "--mqtt-insecure", NULL);
}

/* URL and token go by the environment: they are secrets, and `ps` shows command lines to all. */
static void make_command(const struct stream *s, int seed, struct command *c)
{
    const struct camera_settings *set = &s->settings;
    const struct settings *own = &s->server->set;
    *c = (struct command){.count = 0};
    snprintf(c->server, sizeof c->server, "http://127.0.0.1:%d", http_port(s->server->local));
    snprintf(c->state, sizeof c->state, "%s/streams/%s", own->state, set->id);
    snprintf(c->fps, sizeof c->fps, "%.10g", set->fps);
    snprintf(c->threads, sizeof c->threads, "%d", set->threads);
    snprintf(c->seed, sizeof c->seed, "%d", seed);
    snprintf(c->timeout, sizeof c->timeout, "%.10g", set->timeout_s);
    snprintf(c->source, sizeof c->source, SOURCE_VARIABLE "%s", set->source);
    memcpy(c->token, TOKEN_VARIABLE, sizeof TOKEN_VARIABLE);
    access_stream_token(s->server->access, set->id, c->token + sizeof TOKEN_VARIABLE - 1);
    add(c, "attune", NULL);
    add(c, "camera", NULL);
    add(c, "--student", own->student);
    add(c, "--server", c->server);
    add(c, "--id", set->id);
    add(c, "--state", c->state);
    add(c, "--inference", "auto");
    add(c, "--threads", c->threads);
    add(c, "--seed", c->seed);
    add(c, "--log-level", own->log_level);
    add(c, "--transport", set->transport);
    add(c, "--timeout", c->timeout);
    if (set->credentials_file[0])
        add(c, "--credentials-file", set->credentials_file);
    add_given(c, "--tls-ca", set->tls_ca);
    if (set->fps > 0)
        add(c, "--fps", c->fps);
    if (set->regions[0])
        add(c, "--regions", set->regions);
    if (set->mask[0])
        add(c, "--mask", set->mask);
    if (!set->upload)
        add(c, "--no-upload", NULL);
    add_mqtt(c, own);
}

static void note_failure(struct streams *all, struct stream *s, const char *reason);

static void start(struct streams *all, struct stream *s)
{
    struct command *c = malloc(sizeof *c);
    struct error err = {0};
    enum status st = c ? ST_OK : error_set(&err, ST_NOMEM, "no memory to start it");
    if (st == ST_OK) {
        make_command(s, s->number, c);
        st = file_mkdirs(c->state, &err);
    }
    s->said[0] = '\0';
    if (st == ST_OK) {
        limiter_environment(all->server->limiter, s->member, SHARE_FD, c->share);
        int fd = limiter_descriptor(all->server->limiter, s->member);
        const struct child_options o = {.program = all->server->options.camera_program,
                                        .merge = true,
                                        .environment = {c->source, c->share, c->token},
                                        .keep_fd = fd,
                                        .keep_as = fd >= 0 ? SHARE_FD : 0};
        st = child_start(&s->child, c->argv, &o, &err);
    }
    if (st == ST_OK && limiter_join(all->server->limiter, s->member, s->child.pid, &err) != ST_OK)
        log_write(LOG_WARN, "stream without a limit", "camera=%s reason=\"%s\"", s->settings.id,
                  err.message);
    free(c);
    s->started_us = clock_mono_us();
    if (st != ST_OK) {
        note_failure(all, s, err.message);
        return;
    }
    show(all, s, true);
    log_write(LOG_INFO, "stream started", "camera=%s pid=%d", s->settings.id, s->child.pid);
}

/* ---- watching ---- */

static enum log_level level_of(const char *line)
{
    return strstr(line, "level=error")  ? LOG_ERROR
           : strstr(line, "level=warn") ? LOG_WARN
                                        : LOG_DEBUG;
}

/* A line of the child: to our log, and kept as what it said last. */
static void on_line(void *context, const char *line)
{
    struct stream *s = context;
    size_t n = 0;
    for (; n < STREAM_REASON_CHARS_MAX && line[n]; n++)
        s->said[n] = line[n] == '"' ? '\'' : line[n] >= ' ' && line[n] <= '~' ? line[n] : '?';
    s->said[n] = '\0';
    log_write(level_of(line), "stream says", "camera=%s line=\"%s\"", s->settings.id, s->said);
}

static void note_failure(struct streams *all, struct stream *s, const char *reason)
{
    uint64_t now_us = clock_mono_us();
    if (now_us - s->started_us > STREAM_STEADY_US)
        backoff_reset(&s->backoff);
    uint64_t wait_us = backoff_next_us(&s->backoff, &all->rng);
    s->due_us = now_us + wait_us;
    bool is_new = !s->down || strcmp(reason, s->reason) != 0;
    s->down = true;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    show(all, s, false);
    if (is_new)
        server_event(all->server, s->settings.id, "stream_failed", NULL,
                     "%s; tried again from %.1f s on", reason, (double)wait_us / 1e6);
    else
        log_write(LOG_WARN, "stream failed again", "camera=%s retry_s=%.1f", s->settings.id,
                  (double)wait_us / 1e6);
}

/* Why it ended, from how it ended and what it said last. */
static void explain_end(const struct stream *s, char *ret)
{
    int how = s->child.wait_status;
    const char *said = s->said;
    if (strncmp(said, "attune camera: ", 15) == 0)
        said += 15;
    if (WIFSIGNALED(how))
        snprintf(ret, STREAM_REASON_CHARS_MAX + 1, "its process was killed by signal %d (%s)",
                 WTERMSIG(how), strsignal(WTERMSIG(how)));
    else if (WEXITSTATUS(how) == 0)
        snprintf(ret, STREAM_REASON_CHARS_MAX + 1, "the source has come to its end");
    else if (said[0])
        snprintf(ret, STREAM_REASON_CHARS_MAX + 1, "%s", said);
    else
        snprintf(ret, STREAM_REASON_CHARS_MAX + 1, "its process ended with status %d",
                 WEXITSTATUS(how));
}

/* Since the newest sign of life: its start, or a report (*ret_told). */
static uint64_t silent_us(const struct stream *s, uint64_t now_us, bool *ret_told)
{
    struct inference_report told;
    uint64_t age_us, since_start_us = now_us - s->started_us;
    *ret_told = board_told(s->server->board, s->settings.id, now_us, &told, &age_us) &&
                age_us < since_start_us;
    return *ret_told ? age_us : since_start_us;
}

static void look_at_running(struct streams *all, struct stream *s, uint64_t now_us)
{
    bool told;
    uint64_t age_us = silent_us(s, now_us, &told);
    if (told && s->down) {
        s->down = false;
        show(all, s, false);
        server_event(s->server, s->settings.id, "stream_back", NULL,
                     "the server decodes and infers for this camera again");
    }
    if (age_us <= STREAM_SILENT_US)
        return;
    kill(s->child.pid, SIGKILL);
    log_write(LOG_WARN, "stream ended", "camera=%s reason=\"it was silent for %llu s\"",
              s->settings.id, (unsigned long long)(STREAM_SILENT_US / 1000000));
}

/* Keeps the limit at the share that the camera was told, and the account of what it used; before a
 * process that ended is reaped, since its use is gone then. */
static void keep_account(struct stream *s, uint64_t now_us)
{
    struct server *server = s->server;
    struct client_settings set;
    struct error err;
    board_settings(server->board, s->settings.id, &set);
    double capacity = limiter_capacity(server->limiter);
    double share = set.share < capacity ? set.share : capacity;
    if (share != s->share) {
        s->share = share;
        if (limiter_set(server->limiter, s->member, share, &err) != ST_OK)
            log_write(LOG_WARN, "share not set", "camera=%s reason=\"%s\"", s->settings.id,
                      err.message);
        ledger_plan(server->ledger, s->settings.id, LEDGER_INFER, share, now_us, NULL);
    }
    uint64_t used_us = limiter_used_us(server->limiter, s->member);
    if (used_us > s->used_us)
        server_charge(server, s->settings.id, LEDGER_INFER, used_us - s->used_us);
    s->used_us = used_us;
}

static void look_after(struct streams *all, struct stream *s, uint64_t now_us)
{
    keep_account(s, now_us);
    bool ran = s->child.pid > 0, runs = child_runs(&s->child);
    child_read_lines(&s->child, on_line, s);
    if (runs)
        look_at_running(all, s, now_us);
    if (ran && !runs) {
        char reason[STREAM_REASON_CHARS_MAX + 1];
        explain_end(s, reason);
        child_clear(&s->child);
        note_failure(all, s, reason);
    }
    if (!runs && now_us >= s->due_us)
        start(all, s);
}

/* ---- following the configuration ---- */

static void forget(struct streams *all, int i)
{
    struct stream *s = all->streams[i];
    pthread_mutex_lock(&all->mutex);
    all->streams[i] = all->streams[--all->count];
    pthread_mutex_unlock(&all->mutex);
    limiter_remove(all->server->limiter, s->member);
    ledger_plan(all->server->ledger, s->id, LEDGER_INFER, 0, clock_mono_us(), NULL);
    free(s);
}

/* Asks the process of one that leaves or renews to end, and kills it when it does not. True: it
 * has ended. */
static bool end(struct stream *s, uint64_t now_us)
{
    keep_account(s, now_us);
    bool runs = child_runs(&s->child);
    child_read_lines(&s->child, on_line, s);
    if (!runs) {
        child_clear(&s->child);
        s->kill_us = 0;
        return true;
    }
    if (s->kill_us == 0) {
        kill(s->child.pid, SIGTERM);
        s->kill_us = now_us + STREAM_STOP_US;
    } else if (now_us > s->kill_us) {
        kill(s->child.pid, SIGKILL);
    }
    return false;
}

/* With the settings that the configuration has by now. */
static void renew(struct streams *all, struct stream *s, uint64_t now_us)
{
    s->phase = STREAM_RUNS;
    s->down = false;
    s->due_us = now_us;
    backoff_reset(&s->backoff);
    if (!config_camera(all->server->config, s->id, &s->settings) || !s->settings.source[0])
        s->phase = STREAM_LEAVES;
    else
        start(all, s);
}

static struct stream *find(const struct streams *all, const char *id)
{
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->streams[i]->id, id) == 0)
            return all->streams[i];
    return NULL;
}

static enum status add_stream(struct streams *all, const struct camera_settings *settings,
                              struct error *err)
{
    struct limiter *limiter = all->server->limiter;
    struct stream *s = calloc(1, sizeof *s);
    if (!s || all->count == CAMERA_LIST_MAX) {
        free(s);
        return error_set(err, ST_NOMEM, "no room for another stream");
    }
    char name[32];
    s->number = ++all->numbers;
    snprintf(name, sizeof name, "stream-%d", s->number - 1);
    s->server = all->server;
    s->settings = *settings;
    s->phase = STREAM_RUNS;
    snprintf(s->id, sizeof s->id, "%s", settings->id);
    child_init(&s->child);
    backoff_init(&s->backoff, STREAM_WAIT_FIRST_US, STREAM_WAIT_MAX_US);
    enum status st = limiter_add(limiter, name, limiter_capacity(limiter), &s->member, err);
    if (st != ST_OK) {
        free(s);
        return st;
    }
    pthread_mutex_lock(&all->mutex);
    all->streams[all->count++] = s;
    pthread_mutex_unlock(&all->mutex);
    return ST_OK;
}

static enum status add_streams(struct streams *all, const struct camera_list *cameras,
                               struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < cameras->count && st == ST_OK; i++)
        if (cameras->cameras[i].source[0] && !find(all, cameras->cameras[i].id))
            st = add_stream(all, &cameras->cameras[i], err);
    return st;
}

/* Whether a process that was started with `a` cannot go on with `b`. */
static bool needs_renewal(const struct camera_settings *a, const struct camera_settings *b)
{
    const struct setting_table *t = camera_settings_table();
    for (int i = 0; i < t->count; i++)
        if (!t->rows[i].live && !setting_table_same(t, a, b, i))
            return true;
    return false;
}

static void compare(struct stream *s, const struct camera_settings *now)
{
    if (!now || !now->source[0])
        s->phase = STREAM_LEAVES;
    else if (s->phase == STREAM_RUNS && needs_renewal(&s->settings, now))
        s->phase = STREAM_RENEWS;
    else if (s->phase == STREAM_LEAVES)
        s->phase = STREAM_RENEWS; /* it has come back before its process was gone */
}

/* One by one: who is as before is not touched. */
static void follow(struct streams *all)
{
    struct camera_list now;
    struct error err;
    uint64_t generation;
    enum status st = config_cameras(all->server->config, &now, &generation, &err);
    if (st == ST_OK) {
        for (int i = 0; i < all->count; i++)
            compare(all->streams[i], camera_list_find(&now, all->streams[i]->id));
        st = add_streams(all, &now, &err);
        camera_list_clear(&now);
    }
    if (st == ST_OK)
        all->generation = generation;
    else
        log_write(LOG_ERROR, "streams not changed", "why=\"%s\"", err.message);
}

/* Returns whether it is still there. */
static bool advance(struct streams *all, int i)
{
    struct stream *s = all->streams[i];
    uint64_t now_us = clock_mono_us();
    if (s->phase == STREAM_RUNS) {
        look_after(all, s, now_us);
        return true;
    }
    if (!end(s, now_us))
        return true;
    if (s->phase == STREAM_RENEWS) {
        renew(all, s, now_us);
        return true;
    }
    log_write(LOG_INFO, "stream removed", "camera=%s", s->id);
    forget(all, i);
    return false;
}

/* All at once, then each in turn: the waits overlap. They end here, where they began. */
static void stop_all(struct streams *all)
{
    for (int i = 0; i < all->count; i++)
        if (all->streams[i]->child.pid > 0)
            kill(all->streams[i]->child.pid, SIGTERM);
    uint64_t until_us = clock_mono_us() + STREAM_STOP_US;
    for (int i = 0; i < all->count; i++) {
        struct stream *s = all->streams[i];
        uint64_t now_us = clock_mono_us();
        child_stop(&s->child, until_us > now_us ? until_us - now_us : 0, on_line, s);
        child_clear(&s->child);
    }
}

static void *run(void *context)
{
    struct streams *all = context;
    struct bell *bell = &all->server->bell;
    while (!bell_stopped(bell)) {
        pulse_beat(&all->server->pulse, PULSE_STREAMS, clock_mono_us());
        if (config_generation(all->server->config) != all->generation)
            follow(all);
        for (int i = 0; i < all->count && !bell_stopped(bell);)
            i += advance(all, i);
        uint64_t look_us = all->count > 0 ? LOOK_US : IDLE_LOOK_US;
        bell_wait(bell, bell_count(bell), clock_mono_us() + look_us);
    }
    pulse_end(&all->server->pulse, PULSE_STREAMS);
    stop_all(all);
    return NULL;
}

/* ---- life ---- */

enum status streams_open(struct server *server, struct streams **ret, struct error *err)
{
    *ret = NULL;
    if (!server->local)
        return ST_OK;
    struct streams *all = calloc(1, sizeof *all);
    if (!all)
        return error_set(err, ST_NOMEM, "no memory for streams");
    all->server = server;
    pthread_mutex_init(&all->mutex, NULL);
    rng_init(&all->rng, (uint64_t)server->set.seed, 3);
    struct camera_list cameras;
    enum status st = config_cameras(server->config, &cameras, &all->generation, err);
    if (st == ST_OK) {
        st = add_streams(all, &cameras, err);
        camera_list_clear(&cameras);
    }
    if (st == ST_OK) {
        all->running = pthread_create(&all->thread, NULL, run, all) == 0;
        if (!all->running)
            st = error_set(err, ST_NOMEM, "cannot start the thread that looks after streams");
    }
    if (st == ST_OK)
        *ret = all;
    else
        streams_close(&all);
    return st;
}

void streams_stop(struct streams *s)
{
    if (s && s->running)
        pthread_join(s->thread, NULL);
    if (s)
        s->running = false;
}

void streams_close(struct streams **s)
{
    if (!s || !*s)
        return;
    streams_stop(*s);
    while ((*s)->count > 0)
        forget(*s, (*s)->count - 1);
    pthread_mutex_destroy(&(*s)->mutex);
    free(*s);
    *s = NULL;
}
