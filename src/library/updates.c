/* updates.c - follows a server's versions in a thread of its own (edge/follower.h). */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "edge/follower.h"
#include "library/library.h"
#include "uplink/identity.h"

#define POLL_S 20

struct attune_updates {
    attune_student *student;
    char *url, *camera, *ca_path, *params_path;
    struct identity identity; /* token "": not enrolled */
    attune_log_function log;
    void *log_context;
    struct client *client;
    struct follower follower;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool ending; /* under mutex */
    atomic_uint_fast64_t applied;
};

/* Takes a copy of text into *to. */
static enum status copy_text(char **to, const char *text, struct error *err)
{
    char *copy = strdup(text);
    if (!copy)
        return error_set(err, ST_NOMEM, "no memory to follow a server");
    free(*to);
    *to = copy;
    return ST_OK;
}

static void init_waiting(attune_updates *u)
{
    clock_cond_init(&u->changed);
    pthread_mutex_init(&u->mutex, NULL);
}

attune_status attune_updates_open(attune_student *student, const char *url, const char *camera,
                                  attune_updates **ret_updates, attune_error *error)
{
    struct error err = {0};
    if (!student || !url || !camera || !ret_updates)
        return library_null("an argument", error);
    attune_updates *u = calloc(1, sizeof *u);
    if (!u)
        return library_status(error_set(&err, ST_NOMEM, "no memory to follow a server"), &err,
                              error);
    init_waiting(u);
    u->student = student;
    enum status st = copy_text(&u->url, url, &err);
    if (st == ST_OK)
        st = copy_text(&u->camera, camera, &err);
    if (st == ST_OK)
        *ret_updates = u;
    else
        attune_updates_close(&u);
    return library_status(st, &err, error);
}

static enum status check_not_started(const attune_updates *u, struct error *err)
{
    return u->started ? error_set(err, ST_CONFLICT, "it follows already; set this before") : ST_OK;
}

/* Of a setting that is a text. */
static attune_status set_text(attune_updates *u, size_t offset, const char *text,
                              attune_error *error)
{
    struct error err = {0};
    if (!u || !text)
        return library_null(u ? "path" : "updates", error);
    enum status st = check_not_started(u, &err);
    if (st == ST_OK)
        st = copy_text((char **)(void *)((char *)u + offset), text, &err);
    return library_status(st, &err, error);
}

attune_status attune_updates_set_ca(attune_updates *updates, const char *path, attune_error *error)
{
    return set_text(updates, offsetof(struct attune_updates, ca_path), path, error);
}

attune_status attune_updates_set_identity(attune_updates *updates, const char *dir,
                                          attune_error *error)
{
    struct error err = {0};
    struct identity id;
    if (!updates || !dir)
        return library_null(updates ? "dir" : "updates", error);
    enum status st = check_not_started(updates, &err);
    if (st == ST_OK)
        st = identity_load(dir, &id, &err);
    if (st == ST_OK && strcmp(id.camera, updates->camera) != 0)
        st = error_set(&err, ST_INVALID, "%.200s was enrolled as camera '%s', not as '%.63s'", dir,
                       id.camera, updates->camera);
    if (st == ST_OK)
        updates->identity = id;
    return library_status(st, &err, error);
}

attune_status attune_updates_set_file(attune_updates *updates, const char *path,
                                      attune_error *error)
{
    return set_text(updates, offsetof(struct attune_updates, params_path), path, error);
}

attune_status attune_updates_set_log(attune_updates *updates, attune_log_function function,
                                     void *context, attune_error *error)
{
    struct error err = {0};
    if (!updates)
        return library_null("updates", error);
    enum status st = check_not_started(updates, &err);
    if (st == ST_OK) {
        updates->log = function;
        updates->log_context = context;
    }
    return library_status(st, &err, error);
}

/* ---- the thread ---- */

static bool pause_until_end(void *context, uint64_t pause_us)
{
    attune_updates *u = context;
    uint64_t until_us = clock_mono_us() + pause_us;
    pthread_mutex_lock(&u->mutex);
    while (!u->ending)
        if (clock_cond_wait(&u->changed, &u->mutex, until_us) != 0)
            break;
    bool goes_on = !u->ending;
    pthread_mutex_unlock(&u->mutex);
    return goes_on;
}

static void say(void *context, enum log_level level, const char *event, const char *details)
{
    attune_updates *u = context;
    if (u->log && level <= LOG_INFO)
        u->log(u->log_context, (attune_level)level, event, details);
}

static void *follow(void *context)
{
    attune_updates *u = context;
    (void)pthread_setname_np(pthread_self(), "attune-update");
    while (pause_until_end(u, 0)) {
        struct error err;
        enum status st = follower_poll(&u->follower, 0, POLL_S, &err);
        atomic_store(&u->applied, u->follower.applied);
        if (st == ST_CONFLICT)
            follower_go_back(&u->follower);
        else if (st != ST_OK && st != ST_AGAIN)
            follower_retry_later(&u->follower, "updates wait", &err);
    }
    return NULL;
}

/* The program's signals are the program's. */
static enum status start_thread(attune_updates *u, struct error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int bad = pthread_create(&u->thread, NULL, follow, u);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return bad ? error_set(err, ST_NOMEM, "cannot start a thread to follow the server") : ST_OK;
}

static enum status start(attune_updates *u, struct error *err)
{
    struct client_options o;
    client_options_init(&o);
    o.url = u->url;
    o.camera_id = u->camera;
    o.ca_path = u->ca_path;
    o.token = u->identity.token[0] ? u->identity.token : NULL;
    o.pin = u->identity.pin[0] ? u->identity.pin : NULL;
    enum status st = check_not_started(u, err);
    bool others = false;
    if (st == ST_OK && !atomic_compare_exchange_strong(&u->student->followed, &others, true))
        return error_set(err, ST_CONFLICT, "the student follows a server already");
    if (st == ST_OK && !u->client)
        st = client_open(&o, &u->client, err);
    if (st != ST_OK)
        return st;
    const struct follower_host host = {.pause = pause_until_end, .say = say, .context = u};
    follower_init(&u->follower, student_slot(u->student->network), u->client, &host,
                  clock_wall_us());
    u->follower.params_path = u->params_path;
    st = start_thread(u, err);
    u->started = st == ST_OK;
    if (st != ST_OK)
        follower_clear(&u->follower);
    return st;
}

attune_status attune_updates_start(attune_updates *updates, attune_error *error)
{
    struct error err = {0};
    if (!updates)
        return library_null("updates", error);
    bool before = updates->started;
    enum status st = start(updates, &err);
    if (st != ST_OK && st != ST_CONFLICT && !before)
        atomic_store(&updates->student->followed, false);
    return library_status(st, &err, error);
}

uint64_t attune_updates_applied(const attune_updates *updates)
{
    return updates ? atomic_load(&updates->applied) : 0;
}

static void stop_thread(attune_updates *u)
{
    pthread_mutex_lock(&u->mutex);
    u->ending = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->mutex);
    client_cancel(u->client);
    pthread_join(u->thread, NULL);
    follower_clear(&u->follower);
    atomic_store(&u->student->followed, false);
}

void attune_updates_close(attune_updates **updates)
{
    if (!updates || !*updates)
        return;
    attune_updates *u = *updates;
    if (u->started)
        stop_thread(u);
    client_close(&u->client);
    free(u->url);
    free(u->camera);
    free(u->ca_path);
    free(u->params_path);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->mutex);
    free(u);
    *updates = NULL;
}
